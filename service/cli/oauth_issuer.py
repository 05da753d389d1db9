"""An issuer of access tokens, as it describes itself (OpenID Connect Discovery 1.0, RFC 8414)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from service.address import is_loopback
from service.cli.commands import NOT_STARTED, CommandFailed

TIMEOUT_S = 15.0
_TOLD_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Issuer:
    """What its metadata say. Endpoints are URLs over TLS, or of this machine."""

    name: str
    """Exactly as its tokens say in `iss`."""
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    names_itself: bool = False
    """Whether its redirects say who they are of (RFC 9207)."""


def http_client() -> httpx.Client:
    """A client for an issuer. Proxies and CAs are those of the person's environment; nothing is redirected."""
    return httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, headers={"accept": "application/json"})


def discovered(http: httpx.Client, name: str) -> Issuer:
    """Asks an issuer for its metadata.

    Raises:
        CommandFailed: It does not answer, or says what cannot be trusted.
    """
    _require_safe(name, "--issuer")
    told = ""
    for url in metadata_urls(name):
        try:
            response = http.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CommandFailed(f"{name} does not answer: {str(error) or type(error).__name__}") from None
        if response.status_code == httpx.codes.OK:
            return _issuer(name, _document(name, response))
        told = f"{url} answers {response.status_code}"
    raise CommandFailed(f"{name} has no metadata: {told}")


def metadata_urls(name: str) -> tuple[str, str]:
    """Where an issuer's metadata can be: of OpenID Connect at its end, of RFC 8414 between its host and path."""
    parts = urlsplit(name)
    path = parts.path.rstrip("/")
    return (
        f"{parts.scheme}://{parts.netloc}{path}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
    )


def _document(name: str, response: httpx.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandFailed(f"the metadata of {name} are no JSON object")
    return document


def _issuer(name: str, metadata: Mapping[str, Any]) -> Issuer:
    if metadata.get("issuer") != name:
        # Else the tokens of one issuer could be asked for in the name of another (RFC 8414 section 3.3).
        told = repr(metadata.get("issuer"))[:_TOLD_CHARS_MAX]
        raise CommandFailed(f"{name} says that it is {told}: --issuer is written as it says")
    methods = metadata.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise CommandFailed(f"{name} does not know PKCE with S256, without which a login is not safe")
    token_endpoint = _endpoint(metadata, "token_endpoint")
    if token_endpoint is None:
        raise CommandFailed(f"the metadata of {name} name no token_endpoint")
    return Issuer(
        name=name,
        token_endpoint=token_endpoint,
        authorization_endpoint=_endpoint(metadata, "authorization_endpoint"),
        device_authorization_endpoint=_endpoint(metadata, "device_authorization_endpoint"),
        revocation_endpoint=_endpoint(metadata, "revocation_endpoint"),
        names_itself=metadata.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(metadata: Mapping[str, Any], member: str) -> str | None:
    url = metadata.get(member)
    if url is None:
        return None
    if not isinstance(url, str):
        raise CommandFailed(f"{member} of the issuer is no URL")
    _require_safe(url, f"{member} of the issuer")
    return url


def _require_safe(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        safe = bool(host) and parts.port != 0 and (parts.scheme == "https" or is_loopback(host or ""))
    except ValueError:
        raise CommandFailed(f"{what} is no URL", NOT_STARTED) from None
    plain = not url.isascii() or not url.isprintable() or " " in url or parts.username or parts.fragment
    if not safe or parts.scheme not in {"http", "https"} or plain:
        raise CommandFailed(f"{what} is not https://HOST/PATH (http is for this machine alone)", NOT_STARTED)
