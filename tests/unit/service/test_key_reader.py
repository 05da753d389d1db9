"""Reading keys in the background, in simulated time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.file import FileKeySource
from clients.secrets.key_source import KeySource, Secret
from clients.secrets.reference import reference_of
from service import key_reader
from service.books.alerts import Alerts
from service.key_reader import KeyReader
from service.telemetry.metrics import Metrics
from service.watch import watch
from tests.simulation.simulated_time import SimulatedLoop

REFRESH_S = 60.0


class Source:
    """Holds what a test puts there; `problem` is raised instead, after `takes_s`."""

    def __init__(self, name: str = "a", value: str = "one", kind: str = "vault") -> None:
        self.kind = kind
        self.reference = f"{kind}:{name}"
        self.path: Path | None = None
        self.value = value
        self.problem: Exception | None = None
        self.takes_s = 0.0
        self.reads_at: list[float] = []
        self.under_way = 0

    async def read(self) -> Secret:
        self.reads_at.append(asyncio.get_running_loop().time())
        value, problem = self.value, self.problem
        self.under_way += 1
        await asyncio.sleep(self.takes_s)
        self.under_way -= 1
        if problem is not None:
            raise problem
        return Secret(value)

    async def read_previous(self) -> Secret | None:
        return None


class Scene:
    """A reader, what it found, and what it told."""

    def __init__(self, *, uniform: Callable[[float, float], float] = lambda _, high: high) -> None:
        self.found: list[tuple[float, str, str]] = []
        self.alerts: list[tuple[str, str]] = []
        self.metrics = Metrics()
        told = Alerts(lambda kind, team: self.alerts.append((kind, team)), lambda: 0)
        self.reader = KeyReader(self._found, told, self.metrics, REFRESH_S, uniform)

    def _found(self, team: str, secret: Secret) -> None:
        self.found.append((asyncio.get_running_loop().time(), team, secret.reveal()))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    @contextlib.asynccontextmanager
    async def following(self, *sources: Source) -> AsyncIterator[KeyReader]:
        self.reader.take_over({source.reference.partition(":")[2]: source for source in sources})
        await self.reader.first()
        await asyncio.sleep(0.5)  # so that nothing that a test does falls together with a refresh
        yield self.reader
        await self.reader.close()


def simulated(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(test())
    finally:
        loop.close()


def test_a_source_that_is_away_for_an_hour_leaves_its_last_value_and_is_told_once_each_way() -> None:
    async def hour() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source) as reader:
            source.problem = SourceUnavailable("vault:a: cannot be reached (ConnectionError)")
            with capture_logs() as lines:
                for _ in range(60):
                    await asyncio.sleep(60)
                    last = reader.last("a")
                    assert last is not None
                    assert last.reveal() == "one"
                assert reader.problem("a") == "vault:a: cannot be reached (ConnectionError)"
                assert scene.metric("cohort_key_source_available", team="a") == 0
                source.problem, source.value = None, "two"
                await asyncio.sleep(REFRESH_S)
            away, back = (line for line in lines if line["event"] == "alert")

        assert scene.alerts == [("key_source_unavailable", "a"), ("key_source_back", "a")]
        assert away["problem"] == "vault:a: cannot be reached (ConnectionError)"
        assert back["away_seconds"] == pytest.approx(3600, abs=REFRESH_S)
        assert [(team, value) for _, team, value in scene.found] == [("a", "one"), ("a", "two")]
        assert reader.problem("a") == ""
        assert scene.metric("cohort_key_source_available", team="a") == 1
        unavailable = scene.metric("cohort_key_reads_total", source="vault", outcome="unavailable")
        assert unavailable == 60

    simulated(hour)


def test_a_changed_value_is_handed_on_within_a_refresh_and_an_unchanged_one_is_not() -> None:
    async def change() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source):
            await asyncio.sleep(10 * REFRESH_S)
            assert len(scene.found) == 1
            source.value = "two"
            await asyncio.sleep(REFRESH_S)

        assert [value for _, _, value in scene.found] == ["one", "two"]

    simulated(change)


def test_a_source_that_never_held_a_key_is_read_again_every_five_seconds() -> None:
    async def start() -> None:
        scene, source = Scene(), Source()
        source.problem = SecretMissing("vault:a: Vault has no such secret")
        async with scene.following(source) as reader:
            await asyncio.sleep(62)
            assert source.reads_at == pytest.approx([5.0 * number for number in range(13)])
            assert reader.last("a") is None
            source.problem = None
            await asyncio.sleep(5)

        assert scene.found == [(65.0, "a", "one")]
        assert scene.metric("cohort_key_reads_total", source="vault", outcome="missing") == 13

    simulated(start)


def test_refreshes_are_spread_and_never_later_than_promised() -> None:
    async def spread() -> None:
        import random

        scene = Scene(uniform=random.Random(7).uniform)
        sources = [Source(f"t{number}") for number in range(50)]
        async with scene.following(*sources):
            await asyncio.sleep(20 * REFRESH_S)
        gaps = [
            later - earlier
            for source in sources
            for earlier, later in zip(source.reads_at, source.reads_at[1:], strict=False)
        ]

        assert min(gaps) >= REFRESH_S * (1 - key_reader.JITTER)
        assert max(gaps) <= REFRESH_S
        assert len({round(source.reads_at[10], 1) for source in sources}) > 25

    simulated(spread)


def test_few_reads_of_one_kind_are_under_way_at_once_and_others_do_not_wait_for_them() -> None:
    async def crowd() -> None:
        scene = Scene()
        slow = [Source(f"slow{number}") for number in range(30)]
        quick = Source("quick", kind="file")
        most = 0
        for source in slow:
            source.takes_s = 3
        scene.reader.take_over({source.reference.partition(":")[2]: source for source in (*slow, quick)})
        for _ in range(11):
            await asyncio.sleep(1)
            most = max(most, sum(source.under_way for source in slow))
            assert scene.reader.last("quick") is not None
        await scene.reader.close()

        assert most == key_reader.READS_MAX

    simulated(crowd)


def test_a_start_does_not_wait_for_long() -> None:
    async def start() -> None:
        scene, source = Scene(), Source()
        source.takes_s = 3600
        scene.reader.take_over({"a": source})
        await scene.reader.first()
        started_s = asyncio.get_running_loop().time()
        await scene.reader.close()

        assert started_s == key_reader.FIRST_S_MAX

    simulated(start)


def test_all_who_ask_at_once_share_a_read_that_began_after_they_asked() -> None:
    async def ask() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source) as reader:
            source.takes_s = 1
            early = asyncio.create_task(reader.read("a"))
            await asyncio.sleep(0.5)
            source.value = "two"  # too late for the read under way
            late = [asyncio.create_task(reader.read("a")) for _ in range(100)]
            values = [(await each).reveal() for each in (early, *late)]

        assert values == ["one"] + 100 * ["two"]
        assert len(source.reads_at) == 3

    simulated(ask)


def test_one_who_gives_up_does_not_spoil_it_for_the_others() -> None:
    async def leave() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source) as reader:
            source.takes_s, source.value = 1, "two"
            leaving = asyncio.create_task(reader.read("a"))
            await asyncio.sleep(0.5)
            staying = asyncio.create_task(reader.read("a"))
            await asyncio.sleep(0.1)
            leaving.cancel()

            assert (await staying).reveal() == "two"

    simulated(leave)


def test_who_asks_is_told_the_problem_each_by_an_error_of_their_own() -> None:
    async def ask() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source) as reader:
            source.problem, source.takes_s = SourceUnavailable("vault:a: Vault is sealed"), 1
            asked = [asyncio.create_task(reader.read("a")) for _ in range(3)]
            errors = await asyncio.gather(*asked, return_exceptions=True)

        assert {str(error) for error in errors} == {"vault:a: Vault is sealed"}
        assert len({id(error) for error in errors}) == 3

    simulated(ask)


def test_an_environment_variable_is_read_once() -> None:
    async def wait() -> None:
        scene, source = Scene(), Source(kind="env")
        async with scene.following(source):
            await asyncio.sleep(10 * REFRESH_S)

        assert len(source.reads_at) == 1

    simulated(wait)


def test_a_reload_follows_new_teams_and_forgets_old_ones_and_leaves_the_rest() -> None:
    async def reload() -> None:
        scene = Scene()
        stays, goes, comes = Source("stays"), Source("goes"), Source("comes")
        async with scene.following(stays, goes) as reader:
            reader.take_over({"stays": stays, "comes": comes})
            await asyncio.sleep(1)
            assert reader.last("goes") is None
            assert scene.metric("cohort_key_source_available", team="goes") is None
            moved = Source("moved", "three")
            reader.take_over({"stays": moved, "comes": comes})
            await asyncio.sleep(1)

        assert [(team, value) for _, team, value in scene.found] == [
            ("stays", "one"), ("goes", "one"), ("comes", "one"), ("stays", "three"),
        ]  # fmt: skip
        assert len(stays.reads_at) == 1

    simulated(reload)


def test_a_fault_of_ours_does_not_end_the_following() -> None:
    async def fault() -> None:
        scene, source = Scene(), Source()
        async with scene.following(source):
            source.problem = ZeroDivisionError()
            with capture_logs() as lines:
                await asyncio.sleep(REFRESH_S)
            source.problem, source.value = None, "two"
            await asyncio.sleep(REFRESH_S)

        assert [line["event"] for line in lines] == ["cohere key not read"]
        assert [value for _, _, value in scene.found] == ["one", "two"]

    simulated(fault)


async def test_a_mounted_secret_that_is_swapped_is_read_at_once(tmp_path: Path) -> None:
    mount = Mounted(tmp_path, "one")
    source: KeySource = FileKeySource(reference_of("file:cohere_key"), tmp_path)
    scene = Scene()
    scene.reader.take_over({"a": source})
    await scene.reader.first()
    watching = asyncio.create_task(watch(scene.reader.files, scene.reader.files_changed, interval_s=0.01))
    for value in ("two", "three"):
        await asyncio.sleep(0.02)
        mount.swap(value)
        await until(lambda value=value: scene.found[-1][2] == value)  # type: ignore[misc]
    mount.remove()
    await until(lambda: scene.alerts != [])
    watching.cancel()
    await scene.reader.close()

    last = scene.reader.last("a")
    assert [value for _, _, value in scene.found] == ["one", "two", "three"]
    assert last is not None
    assert last.reveal() == "three"
    assert scene.reader.problem("a") == "file:cohere_key: there is no such file"


class Mounted:
    """A secret as the kubelet mounts it: the file is a link through `..data`, and that is swapped for another."""

    def __init__(self, folder: Path, value: str) -> None:
        self._folder = folder
        self._number = 0
        self.swap(value)
        (folder / "cohere_key").symlink_to("..data/cohere_key")

    def swap(self, value: str) -> None:
        self._number += 1
        written = self._folder / f"..2026_11_{self._number}"
        written.mkdir()
        (written / "cohere_key").write_text(f"{value}\n")
        (self._folder / "..data_tmp").symlink_to(written.name)
        (self._folder / "..data_tmp").rename(self._folder / "..data")

    def remove(self) -> None:
        (self._folder / "..data").unlink()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)
