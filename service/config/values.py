"""The kinds of values that settings have, each with its check; no message repeats a value that may be a secret."""

import functools
import importlib.resources
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from yarl import URL

from clients.secrets.reference import reference_of
from clients.secrets.source import source_of
from service.address import is_loopback

AMOUNT_USD_MAX = 1_000_000
AMOUNT_DECIMALS_MAX = 9
"""A nano-USD is the smallest amount there is."""
SQLITE = "sqlite:"
_POSTGRES_OPTIONS = {"host", "port", "sslmode", "sslrootcert"}


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError("an address is HOST:PORT, e.g. 127.0.0.1:50051")
    return value


def _reference(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a reference has no control characters")
    source_of(value, environ={}, folder=Path())
    return value


def _key_reference(value: str) -> str:
    reference_of(value)
    return value


def _url(value: str) -> URL:
    try:
        return URL(value)
    except ValueError:
        # What it says may quote a password.
        raise ValueError("not a URL") from None


def base_url_of(value: str) -> str:
    """Checks the form of a base URL; what the form allows may yet be a place that no Cohere key may be sent to.

    Raises:
        ValueError: It has another form.
    """
    url = _url(value)
    extra = url.query_string or url.fragment or "@" in url.raw_authority
    if url.scheme not in {"http", "https"} or not url.host or not url.port or extra:
        raise ValueError("a base URL is https://HOST without credentials, query or fragment")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError("plain http would send the Cohere key in clear: only loopback may use it")
    return value


def _store_url(value: str) -> str:
    url = _url(value)
    if url.scheme not in {"http", "https"} or not url.host or not url.port or url != url.origin():
        raise ValueError("an address is https://HOST, or with a port, and nothing else")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError("plain http would show secrets to anyone on the way: only loopback may use it")
    return value.removesuffix("/")


def _vault_url(value: str) -> str:
    url = _url(value)
    if url.scheme != "https" or not url.host or not url.port or url != url.origin():
        raise ValueError("a vault is https://HOST, or with a port, and nothing else")
    return value


def _issuer_url(value: str) -> str:
    if "?" in value:
        raise ValueError("an issuer is https://HOST/PATH without credentials, query or fragment")
    return _endpoint_url(value)


def _endpoint_url(value: str) -> str:
    url = _url(value)
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.password or "#" in value:
        raise ValueError("a URL of an issuer is https://HOST/PATH without credentials or fragment")
    if url.scheme == "http" and not is_loopback(url.host):
        raise ValueError("plain http: anyone on the way could answer instead; only loopback may use it")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError("a name is 1 to 63 of a-z, 0-9, _ and -, and starts with a letter or digit")
    return value


def _amount(value: object) -> Decimal:
    # A bool is an int to Python; a float would have lost what was written, and is never read from the file.
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("an amount is US dollars, e.g. 25.00")  # noqa: TRY004 (pydantic takes ValueErrors)
    amount = Decimal(value)
    if not amount.is_finite() or not 0 < amount <= AMOUNT_USD_MAX:
        raise ValueError(f"an amount is more than 0 and at most {AMOUNT_USD_MAX} US dollars")
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -AMOUNT_DECIMALS_MAX:
        raise ValueError(f"an amount has at most {AMOUNT_DECIMALS_MAX} decimals")
    return amount


@functools.cache
def _time_zones() -> frozenset[str]:
    # Of the package, not of the machine: on each one a config means the same, and `localtime` means nothing.
    names = importlib.resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(names.split())


def _time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError("a time zone has an IANA name, e.g. Europe/Berlin")
    return value


def _database(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a database URL has no control characters")
    if value.startswith(SQLITE):
        if not value.removeprefix(SQLITE):
            raise ValueError("sqlite: is followed by the path of a file")
        return value
    url = _url(value)
    whole = url.user and (url.host or url.query.get("host")) and url.path == f"/{url.name}" and url.name
    if url.scheme != "postgresql" or not whole or url.fragment:
        raise ValueError("a database is sqlite:PATH or postgresql://USER@HOST:PORT/NAME")
    if url.password is not None or "password" in url.query:
        raise ValueError("a password is never written down: books.database_password says where it is kept")
    if not _POSTGRES_OPTIONS.issuperset(url.query):
        raise ValueError(f"of the options of a database URL there are {', '.join(sorted(_POSTGRES_OPTIONS))}")
    return value


Address = Annotated[str, AfterValidator(_address)]
Reference = Annotated[str, AfterValidator(_reference)]
KeyReference = Annotated[str, AfterValidator(_key_reference)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
VaultUrl = Annotated[str, AfterValidator(_vault_url)]
IssuerUrl = Annotated[str, AfterValidator(_issuer_url)]
EndpointUrl = Annotated[str, AfterValidator(_endpoint_url)]
BaseUrl = Annotated[str, AfterValidator(base_url_of)]
Name = Annotated[str, AfterValidator(_name)]
PepperVersion = Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=86_400)]
Scope = Literal["chat", "embed", "rerank", "usage:read", "keys:rotate", "audit:read", "admin"]
Endpoint = Literal["chat", "embed", "rerank"]
