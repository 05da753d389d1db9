"""Log lines leave together at the end of the loop's turn, and one that cannot be written is counted."""

import asyncio
import io

from service.telemetry.log import LogStream


class Counting(io.BytesIO):
    """Counts how often it is written to."""

    writes = 0

    def write(self, data: object) -> int:
        self.writes += 1
        return super().write(data)  # type: ignore[arg-type]


async def test_lines_of_one_turn_leave_at_its_end_and_at_once() -> None:
    stream = Counting()
    log = LogStream(stream)
    log.write(b"one\n")
    log.write(b"two\n")
    assert stream.getvalue() == b""

    await asyncio.sleep(0)

    assert (stream.getvalue(), stream.writes) == (b"one\ntwo\n", 1)
    log.write(b"three\n")
    await asyncio.sleep(0)
    assert stream.getvalue() == b"one\ntwo\nthree\n"


def test_without_a_loop_a_line_leaves_at_once() -> None:
    stream = Counting()

    LogStream(stream).write(b"one\n")

    assert stream.getvalue() == b"one\n"


async def test_lines_that_a_thread_writes_leave_at_once() -> None:
    stream = Counting()
    log = LogStream(stream)
    log.write(b"one\n")

    await asyncio.to_thread(log.write, b"two\n")

    assert stream.getvalue() == b"one\ntwo\n"


async def test_each_line_that_cannot_be_written_is_counted() -> None:
    stream = Counting()
    log = LogStream(stream)
    stream.close()

    log.write(b"one\n")
    log.write(b"two\n")
    await asyncio.sleep(0)

    assert log.lines_lost == 2
