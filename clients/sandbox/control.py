"""The control API under /sandbox/: bill, keys, faults, limits, requests. It needs no key, so it is for loopback."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from clients.sandbox import faults, prices
from clients.sandbox.keys import key_of
from clients.sandbox.limits import Enforced, Minutes
from clients.sandbox.state import State

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes(state: State) -> list[web.RouteDef]:
    """The routes of the control API over *state*."""
    control = _Control(state)
    return [
        web.get("/sandbox/bill", control.bill),
        web.get("/sandbox/prices", control.prices),
        web.get("/sandbox/requests", control.requests),
        web.get("/sandbox/keys", control.keys),
        web.post("/sandbox/keys", control.add_keys),
        web.put("/sandbox/keys", control.replace_keys),
        web.get("/sandbox/faults", control.faults),
        web.post("/sandbox/faults", control.add_faults),
        web.delete("/sandbox/faults", control.clear_faults),
        web.put("/sandbox/limits", control.set_limits),
        web.post("/sandbox/reset", control.reset),
    ]


class _Control:
    def __init__(self, state: State) -> None:
        self._state = state

    async def bill(self, _: web.Request) -> web.Response:
        return _json(self._state.bill.described())

    async def prices(self, _: web.Request) -> web.Response:
        return _json({"micros_per_million_units": prices.PRICES})

    async def requests(self, _: web.Request) -> web.Response:
        return _json({"requests": [request.described() for request in self._state.requests.all()]})

    async def keys(self, _: web.Request) -> web.Response:
        return _json({"keys": [key.described() for key in self._state.keys.all()]})

    async def add_keys(self, request: web.Request) -> web.Response:
        return await self._change_keys(request, self._state.keys.add)

    async def replace_keys(self, request: web.Request) -> web.Response:
        return await self._change_keys(request, self._state.keys.replace)

    async def faults(self, _: web.Request) -> web.Response:
        waiting = [fault.model_dump(exclude_defaults=True) for fault in self._state.faults.waiting()]
        return _json({"faults": waiting})

    async def add_faults(self, request: web.Request) -> web.Response:
        try:
            self._state.faults.add(faults.parse(orjson.loads(await request.read())))
        except ValueError as error:
            return _refusal(error)
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._state.faults.clear()
        return await self.faults(request)

    async def set_limits(self, request: web.Request) -> web.Response:
        try:
            value = orjson.loads(await request.read())
            if not isinstance(value, dict):
                return _refusal(ValueError('expected {"enforced": "none" | "trial" | "all"}'))
            enforced = Enforced(str(value.get("enforced")))
            minutes = Minutes(str(value.get("minutes", Minutes.FIXED)))
        except ValueError as error:
            return _refusal(error)
        self._state.limits.enforce(enforced, minutes)
        return _json({"enforced": enforced, "minutes": minutes})

    async def reset(self, _: web.Request) -> web.Response:
        self._state.reset()
        return _json({})

    async def _change_keys(self, request: web.Request, change: Callable[[Any], None]) -> web.Response:
        try:
            value = orjson.loads(await request.read())
            if not isinstance(value, dict) or not isinstance(value.get("keys"), list):
                return _refusal(ValueError('expected {"keys": [...]}'))
            change([key_of(key) for key in value["keys"]])
        except ValueError as error:
            return _refusal(error)
        return await self.keys(request)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _refusal(error: ValueError) -> web.Response:
    return _json({"error": str(error)}, 400)
