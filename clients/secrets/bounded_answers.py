"""Reads answers to `requests` in bounded time and size: its own timeout is for one read of many."""

import io
import time
from typing import Any

from clients.secrets.asking import READ_S_MAX

ANSWER_BYTES_MAX = 1 << 20
_READ_BYTES = 16_384


class AnswerTooLong(Exception):
    """What is sent has no end in sight."""


def bounded(response: Any, **_: object) -> Any:
    """Reads a body to its end; a session's hook for responses, called when their head is there.

    Raises:
        TimeoutError: It is too slow.
        AnswerTooLong: It is too long.
    """
    until_s = time.monotonic() + READ_S_MAX
    body = io.BytesIO()
    while read := response.raw.read1(_READ_BYTES, decode_content=True):
        body.write(read)
        if body.tell() > ANSWER_BYTES_MAX or time.monotonic() > until_s:
            response.raw.close()
            raise AnswerTooLong if body.tell() > ANSWER_BYTES_MAX else TimeoutError
    response.raw.release_conn()
    body.seek(0)
    response.raw = body
    return response
