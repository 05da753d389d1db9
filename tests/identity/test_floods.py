"""A flood of refused credentials, no two alike, of every kind: few records and lines, no new metrics, all counted."""

import secrets
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson

from service.books.refusals import RECORDS_MAX
from service.identity import access_keys
from tests.e2e import requests
from tests.identity import sinks
from tests.identity.minters import Holder, Presented, bearer
from tests.identity.rpcs import RPCS, TEAM, Ended
from tests.identity.scene import Scene, scene
from tests.identity.test_matrix import gathered

CHAT = "/cohort.v1.GatewayService/Chat"
ROUNDS = 100
KINDS = 8


def strangers(made: Scene) -> Iterator[Presented]:
    """Credentials that give no access: ids, issuers, keys, subjects and teams that do not exist."""
    accounts, jwts, opaque = made.minters.service_account, made.minters.oauth2_jwt, made.minters.oauth2_opaque
    for number in range(ROUNDS):
        yield bearer(access_keys.create("test")[1])
        yield Presented((("x-api-key", secrets.token_urlsafe(40)),))
        yield bearer(accounts.signed(f"sa_{uuid.uuid4().hex}", scopes=["chat"]))
        claims = jwts.issuer.claims(f"team-{number}", ["chat"], sub=f"nobody-{number}")
        yield bearer(jwts.issuer.jwt(claims))
        yield bearer(jwts.issuer.jwt({**claims, "iss": f"https://{number}.example"}, kid=f"key-{number}"))
        yield bearer(opaque.issuer.opaque(opaque.issuer.claims(f"team-{number}", ["chat"])))
        yield bearer(secrets.token_urlsafe(20))
        yield made.minters.mtls.mint(Holder(TEAM, "chat", "revoked"))


def series(made: Scene) -> set[str]:
    """The names and labels of all metrics."""
    return {line.rpartition(" ")[0] for line in sinks.metrics(made).decode().splitlines() if line[0] != "#"}


async def test_credentials_without_number_leave_few_lines_and_records_and_no_new_metrics(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:

        async def called(shown: Presented) -> Ended:
            return await RPCS[CHAT].call(made.channel(shown.certificate), requests.chat(), shown.metadata)

        flood = list(strangers(made))
        assert len(flood) == ROUNDS * KINDS
        started_s = time.monotonic()
        first = await gathered([called(each) for each in flood[:KINDS]])
        known = series(made)
        rest = await gathered([called(each) for each in flood[KINDS:]])
        seconds = time.monotonic() - started_s + 2  # it may begin and end within one
        new = series(made) - known
        wrong = [await called(made.minters.access_key.mint(Holder(TEAM, scope))) for scope in ("embed", "rerank")]
    assert {each[:2] for each in first + rest} == {("UNAUTHENTICATED", "CREDENTIAL_REJECTED")}
    assert {each.reason for each in wrong} == {"SCOPE_MISSING"}
    assert {name for name in new if not name.startswith("cohort_alerts")} == set()

    lines = made.lines()
    single = [line for line in lines if line.get("code") == "UNAUTHENTICATED"]
    told = [line for line in lines if line["event"] == "refusals_aggregated"]
    with sqlite3.connect(tmp_path / "cohort.db") as database:
        records = [
            orjson.loads(body)
            for (body,) in database.execute("SELECT body FROM audit WHERE team = '' AND kind = 'answer'")
        ]
        usage = Counter(dict(database.execute("SELECT reason, SUM(calls) FROM usage_day WHERE team = '' GROUP BY 1")))
    database.close()
    assert RECORDS_MAX <= len(records) == len(single) <= RECORDS_MAX * seconds  # all come from one address
    assert 1 <= len(told) <= seconds
    assert len(single) + sum(line["counts"]["CREDENTIAL_REJECTED"] for line in told) == ROUNDS * KINDS
    assert usage == {"CREDENTIAL_REJECTED": ROUNDS * KINDS}
    # Of whoever is known each refusal has its line.
    assert [line["reason"] for line in lines if line.get("team") == TEAM and "method" in line] == ["SCOPE_MISSING"] * 2
