import pytest

from clients import key_verdict


@pytest.mark.parametrize(("status", "advice"), [(429, "again"), (503, "again"), (301, "base_url"), (400, "base_url")])
def test_an_address_is_to_be_looked_at_only_where_it_may_be_wrong(status: int, advice: str) -> None:
    assert advice in key_verdict.of_status(status, None).advice
