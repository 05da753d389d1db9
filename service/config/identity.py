"""The section `identity`: which tokens and certificates are believed, and what they may do."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from service.config.base import Section
from service.config.values import EndpointUrl, IssuerUrl, Name, PepperVersion, Reference, Scope
from service.spiffe_id import trust_domain_of

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")


def _trust_domain(value: str) -> str:
    if not _TRUST_DOMAIN.fullmatch(value):
        raise ValueError("a trust domain is a name of a-z, 0-9, ., _ and -, e.g. prod.example.com")
    return value


def _spiffe_id(value: str) -> str:
    if trust_domain_of(value) is None:
        raise ValueError("a SPIFFE id is spiffe://TRUST_DOMAIN/PATH, e.g. spiffe://prod.example.com/search/indexer")
    return value


TrustDomain = Annotated[str, AfterValidator(_trust_domain)]
SpiffeId = Annotated[str, AfterValidator(_spiffe_id)]
Claim = Annotated[str, Field(min_length=1, max_length=200)]


class IssuerConfig(Section):
    """An OAuth2 authorization server whose access tokens are accepted."""

    issuer: IssuerUrl
    """Exactly as its tokens say in `iss`; its metadata is looked up from here."""
    audience: str | None = Field(default=None, min_length=1, max_length=200)
    """What tokens have to name in `aud`; absent = `identity.audience`."""
    tokens: Literal["jwt", "opaque", "both"] = "jwt"
    """`jwt`: verified by the issuer's keys (RFC 9068); `opaque`: asked for at the issuer (RFC 7662); or both."""
    algorithms: frozenset[Algorithm] = Field(default=frozenset({"RS256", "ES256"}), min_length=1)
    """The only algorithms that its JWTs may be signed with."""
    rfc9068: StrictBool = True
    """Whether JWTs have to say `typ: at+jwt`, `client_id` and `jti`; off for issuers that do not, such as Entra ID."""
    jwks_url: EndpointUrl | None = None
    """Where its keys are; absent = where its metadata says."""
    introspection_url: EndpointUrl | None = None
    """Where tokens are asked for; absent = where its metadata says."""
    client_id: str | None = Field(default=None, min_length=1, max_length=200)
    """Who we are when asking for opaque tokens."""
    client_secret: Reference | None = None
    """The secret of `client_id`."""
    private_addresses: StrictBool = False
    """Whether it may be on a private address, or on this machine; without, a name that leads to one is not followed."""
    team_claim: Claim = "team"
    """The claim that names the team: a text, or an array of which exactly one is a team's.

    As the other claims, it may be in another one: `realm_access.roles`. See `mapping.claim_of`.
    """
    teams: dict[Claim, Name] = Field(default_factory=dict)
    """Value of the claim → team; absent = the value is the team's name."""
    name_claim: Claim = "sub"
    """The claim that says who calls, within the team; where a token has it not, its subject does."""
    scope_claim: Claim = "scope"
    """The claim with the scopes, separated by spaces, or an array."""
    scope_prefix: str = Field(default="", max_length=100)
    """What scopes begin with that are meant for this service, e.g. `cohort:`; it is cut off, others are ignored."""
    scopes: dict[Claim, frozenset[Scope]] = Field(default_factory=dict)
    """Value in the claim → scopes; absent = the value without the prefix is the scope, unless that is `admin`.

    Without a prefix either, only chat, embed and rerank are.
    """

    @model_validator(mode="after")
    def _can_be_asked(self) -> "IssuerConfig":
        if self.tokens != "jwt" and (self.client_id is None or self.client_secret is None):
            raise ValueError("an issuer of opaque tokens needs client_id and client_secret")
        urls = (self.issuer, self.jwks_url, self.introspection_url)
        if not self.private_addresses and any(url is not None and url.startswith("http:") for url in urls):
            raise ValueError("an issuer on this machine needs private_addresses = true")
        return self


class TrustDomainConfig(Section):
    """A SPIFFE trust domain whose client certificates are accepted."""

    bundle_file: Path
    """PEM, its authorities; read again when it changes."""


class SpiffeIdConfig(Section):
    """Who a SPIFFE id is."""

    team: Name
    name: Name
    scopes: frozenset[Scope] = Field(min_length=1)
    models: frozenset[Annotated[str, Field(min_length=1, max_length=200)]] = frozenset()
    """The only models it may use; absent = all of its team's."""
    max_tokens_per_call: StrictInt | None = Field(default=None, ge=1, le=1_000_000)
    """Its own cap of output tokens; absent = its team's."""


class IdentityConfig(Section):
    """Who may call."""

    organisation: str | None = Field(default=None, min_length=1, max_length=200)
    """What the JWTs of service accounts have to say in `org_id`; without it there are none."""
    audience: str = Field(default="cohort", min_length=1, max_length=200)
    """What tokens have to name in `aud`."""
    pepper_version: PepperVersion | None = None
    """Of `peppers`, the version that new access keys are kept under; absent = the highest."""
    issuers: dict[Name, IssuerConfig] = Field(default_factory=dict)
    trust_domains: dict[TrustDomain, TrustDomainConfig] = Field(default_factory=dict)
    spiffe_ids: dict[SpiffeId, SpiffeIdConfig] = Field(default_factory=dict)
