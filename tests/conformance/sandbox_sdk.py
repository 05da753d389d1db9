"""Cohere's SDK, sync or async, pointed at a sandbox."""

import asyncio
from typing import Any

import cohere
import httpx

from clients.sandbox import Sandbox


class Sdk:
    """One of the SDK's two clients, asked in one way."""

    def __init__(self, sandbox: Sandbox, url: str, key: str, *, synchronous: bool) -> None:
        self.sandbox = sandbox
        self._synchronous = synchronous
        common: dict[str, Any] = {"base_url": url, "max_retries": 0}
        # An explicit client: the SDK's default transport depends on what else is installed.
        if synchronous:
            self.client: Any = cohere.ClientV2(key, httpx_client=httpx.Client(timeout=30), **common)
        else:
            self.client = cohere.AsyncClientV2(key, httpx_client=httpx.AsyncClient(timeout=30), **common)

    async def ask(self, method: Any, **arguments: Any) -> Any:
        if self._synchronous:
            return await asyncio.to_thread(method, **arguments)
        return await method(**arguments)

    async def stream(self, **arguments: Any) -> list[Any]:
        if self._synchronous:
            return await asyncio.to_thread(lambda: list(self.client.chat_stream(**arguments)))
        return [event async for event in self.client.chat_stream(**arguments)]

    async def close(self) -> None:
        inner = self.client._client_wrapper.httpx_client.httpx_client
        if self._synchronous:
            inner.close()
        else:
            await inner.aclose()
