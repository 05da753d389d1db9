"""What callers call their requests, so that one that is sent again makes nothing twice.

What a named request makes has an id that follows from the name and from who asks: the database keeps ids unique, and
so keeps the promise, whichever replicas are asked and at whatever time.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from service.identity.base62 import base62
from service.identity.principal import Principal


@dataclass(frozen=True, slots=True)
class RequestName:
    """A request, by its name."""

    caller: Principal
    """Who asks: another credential's request of this name is another request."""
    request_id: str
    """What they call it; not ""."""
    content: tuple[Any, ...]
    """What they ask for, JSON values: with another one it is another request, and of the same id."""

    def id(self, digits: int) -> str:
        """The id of what the request makes, in base62."""
        return base62(int.from_bytes(hashlib.sha256(orjson.dumps(self._name)).digest()), digits)

    @property
    def text(self) -> bytes:
        """The request whole."""
        return orjson.dumps([*self._name, *self.content])

    @property
    def _name(self) -> list[str]:
        return [self.caller.method, self.caller.credential_id, self.request_id]
