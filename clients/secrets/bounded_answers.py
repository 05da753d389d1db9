"""Answers to `requests`, each read whole in bounded time and size: its own timeout is for one read of many."""

import io
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from clients.secrets.asking import READ_S_MAX

ANSWER_BYTES_MAX = 1 << 20
_READ_BYTES = 16_384


class BoundedAnswers(HTTPAdapter):
    """Sends as its base does, and reads the body itself."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Sends a request, and reads the answer to its end.

        Raises:
            requests.RequestException: As its base; or the answer is too slow, or too long.
        """
        until_s = time.monotonic() + READ_S_MAX
        response = super().send(request, *args, **{**options, "stream": True})
        body = io.BytesIO()
        while read := response.raw.read1(_READ_BYTES, decode_content=True):
            body.write(read)
            if body.tell() > ANSWER_BYTES_MAX or time.monotonic() > until_s:
                response.raw.close()
                raise requests.ReadTimeout("too slow, or too long", request=request)
        response.raw.release_conn()
        body.seek(0)
        response.raw = body
        return response
