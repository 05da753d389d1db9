"""One minter for each kind of credential: makes what a caller presents who belongs to a team and may do something.

A new kind is a new class in `MINTERS`; the matrix, the corpus and the canaries then use it as well.
"""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.books.books import Books
from service.books.entries import Work
from service.books.operations import Operator
from service.config.values import Scope
from service.identity import access_keys, service_account_registry
from service.identity.access_key_rows import NewAccessKey
from service.identity.importing import import_keys
from service.identity.scopes import SCOPES
from service.identity.seals import Seals
from service.identity.service_account_registry import NewServiceAccount
from service.storage.database import Transaction
from tests.identity.authority import Authority, Issued
from tests.identity.issuer import CLIENT_ID, WITHDRAWN, Issuer
from tests.key_tables import PEPPER

State: TypeAlias = Literal["valid", "expired", "revoked"]
STATES: tuple[State, ...] = ("valid", "expired", "revoked")
TEAMS = ("search", "ads")
ORGANISATION = "acme"
TRUST_DOMAIN = "prod.example.com"

_DAY_US = 24 * 3600 * 1_000_000
SEALS = Seals({"1": PEPPER.encode()}, "1")
_REVOKE = "UPDATE access_key SET revoked_at_us = clock_us() WHERE id = $1"


class Holder(NamedTuple):
    """Whom a credential is for, what it may do, and whether it still gives access."""

    team: str
    scope: str
    state: State = "valid"


HOLDERS = [Holder(team, scope, state) for team in TEAMS for scope in sorted(SCOPES) for state in STATES]


@dataclass(frozen=True)
class Presented:
    """What a caller shows: metadata, a client certificate, or both."""

    metadata: tuple[tuple[str, str], ...] = ()
    certificate: Issued | None = None


class Minter(Protocol):
    """Makes the credentials of one kind."""

    def config(self, folder: Path) -> str:
        """Its part of the config."""
        ...

    async def write(self, books: Books) -> None:
        """Puts into the database, before the service starts, what has to be there."""
        ...

    def mint(self, holder: Holder) -> Presented:
        """The credential of a holder of `HOLDERS`."""
        ...


class TokenMinter(Minter, Protocol):
    """Makes tokens."""

    def mint(self, holder: Holder, **claims: object) -> Presented:
        """As of `Minter`; the token says *claims* as well."""
        ...


def bearer(credential: str) -> Presented:
    return Presented((("authorization", f"Bearer {credential}"),))


class AccessKeyMinter:
    """Keys of Cohort's own."""

    def __init__(self) -> None:
        self._made = {holder: access_keys.create("test") for holder in HOLDERS}

    def config(self, _: Path) -> str:
        return ""

    async def write(self, books: Books) -> None:
        rows = [
            new_key(
                *self._made[holder],
                team=holder.team,
                scope=holder.scope,
                expires_at_us=far_us(-1 if holder.state == "expired" else 1),
            )
            for holder in HOLDERS
        ]
        await books.change(import_keys(rows, "tests", SEALS))
        revoked = [self._made[holder][0] for holder in HOLDERS if holder.state == "revoked"]

        async def act(tx: Transaction) -> tuple[None, None]:
            for key_id in revoked:
                await tx.fetch(_REVOKE, key_id)
            return None, None

        await books.change(Work("", act))

    def mint(self, holder: Holder) -> Presented:
        return Presented((("x-api-key", self._made[holder][1]),))


def far_us(days: int = 1) -> int:
    """A time some days from now."""
    return time.time_ns() // 1000 + days * _DAY_US


def new_key(key_id: str, access_key: str, *, team: str, scope: str, expires_at_us: int) -> NewAccessKey:
    digest = access_keys.digest_of(access_key, PEPPER.encode())
    return NewAccessKey(key_id, digest, "1", team, "tests", frozenset({scope}), expires_at_us)


