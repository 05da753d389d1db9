"""A login on another device: a code is shown, entered there, and asked after until it is approved (RFC 8628)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from service.cli.commands import CommandFailed
from service.cli.oauth_issuer import Issuer
from service.cli.oauth_tokens import (
    Asked,
    Issued,
    IssuerRefused,
    IssuerUnavailable,
    TokenEndpoint,
    http_failure,
)

_INTERVAL_DEFAULT_S, _INTERVAL_MAX_S = 5, 300
_SLOWER_S = 5
"""By how much `slow_down` lengthens the interval (RFC 8628 section 3.5)."""
_LIFETIME_MAX_S = 3600


@dataclass(frozen=True, slots=True)
class _Device:
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    lifetime_s: float
    interval_s: float
    device_code: str = field(repr=False)


def by_device(
    http: httpx.Client,
    issuer: Issuer,
    endpoint: TokenEndpoint,
    asked: Asked,
    timeout_s: float,
    show: Callable[[str], None],
) -> Issued:
    """Logs a person in with a browser elsewhere.

    Args:
        http: To the issuer.
        issuer: Where.
        endpoint: Its token endpoint.
        asked: Who asks, and what for.
        timeout_s: How long the person may take.
        show: Tells the person something.

    Raises:
        CommandFailed: It came to nothing; says how.
    """
    if issuer.device_authorization_endpoint is None:
        raise CommandFailed(f"{issuer.name} has no logins on another device")
    device = _begin(http, issuer, issuer.device_authorization_endpoint, asked)
    show(f"To log in, go to\n\n{device.verification_uri}\n\nand enter {device.user_code}\n")
    if device.verification_uri_complete is not None:
        show(f"or go to\n\n{device.verification_uri_complete}\n\nand check that it shows this code\n")
    return _approved(issuer, endpoint, device, min(timeout_s, device.lifetime_s))


def _approved(issuer: Issuer, endpoint: TokenEndpoint, device: _Device, timeout_s: float) -> Issued:
    ends_at_s = time.monotonic() + timeout_s
    interval_s = device.interval_s
    while (left_s := ends_at_s - time.monotonic()) > 0:
        time.sleep(min(interval_s, left_s))
        try:
            return endpoint.poll(device.device_code)
        except IssuerUnavailable:
            interval_s = min(2 * interval_s, _INTERVAL_MAX_S)  # the person may be at it all the same
        except IssuerRefused as refused:
            match refused.error:
                case "authorization_pending":
                    continue
                case "slow_down":
                    interval_s += _SLOWER_S
                case "access_denied":
                    raise CommandFailed("the login was denied") from None
                case "expired_token":
                    break
                case _:
                    raise http_failure(issuer.name, refused, device.device_code) from None
    raise CommandFailed("nobody has logged in before the code expired: `cohort login` again")


def _begin(http: httpx.Client, issuer: Issuer, url: str, asked: Asked) -> _Device:
    try:
        response = http.post(url, data={"client_id": asked.client_id, **asked.beginning()})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise http_failure(issuer.name, IssuerUnavailable(str(error) or type(error).__name__)) from None
    try:
        answer = response.json()
    except ValueError:
        raise http_failure(issuer.name, IssuerUnavailable(f"it answers {response.status_code}")) from None
    if not isinstance(answer, dict):
        raise http_failure(issuer.name, IssuerUnavailable("its answer is malformed"))
    if "error" in answer:
        raise http_failure(issuer.name, IssuerRefused(answer["error"], answer.get("error_description")))
    try:
        return _device(answer)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise http_failure(issuer.name, IssuerUnavailable("its answer is malformed")) from None


def _device(answer: Mapping[str, Any]) -> _Device:
    complete = answer.get("verification_uri_complete")
    return _Device(
        user_code=_line(answer["user_code"]),
        verification_uri=_web_address(answer["verification_uri"]),
        verification_uri_complete=None if complete is None else _web_address(complete),
        lifetime_s=min(_LIFETIME_MAX_S, float(answer["expires_in"])),
        interval_s=min(_INTERVAL_MAX_S, max(1.0, float(answer.get("interval", _INTERVAL_DEFAULT_S)))),  # 1 if NaN
        device_code=_line(answer["device_code"]),
    )


def _line(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("not a line")
    return value


def _web_address(value: object) -> str:
    if urlsplit(_line(value)).scheme not in {"http", "https"}:
        raise ValueError("not a web address")
    return str(value)
