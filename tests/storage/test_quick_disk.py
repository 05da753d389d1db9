"""The loop waits for the disk while that is quicker than to be told, and looks seldom whether it has become so."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.storage.kernel_sync import KernelSync, kernel_sync
from service.storage.quick_disk import QUICK_S, REST_TIMES, QuickDisk


class Seconds:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_quick_disk_is_always_waited_for() -> None:
    disk = QuickDisk(Seconds())
    for _ in range(1000):
        assert disk.may_be_waited_for
        disk.took(QUICK_S)


def test_after_a_slow_sync_there_are_two_seconds_without() -> None:
    clock = Seconds()
    disk = QuickDisk(clock)
    disk.took(QUICK_S + 0.1)

    waits = []
    for _ in range(3):
        waits.append(disk.may_be_waited_for)
        clock.now_s += 1.01

    assert waits == [False, False, True]


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=300))
def test_whatever_the_disk_does_the_loop_loses_a_twentieth_of_its_time_at_most(
    syncs_and_pauses_s: list[tuple[float, float]],
) -> None:
    clock = Seconds()
    disk = QuickDisk(clock)
    lost_s, last_s = 0.0, 0.0
    for sync_s, pause_s in syncs_and_pauses_s:
        if disk.may_be_waited_for:
            clock.now_s += sync_s
            disk.took(sync_s)
            last_s = max(0.0, sync_s - QUICK_S)
            lost_s += last_s
        clock.now_s += pause_s

    assert (lost_s - last_s) * (1 + REST_TIMES) <= (clock.now_s - 1000.0) * 1.001


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"1")
    return path


async def kernels(descriptor: int) -> KernelSync:
    sync = await kernel_sync(descriptor)
    if sync is None:
        pytest.skip("this kernel has no AIO for us")
    return sync


def _may(disk: QuickDisk) -> bool:
    return disk.may_be_waited_for


async def test_a_file_is_brought_to_the_disk_where_the_loop_stands_or_beside_it(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    sync = await kernels(descriptor)
    assert _may(sync._disk)
    assert sync.bring(descriptor) is None

    sync._disk.took(60.0)
    assert not _may(sync._disk)
    ended: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    sync.begin(descriptor, ended.set_result)
    assert not ended.done()

    assert await ended is None
    sync.close()
    os.close(descriptor)


async def test_a_file_that_cannot_be_synced_says_so(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    sync = await kernels(descriptor)
    reading, writing = os.pipe()

    assert isinstance(sync.bring(writing), OSError)

    for each in (descriptor, reading, writing):
        os.close(each)
    sync.close()
