"""docs/identity.md: its config is taken, and each of its commands does what the page says, in the order of the page."""

import asyncio
import io
import os
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote_plus

import orjson
import pytest
from cryptography import x509

from clients.sandbox import Sandbox
from service import config
from service.identity.scopes import SCOPES, SCOPES_OF_RPC
from service.server import Running, running
from tests.books_lines import books_lines
from tests.e2e.processes import ROOT, environment
from tests.e2e.test_peers import TOOLS, tool
from tests.identity.authority import Authority
from tests.idp.idp import INDEXER, OPAQUE, RS256, SERVER, Idp, Options, missing
from tests.idp.idp import running as running_idp

RESOURCE = "https://cohort.example.com"
PAGE = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
INIT, *COMMANDS = re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE)
TABLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ISSUERS = ("https://login.example.com", "https://tokens.example.com")
PRINTED = {
    "cohort init": r"Made access key \w{12} for platform/ada with the scope admin; .*\n",
    "cohort keys create": r"Made access key \w{12} for search/indexer with the scopes chat, usage:read, until .*\n",
    "cohort keys rotate": r"Made access key \w{12} for .*\nAccess key \w{12}, which it replaces, ends .* UTC\.\n",
    "cohort keys revoke": r"(Access key \w{12} of search/indexer is revoked since .*\n){2}",
    "cohort keys list": r"TEAM .*\n(search  indexer  \w{12}  (revoked|active) .*\n( .*\n)+){2}",
    "cohort service-accounts create": r"Made service account sa_\w+; .*\n",
    "cohort token": r"",
    "cohort login": r"Log in in the browser; (.*\n)+Logged in at http://127\S+ as ada\. The tokens are in \S+\n",
    "cohort whoami": r"credential +login\n(.*\n)+localhost:\d+ takes you for a caller of the team search\.\n",
    "cohort call chat": r".+\n\[COMPLETE \| billed: .*\]\n",
    # A JWT is asked for by nobody, so most issuers do not take it back.
    "cohort logout": r"(warning: the access token was not revoked: it stays good .*\n)?Logged out of http://127\S+\n",
    "curl": r"",
    "grpcurl": r'\{\n(.*\n)+ +("call_id": "[0-9a-f-]{36}",|"budgets": \[)\n(.*\n)+\}\n',
}
"""What the commands print beside what they write into files: nothing else, so no error and no warning."""
METHODS = {
    "Access keys": "access_key",
    "Service accounts": "service_account",
    "Tokens of an issuer": "oauth2",
    "People": "oauth2",
    "Client certificates": "mtls",
}
"""By the section of the page."""
BROWSER = """\
#!{python}
import sys
import httpx
from tests.idp.people import sign_in
httpx.get(sign_in(sys.argv[1]), trust_env=False)
"""


def tables(idps: Sequence[Idp]) -> str:
    """The config of the page, with issuers on loopback and ports that are free."""
    text = "\n".join(TABLES).replace("0.0.0.0:50052", "127.0.0.1:0")
    for issuer, idp in zip(ISSUERS, idps, strict=True):
        text = re.sub(rf'(issuer = "){issuer}(".*)', rf"\g<1>{idp.issuer}\g<2>\nprivate_addresses = true", text)
    return text.replace('client_id = "cohort"', f'client_id = "{SERVER.id}"')


def prepare(folder: Path, url: str, idps: Sequence[Idp]) -> None:
    """What the page takes for granted: a config, certificates, a browser, and the commands."""
    authority, mesh = Authority("server"), Authority("prod.example.com")
    server = authority.issue([x509.DNSName("localhost")])
    svid = mesh.workload("spiffe://prod.example.com/search/indexer")
    written = {
        "ca.pem": authority.pem, "server.pem": server.pem, "server.key": server.key_pem, "bundle.pem": mesh.pem,
        "svid.pem": svid.pem, "svid.key": svid.key_pem, "pepper": b"p" * 40, "cohere.key": b"sandbox-production",
        "client.secret": SERVER.secret.encode(),
    }  # fmt: skip
    for name, content in written.items():
        (folder / name).write_bytes(content)
    teams = "".join(
        f'[teams.{name}]\ncohere_key = "file:cohere.key"\nbase_url = "{url}"\nmodels = ["command-a-03-2025"]\n'
        "max_tokens_per_call = 500\ndaily_budget_usd = 10\n"
        for name in ("platform", "search")
    )
    (folder / "cohort.toml").write_text(
        'environment = "prod"\n[server]\nlisten = "127.0.0.1:0"\n'
        '[server.tls]\ncertificate_file = "server.pem"\nprivate_key_file = "server.key"\n'
        f"[metrics]\nenabled = false\n[cohere]\nsandbox = true\n{books_lines(folder)}{teams}{tables(idps)}"
    )
    (folder / "bin").mkdir()
    scripts = {"cohort": f'#!/bin/sh\nexec {sys.executable} -m service.cli "$@"\n', "browser": BROWSER}
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(script.format(python=sys.executable))
        (folder / "bin" / name).chmod(0o755)


