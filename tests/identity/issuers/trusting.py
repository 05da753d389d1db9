"""A whole Cohort that trusts a provider: as `sso` for JWTs and as `opaque` for opaque tokens."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.chat_pb2 import ChatResponse
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import Refusal, chat, refused
from tests.idp.idp import SERVER, Idp


def jwt_lines(issuer: str, more: str = "", name: str = "sso") -> str:
    return f'[identity.issuers.{name}]\nissuer = "{issuer}"\nprivate_addresses = true\n{more}\n'


def opaque_lines(issuer: str, introspection_url: str) -> str:
    """The same provider again, under another name: its opaque tokens say that they are of the first."""
    return (
        f'[identity.issuers.opaque]\nissuer = "{issuer}"\nprivate_addresses = true\ntokens = "opaque"\n'
        f'introspection_url = "{introspection_url}"\nclient_id = "{SERVER.id}"\nclient_secret = "file:client.secret"\n'
    )


def both_lines(issuer: str) -> str:
    """The provider once, for both kinds of its tokens."""
    return opaque_lines(issuer, f"{issuer}/token/introspection").replace('"opaque"', '"both"')


@contextlib.asynccontextmanager
async def trusting(folder: Path, lines: str) -> AsyncIterator[Cohort]:
    """A service with issuers."""
    (folder / "client.secret").write_text(SERVER.secret)
    async with cohort(folder, more=lines) as service:
        yield service


@contextlib.asynccontextmanager
async def trusting_jwts(folder: Path, idp: Idp, more: str = "") -> AsyncIterator[Cohort]:
    """A service that takes the provider's JWTs."""
    async with trusting(folder, jwt_lines(idp.issuer, more)) as service:
        yield service


@contextlib.asynccontextmanager
async def trusting_opaque(folder: Path, idp: Idp) -> AsyncIterator[Cohort]:
    """A service that takes the provider's opaque tokens."""
    async with trusting(folder, opaque_lines(idp.issuer, f"{idp.issuer}/token/introspection")) as service:
        yield service


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def call(service: Cohort, token: str) -> ChatResponse:
    """A Chat with a token, that is answered."""
    return await service.stub.Chat(chat(), metadata=bearer(token))


async def rejected(service: Cohort, token: str) -> str:
    """Why a Chat with a token is refused, as the log has it; the caller is told one and the same."""
    refusal = await refused(service.stub.Chat(chat(), metadata=bearer(token)))
    assert (refusal.code.name, refusal.reason) == ("UNAUTHENTICATED", "CREDENTIAL_REJECTED")
    return problem(service)


async def undecided(service: Cohort, token: str) -> Refusal:
    """How a Chat with a token is refused whose issuer cannot be asked."""
    refusal = await refused(service.stub.Chat(chat(), metadata=bearer(token)))
    assert (refusal.code.name, refusal.reason) == ("UNAVAILABLE", "CREDENTIAL_UNVERIFIABLE")
    return refusal


def problem(service: Cohort) -> str:
    """What was wrong with the credential of the last call."""
    return str(service.lines()[-1]["credential_problem"])


async def records(service: Cohort) -> list[dict[str, Any]]:
    """The bodies of all audit records."""
    listed = await service.admin.ListAuditRecords(ListAuditRecordsRequest(), metadata=service.key("admin"))
    return [orjson.loads(record.body_json) for record in listed.records]


def rewrite(service: Cohort, before: str, after: str) -> None:
    """Changes the config and takes it into force."""
    text = service.config_file.read_text()
    assert before in text
    service.config_file.write_text(text.replace(before, after))
    assert service.service.reloader.reload()


class StoppedClock:
    """In place of the module `time`."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s

    def time(self) -> float:
        return self._now_s
