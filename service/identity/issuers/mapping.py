"""What an issuer's verified claims mean here: which team, who, and with which scopes.

Only what the config says is taken: a claim of another form than expected gives nothing. `admin` stands in no token by
itself, and unless scopes are marked as meant for this service, no more than `UNMAPPED` does: other services use the
same words, and whoever may name scopes at the issuer is not thereby an operator here.
"""

from collections.abc import Mapping
from typing import Any

from service.config import IssuerConfig
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.scopes import ADMIN, SCOPES
from service.recordable import recordable

ACTORS_MAX = 3
UNMAPPED = frozenset({"chat", "embed", "rerank"})
"""The scopes that a token can have where the config has neither a map nor a prefix for them."""


def principal_of(issuer: str, config: IssuerConfig, claims: Mapping[str, Any], subject: str) -> Principal:
    """Who the holder of a verified token is.

    Args:
        issuer: What the config calls its issuer.
        config: What the config says of it.
        claims: The token's.
        subject: Whom the token is about.

    Raises:
        CredentialRefused: It names no team, or gives no scope.
    """
    name = claim_of(claims, config.name_claim, subject)
    if not isinstance(name, str) or not name:
        raise CredentialRefused("token without a usable name")
    return Principal(
        team=_team(config, claims),
        name=recordable(name),
        scopes=_scopes(config, claims),
        method="oauth2",
        credential_id=recordable(f"{issuer}:{subject}"),
        actors=actors_of(claims),
    )


def claim_of(claims: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A claim by its name, or by the path to it: `realm_access.roles` is the member `roles` of `realm_access`.

    A name with dots in it, such as `https://example.com/roles`, comes before a path, and a longer one before a
    shorter one, so that each setting has one meaning for one token.
    """
    if name in claims:
        return claims[name]
    head, dot, _ = name.rpartition(".")
    while dot:
        if isinstance(claims.get(head), dict):
            return claim_of(claims[head], name[len(head) + 1 :], default)
        head, dot, _ = head.rpartition(".")
    return default


def actors_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Who acts for the subject, the present one first (RFC 8693 section 4.1).

    Raises:
        CredentialRefused: They are too many, or do not say who they are.
    """
    actors: list[str] = []
    while "act" in claims:
        claims = claims["act"]
        actor = claims.get("sub") if isinstance(claims, dict) else None
        if not isinstance(actor, str) or not actor:
            raise CredentialRefused("token of an actor who does not say who it is")
        if len(actors) == ACTORS_MAX:
            raise CredentialRefused("token of too many actors")
        actors.append(recordable(actor))
    return tuple(actors)


def _team(config: IssuerConfig, claims: Mapping[str, Any]) -> str:
    value = claim_of(claims, config.team_claim)
    values = {each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)}
    # Of a person's many groups, those that are no team's are nobody's business here.
    teams = {config.teams[each] for each in values & config.teams.keys()} if config.teams else values
    if not teams:
        raise CredentialRefused("token without a team")
    if len(teams) > 1:
        raise CredentialRefused("token of more than one team")
    return recordable(teams.pop())


def _scopes(config: IssuerConfig, claims: Mapping[str, Any]) -> frozenset[str]:
    value = claim_of(claims, config.scope_claim)
    values = value.split(" ") if isinstance(value, str) else value
    if not isinstance(values, list):
        raise CredentialRefused("token without scopes")
    taken = SCOPES - {ADMIN} if config.scope_prefix else UNMAPPED
    scopes: set[str] = set()
    for each in values:
        if not isinstance(each, str):
            continue
        if config.scopes:
            scopes |= config.scopes.get(each, frozenset())
        elif each.startswith(config.scope_prefix):
            scopes |= {each.removeprefix(config.scope_prefix)} & taken
    if not scopes:
        raise CredentialRefused("token without a scope of this service")
    return frozenset(scopes)
