"""The kernel brings the log to the disk, where there is one that does; where there is none, a thread waits."""

import asyncio
import errno
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from service.storage import kernel_sync as kernel_sync_module
from service.storage.errors import CommitUncertain
from service.storage.kernel_sync import kernel_sync
from service.storage.sqlite import SqliteDatabase
from tests.storage.statements import CREATE_THING, ids, insert, run


async def test_where_there_is_no_kernel_aio_commit_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_import(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", refuse_import)
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    assert database._sync is None
    await run(database, CREATE_THING)
    for number in range(3):
        await database.run(insert(number))
        assert await run(database, "PRAGMA synchronous") == [(2,)]

    assert await ids(database) == [0, 1, 2]
    await database.close()


_FORBIDDEN = """
import asyncio, ctypes, struct, sys
from pathlib import Path
from service.storage.sqlite import SqliteDatabase
from tests.storage.statements import CREATE_THING, ids, insert, run

LOAD_NUMBER, IF_EQUAL, RETURN, ALLOW, EPERM = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
filter = b"".join(struct.pack("HBBI", *each) for each in (
    (LOAD_NUMBER, 0, 0, 0), (IF_EQUAL, 0, 1, int(sys.argv[2])), (RETURN, 0, 0, EPERM), (RETURN, 0, 0, ALLOW)
))
lines = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", 4, ctypes.addressof(lines))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

async def main():
    database = SqliteDatabase(Path(sys.argv[1]))
    await database.open()
    await run(database, CREATE_THING)
    for number in range(3):
        await database.run(insert(number))
    print(database._sync, await run(database, "PRAGMA synchronous"), await ids(database))
    await database.close()

asyncio.run(main())
"""
NUMBERS = {
    ("io_setup", "x86_64"): 206,
    ("io_submit", "x86_64"): 209,
    ("io_setup", "aarch64"): 0,
    ("io_submit", "aarch64"): 2,
}


@pytest.mark.skipif(sys.platform != "linux", reason="nothing else has seccomp")
@pytest.mark.parametrize("call", ["io_setup", "io_submit"])
def test_where_a_sandbox_forbids_it_commit_waits_for_the_disk(tmp_path: Path, call: str) -> None:
    number = NUMBERS[call, platform.machine()]
    ended = subprocess.run(
        [sys.executable, "-c", _FORBIDDEN, tmp_path / "books.db", str(number)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.stdout, ended.stderr) == ("None [(2,)] [0, 1, 2]\n", "")


async def test_a_file_that_the_kernel_does_not_sync_is_synced_in_the_thread() -> None:
    reading, writing = os.pipe()

    assert await kernel_sync(writing) is None

    os.close(reading)
    os.close(writing)


@pytest.fixture
async def on_kernel(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    await run(database, CREATE_THING)
    if database._sync is None:
        await database.close()
        pytest.skip("this kernel has no AIO for us")
    yield database
    await database.close()


async def test_with_the_kernels_help_scripts_need_no_thread(on_kernel: SqliteDatabase) -> None:
    before = on_kernel._writer_thread._given
    for number in range(50):
        await on_kernel.run(insert(number))

    assert on_kernel._writer_thread._given == before
    assert await ids(on_kernel) == [*range(50)]


async def test_each_database_of_a_process_has_its_own(tmp_path: Path) -> None:
    databases = [SqliteDatabase(tmp_path / f"{number}.db") for number in range(3)]
    for database in databases:
        await database.open()
        await run(database, CREATE_THING)
    await asyncio.gather(*(database.run(insert(number)) for number in range(30) for database in databases))

    for database in databases:
        assert sorted(await ids(database)) == [*range(30)]
        await database.close()


class FakeAio:
    """What stands for the kernel: it takes an operation, and says the number that it ended with."""

    def __init__(self) -> None:
        self.results: list[int] = []
        self.refuses = False
        self._under_way: list[Callable[[int], object]] = []
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK)
        self.Operation = self

    def Context(self, max_requests: int) -> "FakeAio":
        assert max_requests == 1
        return self

    def fdsync(self, descriptor: int) -> "FakeAio":
        assert os.fstat(descriptor)
        return self

    def set_callback(self, callback: Callable[[int], object]) -> None:
        self._under_way.append(callback)

    def submit(self, operation: object) -> None:
        assert operation is self
        if self.refuses:
            self._under_way.pop()
            raise OverflowError("Insufficient resources")
        os.eventfd_write(self.fileno, 1)

    def poll(self) -> None:
        os.eventfd_read(self.fileno)

    def process_events(self, most: int) -> None:
        assert most == 1
        self._under_way.pop()(self.results.pop() if self.results else 0)


@pytest.fixture
async def aio(monkeypatch: pytest.MonkeyPatch) -> FakeAio:
    fake = FakeAio()
    monkeypatch.setattr("importlib.import_module", lambda _: fake)
    monkeypatch.setattr(kernel_sync_module, "_spare_contexts", [])
    return fake


@pytest.fixture
async def on_fake(tmp_path: Path, aio: FakeAio) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "books.db")
    await database.open()
    await run(database, CREATE_THING)
    await database.run(insert(1))
    yield database
    await database.close()
    os.close(aio.fileno)


@pytest.mark.parametrize(
    ("result", "said"), [(2**64 - errno.EIO, os.strerror(errno.EIO)), (7, "ended with 7"), (2**63, "ended with")]
)
async def test_a_sync_that_the_kernel_says_has_failed_makes_the_commit_uncertain_and_the_next_one_is_tried(
    on_fake: SqliteDatabase, aio: FakeAio, result: int, said: str
) -> None:
    aio.results.append(result)
    with pytest.raises(CommitUncertain, match=said):
        await on_fake.run(insert(2))

    await on_fake.run(insert(3))
    await on_fake.run(insert(4))
    assert await ids(on_fake) == [1, 2, 3, 4]


async def test_when_the_kernel_refuses_once_a_thread_waits_for_the_disk(
    on_fake: SqliteDatabase, aio: FakeAio, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fdatasync", waited.append)
    aio.refuses = True
    await on_fake.run(insert(2))
    aio.refuses = False
    await on_fake.run(insert(3))

    assert waited == [on_fake._writer.log]
    assert await ids(on_fake) == [1, 2, 3]


async def test_a_thread_that_waits_in_vain_makes_the_commit_uncertain(
    on_fake: SqliteDatabase, aio: FakeAio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(descriptor: int) -> None:
        raise OSError(errno.EIO, f"broken {descriptor}")

    monkeypatch.setattr(os, "fdatasync", break_down)
    aio.refuses = True

    with pytest.raises(CommitUncertain, match="broken"):
        await on_fake.run(insert(2))


async def test_a_log_that_cannot_even_be_closed_is_opened_anew(
    on_fake: SqliteDatabase, aio: FakeAio, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, log = os.close, on_fake._writer.log

    def closed_with_an_error(descriptor: int) -> None:
        close(descriptor)
        if descriptor == log:
            raise OSError(errno.EIO, "broken")

    aio.results.append(2**64 - errno.EIO)
    with monkeypatch.context() as patch:
        patch.setattr(os, "close", closed_with_an_error)
        async with asyncio.timeout(10):
            with pytest.raises(CommitUncertain):
                await on_fake.run(insert(2))

    await on_fake.run(insert(3))
    assert await ids(on_fake) == [1, 2, 3]


async def test_who_leaves_while_the_kernel_is_tried_leaves_nothing_behind(aio: FakeAio, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        trying = asyncio.create_task(kernel_sync(file.fileno()))
        await asyncio.sleep(0)
        assert kernel_sync_module._spare_contexts == []
        trying.cancel()
        await asyncio.wait({trying})
        async with asyncio.timeout(10):
            while not kernel_sync_module._spare_contexts:
                await asyncio.sleep(0.001)

    assert not asyncio.get_running_loop().remove_reader(aio.fileno)
    os.close(aio.fileno)
