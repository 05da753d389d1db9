import asyncio
from pathlib import Path

from service.watch import Stamp, stamp_of, watch


async def test_a_change_that_cannot_be_taken_does_not_end_the_watch(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("0")
    seen: list[str] = []
    told = asyncio.Event()

    def changed() -> None:
        seen.append(file.read_text())
        told.set()
        if len(seen) == 1:
            raise ValueError("a bad edit")

    watching = asyncio.create_task(watch(lambda: [file], changed, interval_s=0.001))
    await asyncio.sleep(0)
    for number in ("bad edit", "a good edit"):
        told.clear()
        file.write_text(number)
        await told.wait()
    watching.cancel()

    assert seen == ["bad edit", "a good edit"]


async def watched(path: Path, seen: Stamp | None, write_while_read: list[str]) -> list[str]:
    """What is read of a file until it is as written last."""
    read: list[str] = []
    over = asyncio.Event()

    def changed() -> None:
        read.append(path.read_text())
        if write_while_read:
            path.write_text(write_while_read.pop())
        else:
            over.set()

    watching = asyncio.create_task(watch(lambda: [path], changed, 0.001, seen))
    await over.wait()
    watching.cancel()
    return read


async def test_a_change_between_reading_and_watching_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("as it was read")
    seen = stamp_of([file])
    file.write_text("while the service started")

    assert await watched(file, seen, []) == ["while the service started"]


async def test_a_change_while_a_change_is_taken_is_another(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("half")

    assert await watched(file, (), ["half and half"]) == ["half", "half and half"]


def test_a_path_that_is_none_is_no_failure() -> None:
    assert stamp_of([Path("a\0b")]) == stamp_of([Path("a\0b")])


def test_a_swapped_symlink_is_a_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    link = tmp_path / "data"
    link.symlink_to("one")
    before = stamp_of([link])
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)

    assert stamp_of([link]) != before
