"""Reports as callers ask for them, over windows and dimensions drawn at random, and how long each takes."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import grpc

from bench.load import CallsFailed
from bench.reports.history import DAYS, TEAMS
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse, UsageDimension
from service.books.usage import QUARTER_US

DAY_US = 86_400_000_000
ROWS_MAX = 10_000
ASKED_AT_ONCE = 2
_TEAM, _ENDPOINT, _MODEL, _KEY, _HOUR, _DAY = (value for value in UsageDimension.values() if value)
_GROUPINGS: tuple[tuple[UsageDimension.ValueType, ...], ...] = (
    (), (_TEAM,), (_MODEL,), (_KEY,), (_DAY,), (_TEAM, _MODEL), (_TEAM, _DAY), (_TEAM, _ENDPOINT, _MODEL, _KEY),
)  # fmt: skip
_EVERYTHING = (_TEAM, _ENDPOINT, _MODEL, _KEY)
_DEADLINE_S = 60
_SEED = 11

Whose: TypeAlias = Literal["one team", "all teams"]


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of report.

    Attributes:
        name: As the table names it.
        whose: How many teams it is of.
        days_max: The longest window.
        groupings: What rows are made by, drawn from these.
        ms_max: What the slowest of a hundred may take at most; None if that is only told.
        times: How often it is asked.
    """

    name: str
    whose: Whose
    days_max: int
    groupings: Sequence[tuple[UsageDimension.ValueType, ...]]
    ms_max: float | None
    times: int


QUESTIONS = (
    Question("one team, any window", "one team", DAYS, (*_GROUPINGS, (_MODEL, _KEY, _DAY)), 50, 300),
    Question("one team, hours of a month", "one team", 31, ((_HOUR,), (_MODEL, _HOUR)), 50, 200),
    Question("all teams, 31 days", "all teams", 31, _GROUPINGS, 50, 300),
    Question("all teams, a year", "all teams", DAYS, _GROUPINGS, 500, 100),
    Question("all teams, each key and day of a month", "all teams", 31, ((*_EVERYTHING, _DAY),), None, 50),
    Question("all teams, hours of a month", "all teams", 31, ((_HOUR,), (_TEAM, _HOUR)), None, 50),
    Question("all teams, each key and day of a year", "all teams", DAYS, ((*_EVERYTHING, _DAY),), None, 20),
)
HEAVIEST = QUESTIONS[-1]


@dataclass(frozen=True, slots=True)
class Answered:
    """How long a kind of report took, as its caller saw it; in milliseconds."""

    question: Question
    rows: int
    """Of the longest page."""
    p50_ms: float
    p99_ms: float


def requests(question: Question, end_us: int) -> Iterator[GetUsageRequest]:
    """What is asked of books that end at *end_us*: half of the windows as long as they may be, the others shorter."""
    chance = random.Random(_SEED)  # noqa: S311 (to be the same every time)
    quarters_max = question.days_max * DAY_US // QUARTER_US
    last = end_us // QUARTER_US
    for number in range(question.times):
        length = quarters_max if number % 2 else chance.randint(1, quarters_max)
        start = last - DAYS * DAY_US // QUARTER_US
        start += chance.randint(0, DAYS * DAY_US // QUARTER_US - length)
        request = GetUsageRequest(group_by=chance.choice(question.groupings))
        request.start_time.FromMicroseconds(start * QUARTER_US)
        request.end_time.FromMicroseconds((start + length) * QUARTER_US)
        if question.whose == "all teams":
            request.all_teams = True
        else:  # every second one of the large ones
            request.team = TEAMS[chance.randint(0, 4) if number % 4 < 2 else chance.randint(0, len(TEAMS) - 1)]
        yield request


@contextlib.contextmanager
def being_asked(question: Question, port: int, access_key: str, end_us: int) -> Iterator[None]:
    """Asks again and again, two at once and for the longest pages, as long as the context lasts.

    Raises:
        CallsFailed: On leaving it: one was not answered.
    """
    done = threading.Event()

    def keep_asking() -> int:
        asked = 0
        with _caller(port, access_key) as call:
            while not done.is_set():
                for request in requests(question, end_us):
                    request.page_size = ROWS_MAX
                    call(request)
                    asked += 1
                    if done.is_set():
                        break
        return asked

    with ThreadPoolExecutor(ASKED_AT_ONCE) as callers:
        asking = [callers.submit(keep_asking) for _ in range(ASKED_AT_ONCE)]
        try:
            yield
        finally:
            done.set()
    for each in asking:
        if not each.result():
            raise CallsFailed(f"{question.name}: nothing was asked meanwhile")


def ask(question: Question, port: int, access_key: str, end_us: int) -> Answered:
    """Asks one after the other.

    Raises:
        CallsFailed: One was not answered.
    """
    took_ms: list[float] = []
    rows = 0
    with _caller(port, access_key) as call:
        for request in requests(question, end_us):
            started_s = time.perf_counter()
            answer = call(request)
            took_ms.append((time.perf_counter() - started_s) * 1000)
            rows = max(rows, len(answer.rows))
    took_ms.sort()
    return Answered(question, rows, took_ms[len(took_ms) // 2], took_ms[-(-len(took_ms) * 99 // 100) - 1])


@contextlib.contextmanager
def _caller(port: int, access_key: str) -> Iterator[Callable[[GetUsageRequest], GetUsageResponse]]:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]) as channel:
        stub = GatewayServiceStub(channel)

        def call(request: GetUsageRequest) -> GetUsageResponse:
            try:
                return stub.GetUsage(request, timeout=_DEADLINE_S, metadata=(("x-api-key", access_key),))
            except grpc.RpcError as error:
                raise CallsFailed(f"GetUsage: {error}") from None

        yield call
