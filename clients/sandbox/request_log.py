"""The requests the sandbox saw, for tests that ask what was sent. Keys appear by name, never by secret."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import orjson

REQUESTS_KEPT = 1000
BYTES_KEPT = 32 * 1024 * 1024
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it came.

    Attributes:
        at_s: Seconds on the sandbox's clock, for differences only.
        key_name: The name of its Cohere key, "" if that is missing or unknown.
    """

    at_s: float
    path: str
    key_name: str
    headers: dict[str, str]
    body: bytes

    def described(self) -> dict[str, Any]:
        """The request as `GET /sandbox/requests` shows it; `body` is null if it was not JSON."""
        try:
            body = orjson.loads(self.body) if self.body else None
        except orjson.JSONDecodeError:
            body = None
        return {
            "at_s": self.at_s,
            "path": self.path,
            "key": self.key_name,
            "headers": self.headers,
            "body": body,
            "body_bytes": len(self.body),
        }


class RequestLog:
    """The newest requests, at most `REQUESTS_KEPT` of them and `BYTES_KEPT` of bodies."""

    def __init__(self) -> None:
        self._seen: deque[SeenRequest] = deque()
        self._bytes = 0

    def clear(self) -> None:
        """Forgets all."""
        self._seen.clear()
        self._bytes = 0

    def add(self, request: SeenRequest) -> None:
        """Keeps a request, and drops the oldest ones that no longer fit."""
        self._seen.append(request)
        self._bytes += len(request.body)
        while len(self._seen) > REQUESTS_KEPT or (self._bytes > BYTES_KEPT and len(self._seen) > 1):
            self._bytes -= len(self._seen.popleft().body)

    def all(self) -> list[SeenRequest]:
        """Oldest first."""
        return list(self._seen)


def public_headers(headers: Any) -> dict[str, str]:
    """The headers that are no secrets, names in lower case."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in _SECRET_HEADERS}
