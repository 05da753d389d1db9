"""An issuer that answers as a test wants, without a socket: behind the HTTP client of the commands."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import jwt
import pytest

from service.cli import login, login_renewal

ISSUER = "https://issuer.test/company"
CLIENT = "cohort-cli"
ACCESS_TOKEN, REFRESH_TOKEN, CODE, DEVICE_CODE = "access-secret", "refresh-secret", "code-secret", "device-secret"
SECRETS = (ACCESS_TOKEN, REFRESH_TOKEN, CODE, DEVICE_CODE)
TOKENS = {
    "access_token": ACCESS_TOKEN,
    "refresh_token": REFRESH_TOKEN,
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": "chat",
}
Answer = httpx.Response | Exception


def error(code: str, description: str | None = None) -> httpx.Response:
    """An error response of OAuth."""
    return httpx.Response(400, json={"error": code} | ({"error_description": description} if description else {}))


def id_token(**claims: Any) -> str:
    """Signed by nobody who matters."""
    own = {"iss": ISSUER, "aud": CLIENT, "sub": "ada", "iat": 1_700_000_000, "exp": 4_000_000_000}
    return jwt.encode(own | claims, "a key of thirty-two bytes or more", "HS256")


@dataclass
class FakeIssuer:
    """Answers in turn, the last answer again and again; notes the forms that it was sent."""

    token_answers: list[Answer] = field(default_factory=lambda: [httpx.Response(200, json=TOKENS)])
    device_answer: dict[str, Any] = field(
        default_factory=lambda: {
            "device_code": DEVICE_CODE,
            "user_code": "ABCD-EFGH",
            "verification_uri": "https://issuer.test/device",
            "expires_in": 600,
            "interval": 5,
        }
    )
    revocation_answer: Answer = field(default_factory=lambda: httpx.Response(200))
    metadata: dict[str, Any] = field(default_factory=dict)
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def client(self) -> httpx.Client:
        """In place of the commands' own."""
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def sent(self, path: str) -> list[dict[str, str]]:
        """The forms that came to a path, e.g. `/token`."""
        return [form for where, form in self.forms if where == path]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = urlsplit(str(request.url)).path
        if path == "/company/.well-known/openid-configuration":
            return httpx.Response(200, json=self._metadata())
        if path in {"/token", "/device", "/revoke"}:
            self.forms.append((path, dict(parse_qsl(request.content.decode()))))
        if path == "/device":
            return httpx.Response(200, json=self.device_answer)
        if path == "/revoke":
            return _given(self.revocation_answer)
        if path == "/token":
            return _given(self.token_answers.pop(0) if len(self.token_answers) > 1 else self.token_answers[0])
        return httpx.Response(404)

    def _metadata(self) -> dict[str, Any]:
        endpoints = {
            "authorization_endpoint": "https://issuer.test/authorize?tenant=1",
            "token_endpoint": "https://issuer.test/token",
            "device_authorization_endpoint": "https://issuer.test/device",
            "revocation_endpoint": "https://issuer.test/revoke",
        }
        whole = {"issuer": ISSUER, "code_challenge_methods_supported": ["S256"], **endpoints, **self.metadata}
        return {name: value for name, value in whole.items() if value is not None}


def _given(answer: Answer) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return httpx.Response(answer.status_code, content=answer.content)


@dataclass
class Browser:
    """Instead of a browser: notes where it was sent, and comes back with what a test wants."""

    comes_back: Callable[[dict[str, str]], dict[str, str]]
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    page: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """What the issuer was told."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def open(self, url: str) -> bool:
        """In place of `webbrowser.open`."""
        self.url = url
        self.get(self.comes_back(self.parameters))
        return True

    def get(self, answer: dict[str, str]) -> None:
        """Comes back to this machine."""
        response = httpx.get(self.parameters["redirect_uri"], params=answer, trust_env=False, verify=False)
        self.statuses.append(response.status_code)
        self.page = self.page or response.text


def installed(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> FakeIssuer:
    """Lets the commands find the issuer."""
    for module in (login, login_renewal):
        monkeypatch.setattr(module, "http_client", issuer.client)
    return issuer


def shows_no_secret(text: str) -> bool:
    """Whether nothing of what the issuer gave stands in a text."""
    return not any(secret in text or json.dumps(secret) in text for secret in SECRETS)
