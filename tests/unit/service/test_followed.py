"""Values made from files: what changes is taken, what cannot be used is told of once."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from service.followed import FileUnusable, Followed


def number_in(file: Path) -> Callable[[], int]:
    def read() -> int:
        text = file.read_text()
        if not text.isdigit():
            raise FileUnusable("no number")
        return int(text)

    return read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "number"
    path.write_text("1")
    return path


@pytest.fixture
def followed(file: Path) -> Followed[int]:
    structlog.reset_defaults()
    return Followed("number", (file,), number_in(file))


def test_a_change_is_taken_at_the_next_look(file: Path, followed: Followed[int]) -> None:
    first = followed.value
    file.write_text("22")
    with capture_logs() as lines:
        seen = followed.look(), followed.look()

    assert (first, seen) == (1, (22, 22))
    assert lines == [{"event": "number read again", "log_level": "info", "file": str(file)}]


def test_what_cannot_be_used_leaves_what_was_and_is_told_of_once(file: Path, followed: Followed[int]) -> None:
    with capture_logs() as lines:
        file.write_text("secret")
        kept = [followed.look() for _ in range(3)]
        file.unlink()
        kept += [followed.look() for _ in range(3)]
        file.write_text("333")
        mended = followed.look()

    assert kept == [1] * 6
    assert mended == 333
    assert [(line["event"], line.get("problem")) for line in lines] == [
        ("number not readable", "no number"),
        ("number not readable", "No such file or directory"),
        ("number read again", None),
    ]


def test_what_was_broken_and_comes_back_unchanged_is_told_of_no_more(file: Path, followed: Followed[int]) -> None:
    aside = file.with_name("aside")
    with capture_logs() as lines:
        file.rename(aside)
        followed.look()
        aside.rename(file)
        followed.look()
        file.rename(aside)
        followed.look()

    assert [line["event"] for line in lines] == ["number not readable"]


def test_a_first_read_has_to_succeed(file: Path) -> None:
    file.write_text("none")
    with pytest.raises(FileUnusable):
        Followed("number", (file,), number_in(file))


def test_several_threads_make_one_value_of_a_change(file: Path) -> None:
    reads: list[int] = []
    read = number_in(file)

    def counted() -> int:
        reads.append(read())
        return reads[-1]

    followed = Followed("number", (file,), counted)
    file.write_text("4444")
    threads = [threading.Thread(target=followed.look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert reads == [1, 4444]
