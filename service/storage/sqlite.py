"""SQLite in one file, for one process: a writer that alone checkpoints, and readers beside it, each in its thread.

An acknowledged transaction survives a power failure: COMMIT waits for the disk, or whoever asked for the transaction
does. After a write or a sync that failed the writer is not trusted any more: it is closed without another fsync, and
opened anew for the next transaction.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from service.storage.database import Script, Work
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.kernel_sync import FileSync, kernel_sync
from service.storage.sqlite_connection import bringing_log_to_disk
from service.storage.sqlite_lock import FileLock
from service.storage.sqlite_session import Session
from service.storage.steps import work_of
from service.storage.worker import Worker

T = TypeVar("T")


def wall_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


class SqliteDatabase:
    """A `Database` in one file.

    Args:
        path: The file; beside it lie its log, its index and its lock.
        clock_us: What `clock_us()` says in statements.
        read_only: For looking into the file while another process serves from it, or while none does.
        vfs: The name of a SQLite VFS, through which tests break the disk.
        sync: What brings the log to the disk instead of the kernel; with a VFS nothing does unless it is given.
    """

    engine: Literal["sqlite"] = "sqlite"
    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        path: Path,
        *,
        clock_us: Callable[[], int] = wall_clock_us,
        read_only: bool = False,
        vfs: str | None = None,
        sync: FileSync | None = None,
    ) -> None:
        self._path = path
        self._clock_us = clock_us
        self._lock = None if read_only else FileLock(path)
        self._tries_kernel = sync is None and vfs is None
        self._sync = sync
        self._synced = asyncio.Event()
        self._synced.set()
        self._reader, self._glancer = (Session(path, clock_us, writes=False, vfs=vfs) for _ in range(2))
        self._writer = Session(path, clock_us, writes=True, vfs=vfs, readers=(self._reader, self._glancer))
        self._writer_thread = Worker("sqlite-writer")
        self._reader_thread, self._glancer_thread = Worker("sqlite-reader"), Worker("sqlite-glancer")

    async def open(self) -> None:
        """Opens the file, and makes it if it is not there.

        Raises:
            DatabaseUnavailable: It cannot be opened, or another process serves from it.
        """
        try:
            if self._lock is not None:
                self._lock.take()
                await self._writer_thread.run(self._writer.open)
                if self._tries_kernel:
                    self._sync = await kernel_sync(self._writer.log)
            await self._reader_thread.run(self._reader.open)
        except BaseException:
            await self.close()
            raise

    async def transact(self, work: Work[T], *, lock_timeout_s: float | None = None) -> T:  # noqa: ARG002 - nobody else locks
        if self._lock is None:
            raise DatabaseUnavailable("The database is open for reading only")
        return await self._in_thread(functools.partial(self._writer.run, work))

    async def run(self, script: Script[T]) -> T:
        work = work_of(script)
        if not self._writer_thread.is_idle:
            return await self.transact(work)
        # Statements take microseconds, and in the thread each would wait for the interpreter, which the loop has.
        sync = None if self._writer.log_begins else self._sync
        commit = self._writer.attempt(work, syncs=sync is None)
        if commit is None:
            return await self.transact(work)
        if sync is None:
            return await self._in_thread(commit)
        result = commit()
        await self._bring_to_disk(sync)
        return result

    async def _in_thread(self, job: Callable[[], T]) -> T:
        try:
            return await self._writer_thread.run(job)
        finally:
            self._checkpoint_if_due()

    async def _bring_to_disk(self, sync: FileSync) -> None:
        """Waits until what was committed to the log is on the disk. Until then nothing else is, and no read ends.

        Raises:
            CommitUncertain: The sync failed.
        """
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(error: OSError | None) -> None:
            if error is not None:
                self._writer.distrust()
            self._synced.set()
            self._writer_thread.release()
            self._checkpoint_if_due()
            if told.done():  # its waiter has left
                return
            if error is None:
                told.set_result(None)
            else:
                told.set_exception(CommitUncertain(f"The log could not be brought to the disk: {error}"))

        self._writer_thread.hold()
        self._synced.clear()
        sync.begin(self._writer.log, ended)
        await told

    def _checkpoint_if_due(self) -> None:
        if self._writer.is_checkpoint_due and not self._writer_thread.is_closed:
            self._writer_thread.give(self._writer.checkpoint)

    async def read(self, work: Work[T]) -> T:
        return await self._look(self._reader_thread, self._reader, work)

    async def glance(self, work: Work[T]) -> T:
        return await self._look(self._glancer_thread, self._glancer, work)

    async def _look(self, thread: Worker, session: Session, work: Work[T]) -> T:
        if self._lock is None:
            return await thread.run(functools.partial(self._look_from_outside, session, work))
        if self._writer.in_doubt:
            await self._writer_thread.run(self._writer.open)
        doubts = self._writer.doubts
        try:
            result = await thread.run(functools.partial(session.run, work))
        except Exception:  # which may come of what was read
            await self._require_durable(doubts)
            raise
        await self._require_durable(doubts)
        return result

    def _look_from_outside(self, session: Session, work: Work[T]) -> T:
        try:
            with bringing_log_to_disk(self._path):  # another process may not be through with what is seen here
                return session.run(work)
        except OSError as error:
            raise DatabaseUnavailable(f"What was read may not be on the disk: {error}") from error

    async def _require_durable(self, doubts: int) -> None:
        """Waits until all that a read has seen is on the disk; it may have been there for readers first.

        Args:
            doubts: The writer's when the read began.

        Raises:
            DatabaseUnavailable: A sync has failed.
        """
        await self._synced.wait()
        if self._writer.doubts != doubts:
            raise DatabaseUnavailable("What was read may not be on the disk")

    async def now_us(self) -> int:
        return self._clock_us()

    async def close(self) -> None:
        await self._reader_thread.close(self._reader.close)
        await self._glancer_thread.close(self._glancer.close)
        await self._writer_thread.close(self._writer.close)  # last, for it takes the log into the file
        sync, self._sync = self._sync, None
        if sync is not None:
            sync.close()
        if self._lock is not None:
            self._lock.give_back()