async def run(folder: Path, command: str) -> str:
    """Runs a command as it would be pasted; gives what it showed."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", f"umask 077\n{command}",
        cwd=folder,
        env={
            **environment(),
            "PATH": f"{folder / 'bin'}:{TOOLS}:{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_CONFIG_HOME": "",
            "BROWSER": str(folder / "bin" / "browser"),
            "CLIENT_ID": quote_plus(INDEXER.id),
            "CLIENT_SECRET": quote_plus(INDEXER.secret),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    shown, _ = await process.communicate()
    assert process.returncode == 0, f"{command}\n{shown.decode()}"
    return shown.decode()


def here(command: str, service: Running, idps: Sequence[Idp]) -> str:
    """A command of the page, with the addresses of this test."""
    places = {"localhost:50051": service.port, "localhost:50052": service.mtls_port}
    for place, port in places.items():
        command = command.replace(place, f"localhost:{port}")
    resource = OPAQUE if ISSUERS[1] in command else RS256  # by which this provider knows what form is wanted
    command = command.replace(RESOURCE, resource)
    for issuer, idp in zip(ISSUERS, idps, strict=True):
        command = command.replace(issuer, idp.issuer)
    return command


def expected_of(command: str) -> str:
    """What a command prints, whole, as a pattern."""
    (found,) = [printed for words, printed in PRINTED.items() if command.startswith(f"{words} ") or command == words]
    return found


def method_of(command: str) -> str:
    """How the caller is known who makes a call of a section of the page."""
    before = PAGE.partition(f"$ {command}\n")[0]
    return METHODS[before.rpartition("\n## ")[2].partition("\n")[0]]


@pytest.mark.prove
@pytest.mark.prove_short
async def test_the_page_takes_each_credential_from_its_making_to_a_call(tmp_path: Path) -> None:
    tool("grpcurl")
    if (problem := missing()) or not all(map(shutil.which, ("curl", "jq", "bash"))):
        pytest.skip(problem or "the page's commands need curl, jq and bash")
    sandbox, log = Sandbox(), io.BytesIO()
    with running_idp(Options(team="search")) as login, running_idp(Options(team="search")) as tokens:
        idps = login, tokens
        async with sandbox.serve() as url:
            prepare(tmp_path, url, idps)
            shown = [await run(tmp_path, INIT)]
            async with running(config.load(tmp_path / "cohort.toml"), log) as service:
                shown += [await run(tmp_path, here(command, service, idps)) for command in COMMANDS]

    for command, printed in zip((INIT, *COMMANDS), shown, strict=True):
        assert re.fullmatch(expected_of(command), printed), f"{command}\n{printed}"
    calls = [line for line in map(orjson.loads, log.getvalue().splitlines()) if line["event"] == "call"]
    assert {line["code"] for line in calls} == {"OK"}
    calling = [command for command in COMMANDS if command.startswith(("grpcurl", "cohort call"))]
    methods = [line["method"] for line in calls if line["rpc"].startswith("/cohort.v1.GatewayService")]
    assert methods == [method_of(command) for command in calling]
    assert {method_of(command) for command in calling if command.startswith("grpcurl")} == set(METHODS.values())
    print(f"\nidentity page: {len(shown)} commands, {dict(Counter(methods))}")


def test_the_page_knows_every_scope_and_what_it_opens() -> None:
    section = PAGE.partition("## Scopes")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([a-z:]+)` \| (.*) \|$", section, re.MULTILINE))

    assert set(rows) == SCOPES
    for path, scopes in SCOPES_OF_RPC.items():
        narrowest = scopes[0]
        assert narrowest == "admin" or path.rpartition("/")[2] in rows[narrowest]
        assert ("admin" in scopes) == ("AdminService" in path or path.endswith(("/GetUsage", "/RotateKey")))


def test_the_page_uses_long_flags_and_no_address_but_its_own() -> None:
    for command in (INIT, *COMMANDS):
        words = shlex.split(command.replace("$(", " ").replace(")", " "))
        assert words[0] in {"cohort", "grpcurl", "curl"}
        if words[0] == "cohort":
            assert not [word for word in words if re.fullmatch(r"-[a-zA-Z]", word)]
