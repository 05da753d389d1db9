"""The watch of keys with a Cohere that says what a test wants: when it is asked, and what is told of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest
import structlog
from yarl import URL

from clients import key_verdict
from clients.breaker import Refusal
from clients.cohere_key import CohereKey
from clients.errors import UpstreamError
from clients.key_check import KeyChecker
from clients.key_ring import KeyRing
from clients.key_verdict import KeyState, KeyVerdict
from clients.slot import Slot
from clients.teams import TeamClient
from service.books.alerts import Alerts
from service.cohere_keys import team_watch, watch
from service.cohere_keys.watch import KeyWatch
from service.telemetry.metrics import Metrics
from tests.e2e.requests import until

HERE = URL("http://127.0.0.1:1")
GOOD = KeyVerdict(KeyState.GOOD, None, "taken", organization_id="ours", trial=False)
REJECTED = key_verdict.of_status(401, None)
AWAY = key_verdict.not_asked("away")


class Cohere:
    """Stands for the checker.

    Attributes:
        says: What it says of each version, by number.
        asked: The versions that it was asked about.
        base_urls: Where.
        answers: Set while it does.
    """

    def __init__(self) -> None:
        self.says: dict[int, KeyVerdict] = {}
        self.asked: list[int] = []
        self.base_urls: set[URL] = set()
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self, key: CohereKey, base_url: URL) -> KeyVerdict:
        self.asked.append(key.version)
        self.base_urls.add(base_url)
        await self.answers.wait()
        return self.says.get(key.version, GOOD)


class Scene:
    """A watch over some teams, and what it told."""

    def __init__(self, *teams: str, check_s: float) -> None:
        self.cohere = Cohere()
        self.clients: dict[str, TeamClient] = {}
        self.alerts: list[tuple[str, str]] = []
        self.survivals: list[tuple[str, int, int]] = []
        for team in teams:
            self.add(team)
        self.watch = KeyWatch(
            cast("KeyChecker", self.cohere),
            lambda: self.clients,
            check_s,
            Alerts(lambda kind, team: self.alerts.append((kind, team)), lambda: 1),
            Metrics(),
            survived=lambda *told: self.survivals.append(told),
        )

    def add(self, team: str) -> KeyRing:
        keys = KeyRing()
        keys.use(CohereKey("one", 1))
        self.clients[team] = TeamClient(team, HERE, keys, "file")
        return keys

    def keys(self, team: str) -> KeyRing:
        return self.clients[team].keys

    async def reject(self, team: str) -> Slot:
        leave = await self.keys(team).leave("chat")
        slot = Slot(leave.key, HERE, begun_s=leave.begun_s)
        self.keys(team).answered(slot, "chat", 401)
        return slot


@contextlib.asynccontextmanager
async def watching(*teams: str, check_s: float = 3600.0) -> AsyncIterator[Scene]:
    scene = Scene(*teams, check_s=check_s)
    await scene.watch.check_all()
    running = asyncio.create_task(scene.watch.run())
    yield scene
    running.cancel()
    await asyncio.wait({running})


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "TICK_S", 0.01)
    monkeypatch.setattr(team_watch, "HEAL_S", 0.02)


async def test_a_good_key_is_asked_about_on_schedule() -> None:
    async with watching("search", check_s=0.05) as scene:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await until(lambda: len(scene.cohere.asked) >= 5)

        assert loop.time() - began_s > 4 * 0.05 * 0.9
        assert scene.alerts == []


async def test_a_refused_key_is_asked_about_often_until_it_is_good_and_told_of_once() -> None:
    with structlog.testing.capture_logs() as lines:
        async with watching("search") as scene:
            scene.cohere.says[1] = REJECTED
            await scene.reject("search")
            await until(lambda: len(scene.cohere.asked) >= 5)
            assert scene.alerts == [("cohere_key_refused", "search")]
            scene.cohere.says[1] = GOOD
            await until(lambda: not scene.keys("search").rejected)

    told = [line["event"] for line in lines if line["event"].startswith("cohere key")]
    assert told == ["cohere key good", "cohere key refused", "cohere key not good", "cohere key taken again",
                    "cohere key good"]  # fmt: skip


async def test_a_key_that_is_refused_whole_after_an_endpoint_was_is_told_of_again() -> None:
    async with watching("search") as scene:
        for endpoint in ("embed", "rerank", "embed"):
            slot = Slot((await scene.keys("search").leave("chat")).key, HERE)
            scene.keys("search").answered(slot, endpoint, 403)
        assert len(scene.alerts) == 2
        scene.cohere.says[1] = REJECTED
        await scene.reject("search")
        before = len(scene.cohere.asked)
        await until(lambda: len(scene.cohere.asked) >= before + 3)

    assert scene.alerts == [("cohere_key_refused", "search")] * 3


async def test_a_refusal_that_cohere_did_not_mean_is_over_though_the_source_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(team_watch, "SOURCE_WAIT_S", 0.02)
    async with watching("search") as scene:
        scene.keys("search").renew = asyncio.Event().wait
        await scene.reject("search")
        assert scene.keys("search").rejected
        await until(lambda: not scene.keys("search").rejected)


async def test_a_refusal_that_cohere_did_not_mean_is_over_with_the_next_check_and_alerts_nobody() -> None:
    async with watching("search") as scene:
        await scene.reject("search")
        await until(lambda: not scene.keys("search").rejected)

        assert scene.cohere.asked == [1, 1]
        assert scene.alerts == []


async def test_a_cohere_that_is_away_neither_opens_nor_closes() -> None:
    async with watching("good", "bad") as scene:
        scene.cohere.says[1] = AWAY
        await scene.reject("bad")
        before = len(scene.cohere.asked)
        await until(lambda: len(scene.cohere.asked) >= before + 5)

        assert (scene.keys("bad").rejected, scene.keys("good").rejected) == (True, False)


async def test_a_check_that_finds_a_key_refused_stops_its_calls_before_one_fails() -> None:
    async with watching("search", "ads", check_s=0.05) as scene:
        scene.keys("search").use(CohereKey("two", 2))
        scene.cohere.says[2] = REJECTED
        await until(lambda: scene.keys("search").rejected)

        with pytest.raises(UpstreamError):
            await scene.keys("search").leave("chat")
        assert (await scene.keys("ads").leave("chat")).key.version == 1


async def test_a_missing_key_is_looked_for_often() -> None:
    scene = Scene("search", check_s=3600.0)
    scene.keys("search").use(None)

    async def found() -> None:
        scene.keys("search").use(CohereKey("one", 1))

    verdicts = await scene.watch.check_all()
    scene.keys("search").renew = found
    running = asyncio.create_task(scene.watch.run())
    await until(lambda: scene.cohere.asked)
    running.cancel()
    await asyncio.wait({running})

    assert verdicts["search"].cause == "not_set"
    assert "can be read" in verdicts["search"].advice  # it may be away
    assert scene.alerts == [("cohere_key_refused", "search")]


async def test_teams_that_come_and_go_are_followed_and_a_late_answer_to_one_that_went_fails_nobody() -> None:
    async with watching("search") as scene:
        leave = await scene.keys("search").leave("chat")
        gone = scene.clients.pop("search").keys
        scene.add("new").use(CohereKey("seven", 7))
        await until(lambda: 7 in scene.cohere.asked)
        gone.answered(Slot(leave.key, HERE, begun_s=leave.begun_s), "chat", 402)

        assert gone.refusal is Refusal.UNPAID
        gone.close()


async def test_a_team_that_moves_to_another_cohere_is_asked_about_there() -> None:
    async with watching("search", check_s=0.05) as scene:
        there = URL("http://127.0.0.1:2")
        scene.clients["search"] = TeamClient("search", there, scene.keys("search"), "file")

        await until(lambda: scene.cohere.base_urls == {HERE, there})


async def test_what_is_not_found_out_in_time_at_the_start_is_not_known() -> None:
    scene = Scene("search", "ads", check_s=3600.0)
    scene.cohere.answers.clear()
    verdicts = await scene.watch.check_all(timeout_s=0.05)

    assert {verdict.state for verdict in verdicts.values()} == {KeyState.UNKNOWN}
    assert len(scene.cohere.asked) == 2


async def test_a_version_that_proved_worse_than_the_one_before_is_told_of() -> None:
    async with watching("search") as scene:
        keys = scene.keys("search")
        keys.use(CohereKey("two", 2), keys.in_use)
        scene.cohere.says[2] = REJECTED
        await scene.reject("search")
        leave = await keys.leave("chat")
        keys.answered(Slot(leave.key, HERE, begun_s=leave.begun_s), "chat", 200)
        await until(lambda: len(scene.cohere.asked) >= 3)

        assert scene.survivals == [("search", 2, 1)]
        assert scene.alerts == [], "calls go on"
