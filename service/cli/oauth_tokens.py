"""The token endpoint of an issuer: codes and refresh tokens become access tokens, which can be revoked.

Authlib makes the requests. The client is a public one, as a program on many machines can keep no secret.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]

from service.cli.commands import CommandFailed
from service.cli.printing import printable

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_TOLD_CHARS_MAX = 200
_LIFETIME_MAX_S = 10 * 365 * 86400
_NO_AUTH = httpx.Auth()
"""A public client says who it is in the body."""


class IssuerRefused(Exception):
    """An error response of an issuer (RFC 6749 section 5.2).

    Attributes:
        error: Its code, such as "invalid_grant".
    """

    def __init__(self, error: object = None, description: object = None) -> None:
        self.error = str(error)[:_TOLD_CHARS_MAX]
        self._description = str(description or "")[:_TOLD_CHARS_MAX]
        super().__init__(self.error)

    def told(self, *used: str | None) -> str:
        """What it says, for people; what was *used* is struck out, for some issuers repeat it."""
        text = f"{self.error}: {self._description}" if self._description else self.error
        for secret in filter(None, used):
            text = text.replace(secret, "…")
        return text


class IssuerUnavailable(Exception):
    """An issuer does not answer, or not as OAuth has it. Its words are for people."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a token, and what for."""

    client_id: str
    scopes: tuple[str, ...]
    audience: str | None = None
    """For whom, as some issuers want to be told when the login begins."""
    resource: str | None = None
    """For whom, as RFC 8707 has it: told with each request."""

    def beginning(self) -> dict[str, str]:
        """The parameters of a request that begins a login."""
        all_of_them = {"scope": " ".join(self.scopes), "audience": self.audience, "resource": self.resource}
        return {name: value for name, value in all_of_them.items() if value}


@dataclass(frozen=True, slots=True)
class Issued:
    """What an issuer gave."""

    scopes: tuple[str, ...]
    expires_at_s: int | None
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)


class TokenEndpoint:
    """Asks for tokens.

    Args:
        http: To the issuer.
        url: The endpoint's.
        asked: Who asks, and what for.
    """

    def __init__(self, http: httpx.Client, url: str, asked: Asked) -> None:
        self._url = url
        self._asked = asked
        self._oauth = OAuth2Client(http, client_id=asked.client_id)
        # Authlib's own cannot be made of a description that has, say, a quotation mark in it.
        self._oauth.oauth_error_class = IssuerRefused

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Issued:
        """An authorization code → tokens. Raises as `_issued` does."""
        return self._issued("authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect_uri)

    def poll(self, device_code: str) -> Issued:
        """A device code that was approved → tokens. Raises as `_issued` does."""
        return self._issued(DEVICE_CODE, device_code=device_code)

    def refresh(self, refresh_token: str) -> Issued:
        """A refresh token → tokens, the next refresh token among them. Raises as `_issued` does."""
        issued = self._issued("refresh_token", refresh_token=refresh_token)
        if issued.refresh_token is not None:
            return issued
        return Issued(issued.scopes, issued.expires_at_s, issued.access_token, refresh_token, issued.id_token)

    def revoke(self, url: str, token: str, kind: str) -> None:
        """Ends a token (RFC 7009).

        Args:
            url: The revocation endpoint.
            token: What to end.
            kind: "refresh_token" or "access_token".

        Raises:
            IssuerRefused: It says no.
            IssuerUnavailable: It does not answer.
        """
        body = urlencode({"client_id": self._asked.client_id})
        try:
            response = self._oauth.revoke_token(url, token=token, token_type_hint=kind, body=body, auth=_NO_AUTH)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerUnavailable(str(error) or type(error).__name__) from None
        if response.status_code >= 500:
            raise IssuerUnavailable(f"it answers {response.status_code}")
        if response.status_code >= 400:
            raise _refusal_of(response)

    def _issued(self, grant_type: str, **parameters: str) -> Issued:
        """Asks.

        Raises:
            IssuerRefused: It says no.
            IssuerUnavailable: It does not answer, or nothing that can be used.
        """
        asked = self._asked
        resource = {"resource": asked.resource} if asked.resource else {}
        try:
            answer = self._oauth.fetch_token(
                self._url, grant_type=grant_type, auth=_NO_AUTH, client_id=asked.client_id, **parameters, **resource
            )
        except httpx.HTTPStatusError as error:
            raise IssuerUnavailable(f"it answers {error.response.status_code}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerUnavailable(str(error) or type(error).__name__) from None
        except (ValueError, TypeError, OverflowError):  # what these say may quote the request or the answer
            raise IssuerUnavailable("its answer is malformed") from None
        return _issued(answer, asked)


def http_failure(issuer: str, failed: IssuerRefused | IssuerUnavailable, *used: str | None) -> CommandFailed:
    """A failure at an issuer, for people; what was *used* is struck out."""
    if isinstance(failed, IssuerRefused):
        return CommandFailed(printable(f"{issuer} refuses: {failed.told(*used)}"))
    return CommandFailed(printable(f"{issuer} does not answer as it should: {failed}"))


def claims_of(token: str | None) -> Mapping[str, Any]:
    """What a JWT says, unverified, to be shown or compared; nothing if it is none."""
    try:
        claims: Mapping[str, Any] = jwt.decode(token or "", options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims


def _issued(answer: Mapping[str, Any], asked: Asked) -> Issued:
    access_token, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(access_token, str) or not _is_word(access_token):
        raise IssuerUnavailable("its answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise IssuerUnavailable("its access token is no bearer")
    texts = {name: _text(answer, name) for name in ("refresh_token", "id_token", "scope")}
    return Issued(
        scopes=tuple(texts["scope"].split()) if texts["scope"] else asked.scopes,
        expires_at_s=_expiry(answer, access_token),
        access_token=access_token,
        refresh_token=texts["refresh_token"],
        id_token=texts["id_token"],
    )


def _refusal_of(response: httpx.Response) -> IssuerRefused:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "error" not in answer:
        return IssuerRefused(f"it answers {response.status_code}")
    return IssuerRefused(answer["error"], answer.get("error_description"))


def _expiry(answer: Mapping[str, Any], access_token: str) -> int | None:
    now_s = int(time.time())
    try:
        lasts_s = int(answer["expires_in"])
    except (KeyError, TypeError, ValueError, OverflowError):
        expires = claims_of(access_token).get("exp")
        return int(expires) if isinstance(expires, int | float) and 0 < expires < now_s + _LIFETIME_MAX_S else None
    return now_s + min(max(lasts_s, 0), _LIFETIME_MAX_S)


def _text(answer: Mapping[str, Any], name: str) -> str | None:
    value = answer.get(name)
    return value if isinstance(value, str) and value else None


def _is_word(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text
