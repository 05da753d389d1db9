import pytest

from clients.breaker import TRIAL_S, Breaker, Refusal

REJECTED, UNPAID, FORBIDDEN = Refusal


def against(breaker: Breaker, now_s: float) -> tuple[Refusal | None, Refusal | None]:
    """Of a Chat and of an Embed."""
    return breaker.against("chat", now_s), breaker.against("embed", now_s)


def test_nothing_stands_against_a_version_that_was_never_refused() -> None:
    assert against(Breaker(), 0.0) == (None, None)


@pytest.mark.parametrize(
    ("refusal", "stands"),
    [(REJECTED, (REJECTED, REJECTED)), (UNPAID, (UNPAID, UNPAID)), (FORBIDDEN, (FORBIDDEN, None))],
)
def test_a_refusal_of_a_chat_stands_against_what_it_says(
    refusal: Refusal, stands: tuple[Refusal | None, Refusal | None]
) -> None:
    breaker = Breaker()

    assert breaker.refused(refusal, "chat", 10.0)
    assert not breaker.refused(refusal, "chat", 11.0)
    assert against(breaker, 12.0) == stands


def test_a_rejected_version_is_never_tried_by_a_call_and_good_once_a_check_finds_it_so() -> None:
    breaker = Breaker()
    breaker.refused(REJECTED, "chat", 10.0)

    assert breaker.against("chat", 10.0 + 1e9) is REJECTED
    assert not breaker.taken("chat", 11.0)
    assert not breaker.found_good(9.0), "it began before the refusal"
    assert breaker.against("chat", 12.0) is REJECTED
    assert breaker.found_good(12.0)
    assert breaker.against("chat", 12.0) is None


@pytest.mark.parametrize("refusal", [UNPAID, FORBIDDEN])
def test_one_call_after_a_while_finds_out_whether_a_refusal_is_over(refusal: Refusal) -> None:
    breaker = Breaker()
    breaker.refused(refusal, "chat", 10.0)
    due_s = 10.0 + TRIAL_S

    assert breaker.against("chat", due_s - 0.001) is refusal
    assert breaker.against("chat", due_s) is None
    assert breaker.begin("chat", due_s)
    assert breaker.against("chat", due_s) is refusal, "one alone finds out"
    assert not breaker.refused(refusal, "chat", due_s + 1)
    assert breaker.against("chat", due_s + TRIAL_S) is refusal
    assert breaker.begin("chat", due_s + 1 + TRIAL_S)
    assert breaker.taken("chat", due_s + 1 + TRIAL_S)
    assert not breaker.begin("chat", due_s + 1 + TRIAL_S)
    assert against(breaker, due_s + 1 + TRIAL_S) == (None, None)


def test_a_call_that_began_before_a_refusal_proves_nothing_by_its_success() -> None:
    breaker = Breaker()
    breaker.refused(FORBIDDEN, "chat", 10.0)

    assert not breaker.taken("chat", 9.0)
    assert not breaker.taken("embed", 11.0), "another endpoint"
    assert breaker.against("chat", 11.0) is FORBIDDEN


def test_a_call_that_was_to_find_out_and_was_not_sent_leaves_it_to_the_next() -> None:
    breaker = Breaker()
    breaker.refused(UNPAID, "chat", 0.0)
    assert breaker.begin("chat", TRIAL_S)
    breaker.unused("chat", TRIAL_S + 1)

    assert breaker.against("chat", TRIAL_S + 1) is None


def test_the_endpoints_that_are_forbidden_are_told_by_name() -> None:
    breaker = Breaker()
    for endpoint in ("rerank", "chat"):
        breaker.refused(FORBIDDEN, endpoint, 0.0)
    breaker.refused(UNPAID, "embed", 5.0)

    assert breaker.forbidden_endpoints == ["chat", "rerank"]
    assert (breaker.since_s(UNPAID), breaker.since_s(REJECTED)) == (5.0, None)
