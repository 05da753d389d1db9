import pytest
from yarl import URL

from clients.codec.embed import FloatsAs
from clients.teams import FloatTrust

HERE = URL("http://127.0.0.1:1")


@pytest.mark.parametrize(("equal", "then"), [(True, FloatsAs.BASE64), (False, FloatsAs.FLOAT)])
def test_one_comparison_decides(*, equal: bool, then: FloatsAs) -> None:
    trust = FloatTrust()
    assert trust.floats_as(HERE, "m") is FloatsAs.BOTH
    trust.learn(HERE, "m", [0.25, -1.5], equal=equal)

    assert trust.floats_as(HERE, "m") is then
    assert trust.floats_as(HERE, "other") is FloatsAs.BOTH


def test_numbers_that_read_the_same_in_either_order_prove_nothing() -> None:
    trust = FloatTrust()
    trust.learn(HERE, "m", [0.0, 0.0], equal=True)

    assert trust.floats_as(HERE, "m") is FloatsAs.BOTH


def test_a_difference_is_never_forgotten() -> None:
    trust = FloatTrust()
    trust.learn(HERE, "m", [0.25], equal=False)
    trust.learn(HERE, "m", [0.25], equal=True)

    assert trust.floats_as(HERE, "m") is FloatsAs.FLOAT
