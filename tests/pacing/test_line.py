"""Whose turn is next."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from clients.pacing.cell_rate import Stretch
from clients.pacing.line import Line, Waiting


def waiting(team: str, amount: int = 1) -> Waiting:
    return Waiting(team, amount, 0, cast("asyncio.Future[Stretch | None]", None))


def served(line: Line) -> list[Waiting]:
    """Everyone, in the order of their turns."""
    order = []
    while (head := line.head()) is not None:
        assert line.head() is head
        line.pop(head)
        order.append(head)
    return order


def test_a_team_is_served_in_the_order_in_which_it_came() -> None:
    line = Line()
    requests = [waiting("a", amount) for amount in (5, 1, 3)]
    for request in requests:
        line.add(request)

    assert served(line) == requests
    assert line.amount == len(line) == 0


def test_one_request_of_a_quiet_team_waits_for_one_of_the_noisy() -> None:
    line = Line()
    for _ in range(100):
        line.add(waiting("noisy"))
    for _ in range(7):
        head = line.head()
        assert head is not None
        line.pop(head)
    quiet = waiting("quiet")
    line.add(quiet)

    assert served(line).index(quiet) <= 1


def test_a_team_that_had_less_for_a_while_catches_up_but_only_so_much() -> None:
    line = Line()
    line.credit = 3
    for _ in range(100):
        line.add(waiting("noisy"))
    for _ in range(50):
        head = line.head()
        assert head is not None
        line.pop(head)
    for _ in range(20):
        line.add(waiting("quiet"))
    order = "".join(request.team[0] for request in served(line))

    assert order.startswith("qqqq")
    assert order[:14].count("q") == 4 + 5


@given(seed=st.integers(0, 2**32), teams=st.integers(2, 5), sizes=st.sampled_from(((1,), (96,), (1, 96), range(1, 97))))
def test_while_all_wait_each_team_has_had_the_same_but_for_a_few_requests(
    seed: int, teams: int, sizes: Sequence[int]
) -> None:
    line, random = Line(), Random(seed)
    for number in range(teams):
        own = sizes if random.random() < 0.5 else (random.choice(sizes),)
        for _ in range(600):
            line.add(waiting(f"team {number}", random.choice(own)))
    got = {f"team {number}": 0 for number in range(teams)}
    for _ in range(random.randint(20, 500)):
        head = line.head()
        assert head is not None
        line.pop(head)
        got[head.team] += head.amount

    assert max(got.values()) - min(got.values()) <= 3 * max(sizes)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.sampled_from(("come", "leave", "go")))))
def test_whoever_comes_leaves_or_goes_the_line_knows_who_is_in(steps: list[tuple[str, int, str]]) -> None:
    line, inside = Line(), []
    for team, amount, step in steps:
        if step == "come":
            inside.append(waiting(team, amount))
            line.add(inside[-1])
        elif step == "leave" and inside:
            line.discard(gone := inside.pop(amount % len(inside)))
            line.discard(gone)
        elif (head := line.head()) is not None:
            line.pop(head)
            inside.remove(head)

        assert line.amount == sum(request.amount for request in inside)
        assert (line.head() is None) == (not inside)
    assert sorted(map(id, line.clear())) == sorted(map(id, inside))
    assert line.head() is None


def test_what_comes_before_a_request_is_no_more_of_each_team_than_of_its_own() -> None:
    line = Line()
    for _ in range(50):
        line.add(waiting("noisy", 2))
    line.add(waiting("quiet", 3))

    assert line.amount_before("quiet", 1) == 4 + 4
    assert line.amount_before("noisy", 1) == 101 + 3
    assert line.amount_before("new", 1) == 1 + 2 + 3
