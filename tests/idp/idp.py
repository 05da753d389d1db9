"""A real OAuth2 and OpenID Connect provider (oidc-provider, certified by the OpenID Foundation) on a loopback port.

It knows three clients: INDEXER gets tokens for itself (client_credentials), CLI is public and has people sign in (by
code with PKCE on any port of 127.0.0.1 or localhost, by device code, and by refresh tokens that rotate), and SERVER
asks for opaque tokens. Anyone may sign in: `ada@search` is of the team search, `ada` of the team in its options.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import httpx

FOLDER = Path(__file__).parent
NODE = shutil.which("node", path=FOLDER.parents[1] / ".tools" / "bin") or shutil.which("node") or ""
AUDIENCE = "cohort"
RS256, ES256, OPAQUE = "https://cohort.test/rs256", "https://cohort.test/es256", "https://cohort.test/opaque"
"""What is asked for as `resource` decides the form of the access token; RS256 unless it is."""
RS256_ELSEWHERE, OPAQUE_ELSEWHERE = "https://elsewhere.test/rs256", "https://elsewhere.test/opaque"
"""Tokens of the audience `elsewhere`."""


class Client(NamedTuple):
    id: str
    secret: str = ""


INDEXER = Client("indexer", "indexer secret: 100% & more")
SERVER = Client("cohort server", "server+secret:100%&more")
CLI = Client("cohort-cli")
# RFC 6749 section 2.3.1: both are form-encoded before they are joined.
_INDEXER_AUTH = (quote_plus(INDEXER.id), quote_plus(INDEXER.secret))


@dataclass(frozen=True)
class Options:
    team: str = "demo"
    """What tokens say in `team`, unless the one who signed in is of another."""
    access_token_s: int = 3600
    act: dict[str, Any] | None = None
    """What tokens say in `act`."""


@dataclass
class Idp:
    """The provider as it runs."""

    issuer: str
    process: "subprocess.Popen[str]"
    http: httpx.Client = field(repr=False)

    def token(self, scope: str = "chat", resource: str = RS256) -> str:
        """An access token of INDEXER."""
        form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
        answer = self.http.post(f"{self.issuer}/token", data=form, auth=_INDEXER_AUTH).raise_for_status()
        return str(answer.json()["access_token"])

    def revoke(self, token: str) -> None:
        """Takes an opaque token of INDEXER back (RFC 7009)."""
        form = {"token": token, "token_type_hint": "access_token"}
        self.http.post(f"{self.issuer}/token/revocation", data=form, auth=_INDEXER_AUTH).raise_for_status()

    def requests(self, path: str) -> int:
        """How often a path was asked for, e.g. `/jwks`."""
        return int(self.http.get(f"{self.issuer}/control/requests").json().get(path, 0))

    def rotate(self) -> None:
        """Takes new signing keys and forgets the old ones, at once."""
        self.http.post(f"{self.issuer}/control/rotate").raise_for_status()

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def missing() -> str:
    """What is not there that the provider needs; empty if all is."""
    if not NODE:
        return "no node here"
    return "" if (FOLDER / "node_modules").is_dir() else "no oidc-provider here: npm ci --prefix tests/idp"


@contextlib.contextmanager
def running(options: Options | None = None) -> Iterator[Idp]:
    """Starts the provider, and makes sure of its end."""
    words = [NODE, str(FOLDER / "server.mjs"), json.dumps(asdict(options or Options()))]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process,
        # Nothing of a proxy: it is on loopback.
        httpx.Client(trust_env=False) as http,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("issuer "), line
            yield Idp(line.split()[1], process, http)
        finally:
            process.kill()
