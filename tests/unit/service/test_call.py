import uuid

from hypothesis import given
from hypothesis import strategies as st

from service.call import new_call_id


@given(st.integers(0, 2**48 * 10**6 - 1), st.integers(0, 2**80 - 1))
def test_a_call_id_is_a_uuid_of_version_7(now_ns: int, entropy: int) -> None:
    parsed = uuid.UUID(new_call_id(now_ns, entropy))

    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == now_ns // 1_000_000


@given(st.integers(0, 2**40), st.integers(1, 2**20))
def test_call_ids_sort_by_time(now_ms: int, later_ms: int) -> None:
    first = new_call_id(now_ms * 10**6, 2**80 - 1)

    assert first < new_call_id((now_ms + later_ms) * 10**6, 0)
