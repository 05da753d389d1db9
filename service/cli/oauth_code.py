"""A login in the browser: authorization code with PKCE, and a redirect to this machine (RFC 7636, RFC 8252)."""

import secrets
import sys
import webbrowser
from collections.abc import Callable, Mapping
from typing import NamedTuple

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from service.cli.commands import CommandFailed
from service.cli.oauth_issuer import Issuer
from service.cli.oauth_redirect import Redirect
from service.cli.oauth_tokens import (
    Asked,
    Issued,
    IssuerRefused,
    IssuerUnavailable,
    TokenEndpoint,
    http_failure,
)
from service.config import environment_variable

_RANDOM_BYTES = 32


class _Begun(NamedTuple):
    """What a login is recognised by at the issuer. Never shown."""

    verifier: str
    nonce: str | None

    def __repr__(self) -> str:
        return "<_Begun>"


def by_code(
    issuer: Issuer, endpoint: TokenEndpoint, asked: Asked, page: Redirect, timeout_s: float, show: Callable[[str], None]
) -> tuple[Issued, str | None]:
    """Logs a person in with their browser; returns what was issued, and the nonce that an ID token has to repeat.

    Args:
        issuer: Where.
        endpoint: Its token endpoint.
        asked: Who asks, and what for.
        page: Where the browser comes back to.
        timeout_s: How long the person may take.
        show: Tells the person something.

    Raises:
        CommandFailed: It came to nothing; says how.
    """
    if issuer.authorization_endpoint is None:
        raise CommandFailed(f"{issuer.name} has no logins in a browser; try --device")
    begun = _Begun(
        verifier=secrets.token_urlsafe(_RANDOM_BYTES),
        nonce=secrets.token_urlsafe(_RANDOM_BYTES) if "openid" in asked.scopes else None,
    )
    url = _authorization_url(issuer.authorization_endpoint, asked, page, begun)
    show(f"Log in in the browser; if none opens, go to\n\n{url}\n\n")
    _open(url)
    code = _code_of(page.answer(timeout_s), issuer)
    try:
        return endpoint.exchange(code, begun.verifier, page.uri), begun.nonce
    except (IssuerRefused, IssuerUnavailable) as failed:
        raise http_failure(issuer.name, failed, code, begun.verifier) from None


def has_browser() -> bool:
    """Whether a browser can be opened here; one that would take the terminal counts only if it is asked for."""
    if sys.platform != "darwin" and not any(map(environment_variable, ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _open(url: str) -> None:
    try:
        webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return  # the person has the URL


def _authorization_url(authorization_endpoint: str, asked: Asked, page: Redirect, begun: _Begun) -> str:
    parameters = asked.beginning()
    if begun.nonce is not None:
        parameters["nonce"] = begun.nonce
    if "offline_access" in asked.scopes:
        parameters["prompt"] = "consent"  # without which it is ignored (OpenID Connect Core section 11)
    url: str = prepare_grant_uri(
        authorization_endpoint,
        asked.client_id,
        "code",
        redirect_uri=page.uri,
        state=page.state,
        code_challenge=create_s256_code_challenge(begun.verifier),
        code_challenge_method="S256",
        **parameters,
    )
    return url


def _code_of(answer: Mapping[str, str], issuer: Issuer) -> str:
    told = answer.get("iss")
    if (told is not None or issuer.names_itself) and told != issuer.name:
        raise CommandFailed(f"the answer is not of {issuer.name}; nothing was taken from it")
    if "error" in answer:
        refused = IssuerRefused(answer["error"], answer.get("error_description"))
        raise http_failure(issuer.name, refused)
    code = answer.get("code")
    if not code:
        raise CommandFailed(f"{issuer.name} has sent no code")
    return code
