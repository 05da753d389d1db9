"""Telling of sources that are away, in simulated time."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import Secret
from service.books.alerts import Alerts
from service.cohere_keys import source_watch
from service.cohere_keys.source_watch import SourceWatch
from service.telemetry.metrics import Metrics
from tests.simulation.simulated_time import SimulatedLoop

AWAY = "vault:a: cannot be reached (ConnectionError)"


class Source:
    """Holds what a test puts there; `problem` is raised instead, after `takes_s`."""

    reference = "vault:a"
    path: Path | None = None

    def __init__(self, kind: str = "vault") -> None:
        self.kind = kind
        self.value = "one"
        self.problem: Exception | None = None
        self.takes_s = 0.0
        self.under_way = self.most = 0

    async def read(self) -> Secret:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        if self.problem is not None:
            raise self.problem
        return Secret(self.value)

    async def read_previous(self) -> Secret | None:
        await self.read()
        return None


class Scene:
    """A watch, and what it told."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, str]] = []
        self.metrics = Metrics()
        told = Alerts(lambda kind, team: self.alerts.append((kind, team)), lambda: 0)
        self.watch = SourceWatch(told, self.metrics)
        self.source = Source()
        self.watched = self.watch.watched("search", self.source)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def simulated(test: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await test(Scene())

    loop = SimulatedLoop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


def test_a_source_that_is_away_for_an_hour_is_told_once_each_way() -> None:
    async def hour(scene: Scene) -> None:
        await scene.watched.read()
        scene.source.problem = SourceUnavailable(AWAY)
        with capture_logs() as lines:
            for _ in range(60):
                with pytest.raises(SourceUnavailable):
                    await scene.watched.read()
                assert scene.metric("cohort_key_source_available", team="search") == 0
                await asyncio.sleep(60)
            scene.source.problem = None
            await scene.watched.read()

        away, back = (line for line in lines if line["event"] == "alert")
        assert scene.alerts == [("key_source_unavailable", "search"), ("key_source_back", "search")]
        assert (away["problem"], back["reference"], back["away_seconds"]) == (AWAY, "vault:a", 3600)
        assert scene.metric("cohort_key_source_available", team="search") == 1
        assert scene.metric("cohort_key_reads_total", source="vault", outcome="unavailable") == 60
        assert scene.metric("cohort_key_reads_total", source="vault", outcome="read") == 2

    simulated(hour)


def test_a_key_that_is_missing_is_told_as_well() -> None:
    async def missing(scene: Scene) -> None:
        scene.source.problem = SecretMissing("vault:a: Vault has no such secret, or it is deleted")
        with pytest.raises(SecretMissing):
            await scene.watched.read()

        assert scene.alerts == [("key_source_unavailable", "search")]
        assert scene.metric("cohort_key_reads_total", source="vault", outcome="missing") == 1

    simulated(missing)


def test_what_is_known_of_a_source_outlives_a_reload_that_makes_it_anew() -> None:
    async def reload(scene: Scene) -> None:
        scene.source.problem = SourceUnavailable(AWAY)
        for _ in range(3):
            with pytest.raises(SourceUnavailable):
                await scene.watch.watched("search", scene.source).read()
            scene.watch.keep(["search"])

        assert scene.alerts == [("key_source_unavailable", "search")]

    simulated(reload)


def test_a_team_that_is_gone_leaves_nothing() -> None:
    async def gone(scene: Scene) -> None:
        scene.source.problem = SourceUnavailable(AWAY)
        with pytest.raises(SourceUnavailable):
            await scene.watched.read()
        scene.watch.keep(["other"])
        assert scene.metric("cohort_key_source_available", team="search") is None
        scene.watch.keep([])
        with pytest.raises(SourceUnavailable):
            await scene.watched.read()

        assert scene.alerts == 2 * [("key_source_unavailable", "search")]

    simulated(gone)


def test_a_version_before_that_cannot_be_read_raises_no_alert() -> None:
    async def before(scene: Scene) -> None:
        scene.source.problem = SourceUnavailable(AWAY)
        with pytest.raises(SourceUnavailable):
            await scene.watched.read_previous()

        assert scene.alerts == []

    simulated(before)


def test_few_reads_of_one_kind_are_under_way_at_once_and_others_do_not_wait_for_them() -> None:
    async def crowd(scene: Scene) -> None:
        scene.source.takes_s = 1
        other = Source("file")
        crowd = [asyncio.create_task(scene.watched.read()) for _ in range(30)]
        await asyncio.sleep(0.5)
        await scene.watch.watched("other", other).read()
        assert asyncio.get_running_loop().time() == 0.5
        await asyncio.gather(*crowd)

        assert scene.source.most == source_watch.READS_MAX
        assert asyncio.get_running_loop().time() == 4

    simulated(crowd)


def test_a_source_that_never_answers_is_away_and_takes_nobody_s_turn_for_ever() -> None:
    async def silence(scene: Scene) -> None:
        scene.source.takes_s = 1e9
        asked = [asyncio.create_task(scene.watched.read()) for _ in range(30)]
        errors = await asyncio.gather(*asked, return_exceptions=True)
        assert asyncio.get_running_loop().time() == source_watch.READ_S_MAX
        scene.source.takes_s = 0
        await scene.watched.read()

        assert {str(error) for error in errors} == {"vault:a: no answer in time"}
        assert scene.alerts == [("key_source_unavailable", "search"), ("key_source_back", "search")]

    simulated(silence)


def test_one_who_gives_up_tells_nothing() -> None:
    async def leave(scene: Scene) -> None:
        scene.source.takes_s = 1
        leaving = asyncio.create_task(scene.watched.read())
        await asyncio.sleep(0.5)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving

        assert scene.alerts == []
        assert scene.source.under_way == 0

    simulated(leave)


def test_a_watched_source_says_what_the_source_says() -> None:
    async def said(scene: Scene) -> None:
        assert (scene.watched.kind, scene.watched.reference, scene.watched.path) == ("vault", "vault:a", None)

    simulated(said)
