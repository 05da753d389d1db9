"""What only two settings together can get wrong about Cohere keys: where they are kept, and where they are sent."""

from collections.abc import Iterator
from typing import Any

from yarl import URL

from clients.secrets.reference import reference_of
from service.address import is_loopback
from service.config.document import table_of
from service.config.values import base_url_of

COHERE_HOSTS = frozenset({"api.cohere.com", "api.cohere.ai"})
_SECTIONS = {"vault": "vault", "aws-sm": "aws", "gcp-sm": "gcp", "azure-kv": "azure", "held": "held"}
"""Kind of a reference → which section of [secrets] says how its store is reached."""
_ENV_AND_FILE = {"env", "file"}
_NEEDED = {
    ("vault", "token"): ("token",),
    ("vault", "approle"): ("role_id", "secret_id"),
    ("vault", "kubernetes"): ("role",),
    ("azure", "client-secret"): ("tenant_id", "client_id", "client_secret"),
}
"""What each way to log in needs."""


def source_problems(document: dict[str, Any]) -> Iterator[str]:
    """Keys whose store is not configured, and stores that nobody could log in to."""
    secrets = table_of(document, "secrets")
    for name, team in table_of(document, "teams").items():
        if isinstance(team, dict):
            yield from _key_problems(f"teams.{name}", team, secrets)
    for (section, auth), settings in _NEEDED.items():
        store = table_of(secrets, section)
        missing = [setting for setting in settings if store.get("auth") == auth and setting not in store]
        yield from (f'secrets.{section}.{setting}: auth = "{auth}" needs it' for setting in missing)
    version = table_of(secrets, "held").get("kek_version")
    if isinstance(version, str) and version not in table_of(table_of(secrets, "held"), "keks"):
        yield "secrets.held.kek_version: no key encryption key has this version"
    aws = table_of(secrets, "aws")
    if ("access_key_id" in aws) != ("secret_access_key" in aws):
        yield "secrets.aws: access_key_id and secret_access_key need each other"


def endpoint_problems(document: dict[str, Any]) -> Iterator[str]:
    """Places that Cohere keys must not be sent to."""
    cohere = table_of(document, "cohere")
    listed = cohere.get("vaults")
    vaults = {_origin(url) for url in listed if isinstance(url, str)} if isinstance(listed, list) else set()
    places = {"cohere.base_url": cohere.get("base_url")}
    teams = table_of(document, "teams")
    places |= {f"teams.{name}.base_url": table_of(teams, name).get("base_url") for name in teams}
    for place, value in places.items():
        try:
            url = URL(base_url_of(value)) if isinstance(value, str) else None
        except ValueError:
            continue  # told where single settings are
        if url is None:
            continue
        if is_loopback(url.host or ""):
            if cohere.get("sandbox") is not True:
                yield f"{place}: on this machine there is a sandbox at most: say cohere.sandbox = true"
        elif (url.raw_host, url.port) not in {*vaults, *((host, 443) for host in COHERE_HOSTS)}:
            yield f"{place}: Cohere keys are sent to Cohere and to the addresses of cohere.vaults alone"


def _key_problems(place: str, team: dict[str, Any], secrets: dict[str, Any]) -> Iterator[str]:
    try:
        kind = reference_of(str(team.get("cohere_key"))).kind
    except ValueError:
        return  # told where single settings are
    section = _SECTIONS.get(kind)
    if section is not None and section not in secrets:
        yield f"{place}.cohere_key: {kind}: needs the section secrets.{section}"
    if kind not in _ENV_AND_FILE and "cohere_key_previous" in team:
        yield f"{place}.cohere_key_previous: beside env: and file: only; {kind}: keeps earlier versions itself"
    elif team.get("cohere_key") == team.get("cohere_key_previous"):
        yield f"{place}.cohere_key_previous: the same as cohere_key"


def _origin(url: str) -> tuple[str | None, int | None]:
    try:
        parsed = URL(url)
    except ValueError:
        return None, None
    return parsed.raw_host, parsed.port
