"""Callers that ask again and again, and remember what they were told and how long it took."""

import asyncio
from types import TracebackType
from typing import Self

import grpc.aio

from cohort.v1.chat_pb2 import ChatResponse
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.requests import Refusal, chat, refusal_of

PAUSE_S = 0.02
TIMEOUT_S = 30.0


class Traffic:
    """Chats of one access key, while the context is open; leaving it waits for the last ones.

    Args:
        channel: To the service.
        access_key: Whose calls they are.
        callers: How many ask at once.
    """

    def __init__(self, channel: grpc.aio.Channel, access_key: str, callers: int = 8) -> None:
        self.answers: list[ChatResponse] = []
        self.refusals: list[Refusal] = []
        self.longest_s = 0.0
        self._stub = GatewayServiceStub(channel)
        self._metadata = (("x-api-key", access_key),)
        self._callers = callers
        self._ending = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._callers)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def answered(self, more: int = 1) -> None:
        """Waits for so many more answers."""
        wanted = len(self.answers) + more
        while len(self.answers) < wanted:
            await asyncio.sleep(0.005)

    async def refused(self, reason: str) -> Refusal:
        """Waits for another refusal with this reason."""
        seen = len(self.refusals)
        while not (found := [refusal for refusal in self.refusals[seen:] if refusal.reason == reason]):
            await asyncio.sleep(0.005)
        return found[0]

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ending:
            began_s = loop.time()
            try:
                self.answers.append(await self._stub.Chat(chat(), metadata=self._metadata, timeout=TIMEOUT_S))
            except grpc.aio.AioRpcError as error:
                self.refusals.append(refusal_of(error))
            self.longest_s = max(self.longest_s, loop.time() - began_s)
            await asyncio.sleep(PAUSE_S)
