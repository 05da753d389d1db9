"""The rows of the matrix: each RPC with each kind of credential in each state, and how each has to end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives import hashes

from service.identity import access_keys
from service.identity.scopes import ADMIN, SCOPES, SCOPES_OF_RPC
from tests.identity.authority import Issued
from tests.identity.minters import Holder, Presented, bearer
from tests.identity.rpcs import ENTRIES, OK, RPCS, TEAM, Code, Ended, Reason, narrowest
from tests.identity.scene import Scene
from tests.unit.identity.account_tokens import base64url

OTHER_TEAM = "ads"

SCOPE_MISSING = ("PERMISSION_DENIED", "SCOPE_MISSING")
REJECTED = ("UNAUTHENTICATED", "CREDENTIAL_REJECTED")
MISSING = ("UNAUTHENTICATED", "CREDENTIAL_MISSING")
AMBIGUOUS = ("UNAUTHENTICATED", "CREDENTIAL_AMBIGUOUS")
NO_HANDSHAKE = ("UNAVAILABLE", "")
"""TLS itself refuses: there is no connection, and nobody to say why."""

METHODS = {
    "access key": "access_key",
    "service account": "service_account",
    "OAuth2 JWT": "oauth2",
    "OAuth2 opaque": "oauth2",
    "mTLS": "mtls",
}
PROBLEMS = {
    ("access key", "expired"): "expired access key [0-9A-Za-z]{12}",
    ("access key", "revoked"): "revoked access key [0-9A-Za-z]{12}",
    ("service account", "expired"): "expired token, of service account sa_[0-9A-Za-z]+",
    ("service account", "revoked"): "revoked, of service account sa_[0-9A-Za-z]+",
    ("OAuth2 JWT", "expired"): "expired token",
    ("OAuth2 JWT", "revoked"): "token of an unknown key",
    ("OAuth2 opaque", "expired"): "expired token",
    ("OAuth2 opaque", "revoked"): "token that is not active",
    ("mTLS", "revoked"): "unknown SPIFFE id spiffe://prod.example.com/search/[a-z-]+/revoked",
}
"""What operators read of a credential in a state."""
OTHER_CERTIFICATE = "token bound to another client certificate"


@dataclass(frozen=True)
class Row:
    """One call of the matrix, and how it has to end.

    Attributes:
        problem: What its log line says of the credential, as a pattern.
        who: The team and the method of whom it is taken for; None: for nobody.
        foreign: Nothing of `TEAM` may be in its answer.
        at_mtls: It goes to the port that asks for a certificate, though it has none.
    """

    rpc: str
    situation: str
    shown: Presented
    expected: tuple[Code, Reason]
    problem: str = ""
    who: tuple[str, str] | None = None
    foreign: bool = False
    at_mtls: bool = False

    async def call(self, made: Scene) -> Ended:

        channel = made.mtls_channel() if self.at_mtls else made.channel(self.shown.certificate)
        return await RPCS[self.rpc].call(channel, ENTRIES[self.rpc].request(made), self.shown.metadata)

    def faults(self, ended: Ended, line: dict[str, Any] | None, record: dict[str, Any] | None) -> list[str]:
        """What is not as it has to be of its end, its log line, and the last record of it in the trail."""
        found = []
        if ended[:2] != self.expected:
            found.append(f"{ended.code} {ended.reason}, not {' '.join(self.expected)}")
        if self.expected == NO_HANDSHAKE:
            return [*found, *(["it reached the service"] if ended.call_id else [])]
        for place, said in (("log", line), ("trail", record)):
            if said is None:
                found.append(f"nothing in the {place}")
                continue
            if (said["code"], said.get("reason", "")) != self.expected:
                found.append(f"{said['code']} {said.get('reason')} in the {place}")
            if not re.fullmatch(self.problem, said.get("credential_problem", "")):
                found.append(f"{said.get('credential_problem')!r} in the {place}, not {self.problem!r}")
        if line is not None:
            who = (line["team"], line["method"]) if "team" in line else None
            if who != self.who:
                found.append(f"taken for {who}, not {self.who}")
            if ("certificate" in line) != (self.shown.certificate is not None):
                found.append(f"the certificate {line.get('certificate')} in the log")
        return found


def rows(made: Scene) -> Iterator[Row]:
    """All of them."""
    for path in ENTRIES:
        for kind in METHODS:
            yield from _of_one(made, path, kind)
            if kind != "mTLS":
                yield from _above_a_certificate(made, path, kind)
                yield from _two_at_once(made, path, kind)
        for kind in made.minters.tokens():
            yield from _bound(made, path, kind)
        yield from _of_nobody(made, path)
        yield Row(path, "none, at the port for all", Presented(), MISSING)
        yield Row(path, "none, at the port for certificates", Presented(), NO_HANDSHAKE, at_mtls=True)


def _of_one(made: Scene, path: str, kind: str) -> Iterator[Row]:
    """One credential: each scope, each state, each team."""
    minter, scopes, narrow = made.minters.by_kind()[kind], SCOPES_OF_RPC[path], narrowest(path)
    mine, others = (TEAM, METHODS[kind]), (OTHER_TEAM, METHODS[kind])
    for scope in sorted(SCOPES):
        expected = OK if scope in scopes else SCOPE_MISSING
        yield Row(path, f"{kind}, {scope} of the team", minter.mint(Holder(TEAM, scope)), expected, who=mine)
    other = minter.mint(Holder(OTHER_TEAM, narrow))
    yield Row(path, f"{kind}, another team", other, ENTRIES[path].other_team, who=others, foreign=narrow != ADMIN)
    if ADMIN in scopes:
        operator = minter.mint(Holder(OTHER_TEAM, ADMIN))
        yield Row(path, f"{kind}, admin of another team", operator, OK, who=others)
    revoked = minter.mint(Holder(TEAM, narrow, "revoked"))
    yield Row(path, f"{kind}, revoked", revoked, REJECTED, PROBLEMS[kind, "revoked"])
    expired = minter.mint(Holder(TEAM, narrow, "expired"))
    if expired.certificate is None:
        yield Row(path, f"{kind}, expired", expired, REJECTED, PROBLEMS[kind, "expired"])
    else:
        yield Row(path, f"{kind}, expired", expired, NO_HANDSHAKE)


def _above_a_certificate(made: Scene, path: str, kind: str) -> Iterator[Row]:
    """A certificate below a credential is transport: the credential alone says who calls, and what it may do."""
    minter, narrow, wrong = made.minters.by_kind()[kind], narrowest(path), _wrong_scope(path)
    mine, others = (TEAM, METHODS[kind]), (OTHER_TEAM, METHODS[kind])
    good, foreign = minter.mint(Holder(TEAM, narrow)), minter.mint(Holder(OTHER_TEAM, narrow))
    weak = minter.mint(Holder(TEAM, wrong))

    def below(scope: str, team: str = TEAM) -> Issued:
        certificate = made.minters.mtls.mint(Holder(team, scope)).certificate
        assert certificate is not None
        return certificate

    def both(shown: Presented, certificate: Issued) -> Presented:
        return replace(shown, certificate=certificate)

    above = f"{kind} above a certificate"
    yield Row(path, f"{above} that may do the same", both(good, below(narrow)), OK, who=mine)
    yield Row(path, f"{above} that may not", both(good, below(wrong)), OK, who=mine)
    yield Row(path, f"{above} that may, and it may not", both(weak, below(narrow)), SCOPE_MISSING, who=mine)
    yield Row(path, f"{above} of another team", both(good, below(narrow, OTHER_TEAM)), OK, who=mine)
    yield Row(
        path, f"{above}, of another team than that", both(foreign, below(narrow)), ENTRIES[path].other_team,
        who=others, foreign=narrow != ADMIN,
    )  # fmt: skip
    for state in ("expired", "revoked"):
        ended = minter.mint(Holder(TEAM, narrow, state))
        yield Row(path, f"{above}, {state}", both(ended, below(narrow)), REJECTED, PROBLEMS[kind, state])
    unknown = both(bearer("cohort_test_nothing"), below(narrow))
    yield Row(path, f"wrong credential above a certificate, not {kind}", unknown, REJECTED, "malformed access key")


def _two_at_once(made: Scene, path: str, kind: str) -> Iterator[Row]:
    """Two credentials are none: alike or not, of one team or of two, one of them good or both, with a certificate."""
    narrow = narrowest(path)
    first = made.minters.by_kind()[kind].mint(Holder(TEAM, narrow))
    for second_kind in METHODS.keys() - {"mTLS"}:
        minter = made.minters.by_kind()[second_kind]
        seconds = {
            f"another {second_kind}": minter.mint(Holder(TEAM, narrow)),
            f"{second_kind} of another team": minter.mint(Holder(OTHER_TEAM, narrow)),
            f"expired {second_kind}": minter.mint(Holder(TEAM, narrow, "expired")),
        }
        for what, second in seconds.items():
            yield Row(path, f"{kind} and {what}", Presented(first.metadata + second.metadata), AMBIGUOUS)
    (_, value), *_ = first.metadata
    value = value.removeprefix("Bearer ")
    twice = (("x-api-key", value), ("authorization", f"Bearer {value}"))
    yield Row(path, f"{kind} in both places", Presented(twice), AMBIGUOUS)
    certificate = made.minters.mtls.mint(Holder(TEAM, narrow)).certificate
    yield Row(path, f"{kind} twice above a certificate", Presented(first.metadata * 2, certificate), AMBIGUOUS)


def _bound(made: Scene, path: str, kind: str) -> Iterator[Row]:
    """A token bound to a certificate (RFC 8705), with it, with others that may do the same, and with none."""
    holder, mtls = Holder(TEAM, narrowest(path)), made.minters.mtls
    mine, twin = mtls.mint(holder).certificate, mtls.twin(holder).certificate
    foreign = mtls.mint(Holder(OTHER_TEAM, narrowest(path))).certificate
    assert mine is not None
    thumbprint = base64url(mine.certificate.fingerprint(hashes.SHA256()))
    minter = made.minters.tokens()[kind]
    token = minter.mint(holder, cnf={"x5t#S256": thumbprint})
    weak = minter.mint(Holder(TEAM, _wrong_scope(path)), cnf={"x5t#S256": thumbprint})
    who = (TEAM, METHODS[kind])
    yield Row(path, f"{kind} bound, with its certificate", replace(token, certificate=mine), OK, who=who)
    yield Row(path, f"{kind} bound, wrong scope", replace(weak, certificate=mine), SCOPE_MISSING, who=who)
    for what, certificate in {"another of the same id": twin, "one of another team": foreign}.items():
        shown = replace(token, certificate=certificate)
        yield Row(path, f"{kind} bound, with {what}", shown, REJECTED, OTHER_CERTIFICATE)
    yield Row(path, f"{kind} bound, with none", token, REJECTED, OTHER_CERTIFICATE)


def _of_nobody(made: Scene, path: str) -> Iterator[Row]:
    """What nobody issued, or not for this service."""
    narrow, jwts = narrowest(path), made.minters.oauth2_jwt
    holder = Holder(TEAM, narrow)
    ((_, access_key),) = made.minters.access_key.mint(holder).metadata
    changed = access_key[:-7] + ("a" if access_key[-7] != "a" else "b")
    shown = {
        "unknown access key [0-9A-Za-z]{12}": bearer(access_keys.create("test")[1]),
        "wrong secret for access key [0-9A-Za-z]{12}": bearer(changed + access_keys.checksum_of(changed)),
        "access key of another environment": bearer(access_keys.create("prod")[1]),
        "token of an unknown service account": bearer(
            made.minters.service_account.signed("sa_nobody", scopes=[narrow])
        ),
        "token of an unknown issuer": jwts.mint(holder, iss="https://nobody.example"),
        "token for another audience": jwts.mint(holder, aud="elsewhere"),
        "token that is not active": bearer("nobodys-token"),
        "credential of nobodys, which is no team of the config": jwts.mint(holder._replace(team="nobodys")),
    }
    for problem, each in shown.items():
        yield Row(path, problem, each, REJECTED, problem)


def _wrong_scope(path: str) -> str:
    wrong: str = min(SCOPES.difference(SCOPES_OF_RPC[path]))
    return wrong