class ServiceAccountMinter:
    """JWTs that callers sign themselves."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.ids: dict[tuple[str, bool], str] = {}

    def config(self, _: Path) -> str:
        return f'[identity]\norganisation = "{ORGANISATION}"\n'

    async def write(self, books: Books) -> None:
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for team in TEAMS:
            for revoked in (False, True):
                new = NewServiceAccount(team, "tests", frozenset(SCOPES), public.decode(), "EdDSA")
                stored = await books.change(service_account_registry.create(new, "tests", SEALS))
                self.ids[team, revoked] = stored.id
                if revoked:
                    await books.change(service_account_registry.revoke(stored.id, Operator("tests", "")))

    def mint(self, holder: Holder, **claims: object) -> Presented:
        account_id = self.ids[holder.team, holder.state == "revoked"]
        ends_s = time.time() + (-60 if holder.state == "expired" else 600)
        return bearer(self.signed(account_id, **{"scopes": [holder.scope], "exp": ends_s, **claims}))

    def signed(self, account_id: str, **claims: object) -> str:
        said = {
            "iss": account_id,
            "sub": account_id,
            "aud": "cohort",
            "org_id": ORGANISATION,
            "iat": time.time() - 120,
            "exp": time.time() + 600,
            "jti": uuid.uuid4().hex,
            **claims,
        }
        return jwt.encode(said, self.key, "EdDSA")


class _IssuerMinter:
    """What both kinds of an issuer's tokens share: a config in which each scope has to be named, `admin` too."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer

    async def write(self, books: Books) -> None:
        """See `Minter`: an issuer keeps what it knows itself."""

    def _lines(self, name: str, more: str) -> str:
        scopes: list[Scope] = sorted(SCOPES)
        mapped = ", ".join(f'"cohort:{scope}" = ["{scope}"]' for scope in scopes)
        return (
            f'[identity.issuers.{name}]\nissuer = "{self.issuer.url}"\nprivate_addresses = true\n'
            f"scopes = {{ {mapped} }}\n{more}\n"
        )

    def _claims(self, holder: Holder, more: dict[str, object]) -> dict[str, object]:
        lifetime_s = -60 if holder.state == "expired" else 600
        return {**self.issuer.claims(holder.team, [holder.scope], lifetime_s=lifetime_s), **more}


class IssuerJwtMinter(_IssuerMinter):
    """JWTs of an authorization server. One is revoked, before it ends, only together with the key that signed it."""

    def config(self, _: Path) -> str:
        return self._lines("jwts", "")

    def mint(self, holder: Holder, **claims: object) -> Presented:
        kid = WITHDRAWN if holder.state == "revoked" else "current"
        return bearer(self.issuer.jwt(self._claims(holder, claims), kid=kid))


class IssuerOpaqueMinter(_IssuerMinter):
    """Opaque tokens of an authorization server, for which it is asked."""

    def config(self, _: Path) -> str:
        more = f'tokens = "opaque"\nclient_id = "{CLIENT_ID}"\nclient_secret = "file:client.secret"'
        return self._lines("opaque", more)

    def mint(self, holder: Holder, **claims: object) -> Presented:
        return bearer(self.issuer.opaque(self._claims(holder, claims), active=holder.state != "revoked"))


class CertificateMinter:
    """Client certificates with SPIFFE ids. One is revoked by taking its id from the config."""

    def __init__(self) -> None:
        self.authority = Authority(TRUST_DOMAIN)
        self._made = {
            holder: self.authority.workload(spiffe_id(holder), from_hours=-2, hours=-1 if expired else 24)
            for holder in HOLDERS
            for expired in (holder.state == "expired",)
        }
        self._twins: dict[Holder, Issued] = {}

    def config(self, folder: Path) -> str:
        (folder / "bundle.pem").write_bytes(self.authority.pem)
        known = "".join(
            f'[identity.spiffe_ids."{spiffe_id(holder)}"]\n'
            f'team = "{holder.team}"\nname = "tests"\nscopes = ["{holder.scope}"]\n'
            for holder in HOLDERS
            if holder.state != "revoked"
        )
        return f'[identity.trust_domains."{TRUST_DOMAIN}"]\nbundle_file = "bundle.pem"\n{known}'

    async def write(self, books: Books) -> None:
        """See `Minter`: the config says it all."""

    def mint(self, holder: Holder) -> Presented:
        return Presented(certificate=self._made[holder])

    def twin(self, holder: Holder) -> Presented:
        """Another certificate with the same id and another key."""
        if holder not in self._twins:
            self._twins[holder] = self.authority.workload(spiffe_id(holder))
        return Presented(certificate=self._twins[holder])


def spiffe_id(holder: Holder) -> str:
    return f"spiffe://{TRUST_DOMAIN}/{holder.team}/{holder.scope.replace(':', '-')}/{holder.state}"


@dataclass(frozen=True)
class Minters:
    """Every kind of credential, by the name under which the matrix shows it."""

    access_key: AccessKeyMinter
    service_account: ServiceAccountMinter
    oauth2_jwt: IssuerJwtMinter
    oauth2_opaque: IssuerOpaqueMinter
    mtls: CertificateMinter

    def by_kind(self) -> dict[str, Minter]:
        return {
            "access key": self.access_key,
            "service account": self.service_account,
            "OAuth2 JWT": self.oauth2_jwt,
            "OAuth2 opaque": self.oauth2_opaque,
            "mTLS": self.mtls,
        }

    def tokens(self) -> dict[str, TokenMinter]:
        """Those of `by_kind` that can be bound to a certificate."""
        return {
            "service account": self.service_account,
            "OAuth2 JWT": self.oauth2_jwt,
            "OAuth2 opaque": self.oauth2_opaque,
        }


def minters(jwts: Issuer, opaque: Issuer) -> Minters:
    """Makes them; both issuers answer already."""
    return Minters(
        AccessKeyMinter(),
        ServiceAccountMinter(),
        IssuerJwtMinter(jwts),
        IssuerOpaqueMinter(opaque),
        CertificateMinter(),
    )
