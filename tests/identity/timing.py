"""Tells two classes of inputs apart by the time that a check of them takes, as dudect does.

Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?" (DATE 2017): the classes are measured in random order,
and Welch's t-test compares their means; |t| > 4.5 says that they differ. Where dudect crops at quantiles, what took
more than five times the median of all is left out here: something else ran meanwhile, and how often differs by machine.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

T_MAX = 4.5
RUNS = 3
INTERRUPTED = 5
WARM_UP = 500


class Told(NamedTuple):
    """What one run says: Welch's t, and the mean of each class."""

    t: float
    one_ns: float
    other_ns: float


def told_apart(check: Callable[[str], object], one: Sequence[str], other: Sequence[str]) -> list[Told]:
    """Measures the check of each input, those of *one* class mixed with as many of the *other*, `RUNS` times."""
    return [_run(check, one, other) for _ in range(RUNS)]


def best(runs: Sequence[Told]) -> float:
    """The |t| of the run that tells them apart least: chance seldom does so three times, a leak always."""
    return min(abs(run.t) for run in runs)


def shown(what: str, runs: Sequence[Told]) -> str:
    figures = ", ".join(f"t = {run.t:+.2f} ({run.one_ns:.0f} and {run.other_ns:.0f} ns)" for run in runs)
    return f"{what}: {figures}; best |t| = {best(runs):.2f}"


def _run(check: Callable[[str], object], one: Sequence[str], other: Sequence[str]) -> Told:
    times = _measured(check, one, other)
    bound = INTERRUPTED * statistics.median(times[0] + times[1])
    cropped = [[each for each in kind if each <= bound] for kind in times]
    means = [statistics.fmean(kind) for kind in cropped]
    squares = [statistics.variance(kind, mean) / len(kind) for kind, mean in zip(cropped, means, strict=True)]
    return Told((means[0] - means[1]) / sum(squares) ** 0.5, *means)


def _measured(check: Callable[[str], object], one: Sequence[str], other: Sequence[str]) -> tuple[list[int], list[int]]:
    # Mixed beforehand: between two measurements nothing depends on the class.
    inputs = [(0, text) for text in one] + [(1, text) for text in other]
    random.shuffle(inputs)
    for _, text in inputs[:WARM_UP]:
        check(text)
    times: tuple[list[int], list[int]] = ([], [])
    clock = time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        for kind, text in inputs:
            started_ns = clock()
            check(text)
            times[kind].append(clock() - started_ns)
    finally:
        gc.enable()
    return times
