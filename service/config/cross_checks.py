"""What only two settings together can get wrong.

Looks at the config as written, not as parsed, so that these problems are told beside those of single settings,
all at once; what has the wrong form is told there. Values are not repeated: a misplaced one may be a secret.
"""

from collections.abc import Iterator
from typing import Any

from service.address import host_of, is_loopback
from service.config.document import table_of
from service.config.limits import TIERS
from service.config.source_checks import endpoint_problems, source_problems

_CREDENTIALS = (
    ("vault", "token"),
    ("vault", "secret_id"),
    ("aws", "access_key_id"),
    ("aws", "secret_access_key"),
    ("gcp", "service_account_key"),
    ("azure", "client_secret"),
)
"""What the stores of Cohere keys are asked with."""


def cross_problems_of(document: dict[str, Any]) -> list[str]:
    """All contradictions in a config file, as `path: what is wrong`."""
    return [
        *_identity_problems(document),
        *_transport_security_problems(document),
        *_mtls_problems(document),
        *_secret_problems(document),
        *_pacing_problems(document),
        *_books_problems(document),
        *_limits_problems(document),
        *source_problems(document),
        *endpoint_problems(document),
    ]


def _identity_problems(document: dict[str, Any]) -> Iterator[str]:
    """Who is named and does not exist, and what would be ambiguous."""
    teams, identity = table_of(document, "teams"), table_of(document, "identity")
    domains, issuers = table_of(identity, "trust_domains"), table_of(identity, "issuers")
    version = identity.get("pepper_version")
    if isinstance(version, str) and version not in table_of(document, "peppers"):
        yield "identity.pepper_version: no pepper has this version"
    for spiffe_id, entry in table_of(identity, "spiffe_ids").items():
        place = f"identity.spiffe_ids.{spiffe_id}"
        if isinstance(entry, dict) and isinstance(entry.get("team"), str) and entry["team"] not in teams:
            yield f"{place}.team: no team has this name"
        if spiffe_id.startswith("spiffe://") and spiffe_id.split("/")[2] not in domains:
            yield f"{place}: its trust domain is not among identity.trust_domains"
    seen: dict[str, str] = {}
    opaque = [name for name in issuers if table_of(issuers, name).get("tokens") in ("opaque", "both")]
    for name in issuers:
        url = table_of(issuers, name).get("issuer")
        if isinstance(url, str) and seen.setdefault(url, name) != name:
            yield f"identity.issuers.{name}.issuer: the issuer of {seen[url]} as well"
        for value, team in table_of(table_of(issuers, name), "teams").items():
            if isinstance(team, str) and team not in teams:
                yield f"identity.issuers.{name}.teams.{value}: no team has this name"
    if len(opaque) > 1:
        yield f"identity.issuers: {' and '.join(opaque)}: an opaque token does not say whose it is: one may issue them"


def _transport_security_problems(document: dict[str, Any]) -> Iterator[str]:
    server = table_of(document, "server")
    listen = server.get("listen")
    if (
        not isinstance(listen, str)
        or ":" not in listen
        or "tls" in server
        or server.get("plaintext_off_loopback") is True
    ):
        return
    if not is_loopback(host_of(listen)):
        advice = "configure server.tls, or say server.plaintext_off_loopback = true"
        yield f"server.listen: other machines reach this address; {advice}"


def _mtls_problems(document: dict[str, Any]) -> Iterator[str]:
    server = table_of(document, "server")
    if "mtls" not in server:
        return
    if "tls" not in server:
        yield "server.mtls: the service has no certificate of its own: configure server.tls"
    if not table_of(table_of(document, "identity"), "trust_domains"):
        yield "server.mtls: nobody's certificate would be believed: configure identity.trust_domains"


def _secret_problems(document: dict[str, Any]) -> Iterator[str]:
    """Whoever holds a secret for one purpose must not thereby hold it for another."""
    used = {
        "audit.hmac_key": table_of(document, "audit").get("hmac_key"),
        "audit.signing_key": table_of(document, "audit").get("signing_key"),
        "books.database_password": table_of(document, "books").get("database_password"),
        **{f"peppers.{version}": reference for version, reference in table_of(document, "peppers").items()},
    }
    issuers = table_of(table_of(document, "identity"), "issuers")
    used |= {f"identity.issuers.{name}.client_secret": table_of(issuers, name).get("client_secret") for name in issuers}
    secrets = table_of(document, "secrets")
    used |= {
        f"secrets.{section}.{setting}": table_of(secrets, section).get(setting) for section, setting in _CREDENTIALS
    }
    keks = table_of(table_of(secrets, "held"), "keks")
    used |= {f"secrets.held.keks.{version}": reference for version, reference in keks.items()}
    first_use: dict[str, str] = {}
    for place, reference in used.items():
        if isinstance(reference, str) and first_use.setdefault(reference, place) != place:
            yield f"{place}: needs a secret of its own, not that of {first_use[reference]}"


def _pacing_problems(document: dict[str, Any]) -> Iterator[str]:
    """One Cohere key is of one kind."""
    teams = table_of(document, "teams")
    default = table_of(table_of(document, "cohere"), "pacing").get("key_kind", "production")
    seen: dict[str, tuple[str, Any]] = {}
    for name in teams:
        reference, kind = table_of(teams, name).get("cohere_key"), table_of(teams, name).get("cohere_key_kind", default)
        if not isinstance(reference, str) or reference.startswith("held:"):  # each team has its own there
            continue
        if seen.setdefault(reference, (name, kind))[1] != kind:
            yield f"teams.{name}.cohere_key_kind: teams.{seen[reference][0]} has the same key, as one of another kind"


def _books_problems(document: dict[str, Any]) -> Iterator[str]:
    books = table_of(document, "books")
    database = books.get("database", "sqlite:")
    if isinstance(database, str) and database.startswith("sqlite:") and "database_password" in books:
        yield "books.database_password: a SQLite file has none"
    if isinstance(database, str) and database == f"sqlite:{table_of(document, 'audit').get('checkpoint_file')}":
        yield "audit.checkpoint_file: this is the database"


def _limits_problems(document: dict[str, Any]) -> Iterator[str]:
    teams = table_of(document, "teams")
    for name in teams:
        team = table_of(teams, name)
        tier, limits = team.get("tier"), table_of(team, "limits")
        for setting, most in TIERS.get(tier, {}).items() if isinstance(tier, str) else ():
            wanted = limits.get(setting)
            if isinstance(wanted, int) and wanted > most:
                yield f"teams.{name}.limits.{setting}: the tier {tier} allows {most}, which can only be narrowed"
