"""The rows of versions and rotations, on both engines: every history stands in them as it was reckoned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from service.books.entries import Work
from service.books.errors import RequestIdReused, RotationUnderWay
from service.rotation import machine, rows, steps
from service.rotation.fingerprint import Fingerprints
from service.rotation.history import Cause, History, State
from service.rotation.machine import Asked, Change, Found, Overtaken
from service.storage.database import Transaction
from tests.identity.stopped_books import StoppedBooks
from tests.rotation.key_history import Keeper, KeyHistoryMachine

DAY_US = 86_400_000_000
OLD, NEW = Found(b"old", "held:", "", "org"), Found(b"new", "held:")


@pytest.fixture(params=["sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoppedBooks]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    opened = StoppedBooks(tmp_path, url)
    yield opened
    opened.close()


class InDatabase:
    """A history in a database, read anew each time."""

    def __init__(self, stopped: StoppedBooks) -> None:
        self._stopped = stopped
        self._stopped.run(stopped.books.change(Work("", _emptied)))
        self.first_change, self.told = self.change, len(self.notices())

    @property
    def now_us(self) -> int:
        return self._stopped.now_us

    @property
    def history(self) -> History:
        read = self._stopped.run(self._stopped.books.read(lambda tx: rows.read_history(tx, "search")))
        assert isinstance(read, History)
        return read

    @property
    def change(self) -> int:
        read = self._stopped.run(self._stopped.books.read(lambda tx: rows.read_histories(tx, None)))
        assert not isinstance(read, int)
        return read.change

    def pass_time(self, by_us: int) -> None:
        self._stopped.pass_time(by_us)

    def notices(self) -> list[dict[str, Any]]:
        found = self._stopped.run(self._stopped.books.read(_notices))
        return [orjson.loads(body) for body in found if '"cohere_key_' in body]

    def apply(self, name: str, *arguments: Any) -> list[dict[str, Any]]:
        made: list[Change] = []

        def act(history: History, now_us: int) -> Change:
            timed = () if name == "learn" else (now_us,)
            made[:] = [getattr(machine, name)(history, *arguments, *timed)]
            return made[0]

        written = self._stopped.run(self._stopped.books.change(steps.step("search", act)))
        assert written == made[0].history == self.history
        recorded = self.notices()[self.told :]
        assert recorded == made[0].notices
        self.told += len(recorded)
        return recorded


async def _emptied(tx: Transaction) -> tuple[None, None]:
    await tx.fetch("DELETE FROM cohere_key_version")
    await tx.fetch("DELETE FROM cohere_key_rotation")
    return None, None


async def _notices(tx: Transaction) -> list[str]:
    return [body for (body,) in await tx.fetch("SELECT body FROM audit WHERE kind = 'notice' ORDER BY at_us, seq")]


def explore(stopped: StoppedBooks, histories: int, length: int) -> None:
    class Machine(KeyHistoryMachine):
        counts: ClassVar = KeyHistoryMachine.counts

        def fresh_keeper(self) -> Keeper:
            return InDatabase(stopped)

    KeyHistoryMachine.counts.clear()
    asked = settings(
        max_examples=histories,
        stateful_step_count=length,
        phases=(Phase.generate,),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Machine, settings=asked)
    print(dict(KeyHistoryMachine.counts.most_common()))
    assert {"stage", "make_current", "Overtaken"} <= KeyHistoryMachine.counts.keys()


def test_the_rows_say_what_was_reckoned(books: StoppedBooks) -> None:
    explore(books, 30, 30)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_the_rows_say_what_was_reckoned_for_long(books: StoppedBooks) -> None:
    explore(books, 300, 60)


def asked(number: int = 1, request_id: str = "", content: bytes = b"") -> Asked:
    return Asked(f"rotation{number}", "platform/ada", DAY_US, "a", request_id=request_id, request_digest=content)


def current(books: StoppedBooks, found: Found, number: int, sealed: bytes | None = None) -> History:
    """Rotates to a value."""
    seal = None if sealed is None else lambda version: sealed + str(version).encode()
    books.run(books.books.change(steps.begin("search", found, asked(number), seal)))
    rotation_id = f"rotation{number}"
    verify = steps.step("search", lambda history, now_us: machine.verify(history, rotation_id, "a", "org", now_us))
    books.run(books.books.change(verify))
    take = steps.step("search", lambda history, now_us: machine.make_current(history, rotation_id, "a", now_us))
    history: History = books.run(books.books.change(take))
    return history


def sealed_of(books: StoppedBooks, version: int) -> bytes | None:
    return books.run(books.books.read(lambda tx: rows.read_sealed(tx, "search", version)))


def test_a_request_that_is_sent_again_finds_its_rotation(books: StoppedBooks) -> None:
    first, _ = books.run(books.books.change(steps.begin("search", NEW, asked(1, "r1", b"digest"))))
    again, _ = books.run(books.books.change(steps.begin("search", NEW, asked(2, "r1", b"digest"))))

    assert again == first


def test_a_name_that_stands_for_another_request_is_refused(books: StoppedBooks) -> None:
    books.run(books.books.change(steps.begin("search", NEW, asked(1, "r1", b"digest"))))

    with pytest.raises(RequestIdReused):
        books.run(books.books.change(steps.begin("search", NEW, asked(2, "r1", b"other"))))


def test_two_who_ask_at_once_begin_one_rotation(books: StoppedBooks) -> None:
    books.run(books.books.change(steps.begin("search", NEW, asked(1))))

    with pytest.raises(RotationUnderWay):
        books.run(books.books.change(steps.begin("search", NEW, asked(2))))


def test_what_could_not_be_read_is_kept_with_its_reason(books: StoppedBooks) -> None:
    work = steps.begin_unread("search", asked(1, "r1"), Cause.KEY_NOT_SET, "file:key: empty")
    books.run(books.books.change(work))

    (rotation,) = history_of(books).rotations
    assert (rotation.state, rotation.version, rotation.cause) == (State.FAILED, None, Cause.KEY_NOT_SET)


def history_of(books: StoppedBooks) -> History:
    return books.run(books.books.read(lambda tx: rows.read_history(tx, "search")))


def test_an_envelope_lives_as_long_as_its_version_may_be_used(books: StoppedBooks) -> None:
    current(books, OLD, 1, b"old")
    current(books, NEW, 2, b"new")
    assert (sealed_of(books, 1), sealed_of(books, 2)) == (b"old1", b"new2")

    back = steps.step("search", lambda history, now: machine.roll_back(history, 2, Cause.KEY_REJECTED, "", now))
    books.run(books.books.change(back))

    assert (sealed_of(books, 1), sealed_of(books, 2)) == (b"old1", None)


def test_a_step_that_is_overtaken_leaves_no_trace(books: StoppedBooks) -> None:
    keeper = InDatabase(books)
    before = keeper.change

    with pytest.raises(Overtaken):
        keeper.apply("roll_back", 1, Cause.KEY_REJECTED, "refused")
    assert keeper.change == before
    assert keeper.notices() == []


def test_a_fingerprint_is_no_hmac_that_content_can_have() -> None:
    key = b"k" * 32
    fingerprints = Fingerprints(key)

    assert fingerprints.of("value") == Fingerprints(key).of("value")
    assert fingerprints.of("value") != Fingerprints(b"o" * 32).of("value")
    assert fingerprints.of("value") != fingerprints.of_request(b"value")
    assert repr(key) not in repr(fingerprints)
