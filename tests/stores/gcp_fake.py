"""Google's Secret Manager as far as Cohort asks it, over gRPC; what its client sends is what Google's would see."""

import contextlib
from collections.abc import AsyncIterator

import grpc.aio
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    ListSecretVersionsRequest,
    ListSecretVersionsResponse,
    SecretVersion,
)
from yarl import URL

from clients.secrets.gcp import GcpKeySource, GcpSecrets
from clients.secrets.key_source import KeySource
from clients.secrets.reference import reference_of

PROJECT = "example-project"
NAME = "cohere-search"
_State = SecretVersion.State


class GcpFake:
    """One secret, its versions from 1 on; `refusal` answers everything, quoting what it was asked."""

    def __init__(self) -> None:
        self.versions: list[tuple[bytes, int]] = []
        self.refusal: grpc.StatusCode | None = None
        self.asked: list[str] = []
        self.page_size = 2

    async def access(
        self, request: AccessSecretVersionRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> AccessSecretVersionResponse:
        self.asked.append(request.name)
        parent, _, version = request.name.rpartition("/versions/")
        await self._refuse(context)
        number = len(self.versions) if version == "latest" else int(version)
        if parent != f"projects/{PROJECT}/secrets/{NAME}" or not 1 <= number <= len(self.versions):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"{request.name} not found")
        data, state = self.versions[number - 1]
        if state != _State.ENABLED:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.name} is in {_State(state).name} state")
        return AccessSecretVersionResponse(name=f"{parent}/versions/{number}", payload={"data": data})

    async def list(
        self, request: ListSecretVersionsRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> ListSecretVersionsResponse:
        self.asked.append(f"{request.parent} {request.filter}")
        await self._refuse(context)
        enabled = [number for number, (_, state) in enumerate(self.versions, 1) if state == _State.ENABLED]
        enabled.reverse()
        start = int(request.page_token or 0)
        page = enabled[start : start + self.page_size]
        following = start + self.page_size
        return ListSecretVersionsResponse(
            versions=[
                SecretVersion(name=f"{request.parent}/versions/{number}", state=_State.ENABLED) for number in page
            ],
            next_page_token=str(following) if following < len(enabled) else "",
        )

    async def _refuse(self, context: grpc.aio.ServicerContext[object, object]) -> None:
        if self.refusal is not None:
            quoted = b" ".join(data for data, _ in self.versions).decode()
            await context.abort(self.refusal, f"{quoted} {context.invocation_metadata()}")


@contextlib.asynccontextmanager
async def gcp_server() -> AsyncIterator[tuple[GcpFake, URL]]:
    """Serves the fake."""
    fake = GcpFake()
    server = grpc.aio.server()
    handlers = {
        "AccessSecretVersion": grpc.unary_unary_rpc_method_handler(
            fake.access,
            request_deserializer=AccessSecretVersionRequest.deserialize,
            response_serializer=AccessSecretVersionResponse.serialize,
        ),
        "ListSecretVersions": grpc.unary_unary_rpc_method_handler(
            fake.list,
            request_deserializer=ListSecretVersionsRequest.deserialize,
            response_serializer=ListSecretVersionsResponse.serialize,
        ),
    }
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield fake, URL(f"http://127.0.0.1:{port}")
    finally:
        await server.stop(0)


class GcpShelf:
    """See `Shelf`: the one secret of the fake."""

    def __init__(self, fake: GcpFake, endpoint: URL) -> None:
        self.fake = fake
        self.store = GcpSecrets(PROJECT, endpoint=endpoint)
        self.source: KeySource = self.other("gcp-sm:{}")

    def other(self, reference: str) -> KeySource:
        return GcpKeySource(reference_of(reference.format(NAME)), self.store)

    async def put(self, value: str) -> str:
        self.fake.versions.append((value.encode(), _State.ENABLED))
        return str(len(self.fake.versions))

    async def disable_newest(self) -> None:
        value, _ = self.fake.versions[-1]
        self.fake.versions[-1] = (value, _State.DISABLED)

    async def bar(self) -> None:
        self.fake.refusal = grpc.StatusCode.PERMISSION_DENIED

    async def lock_out(self) -> None:
        self.fake.refusal = grpc.StatusCode.UNAUTHENTICATED

    async def close(self) -> None:
        await self.store.close()
