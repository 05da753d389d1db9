"""No secret of a service comes out of it, or of a command: whoever presents it, whatever fails, however encoded."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cohort.v1.budget_pb2 import AdjustBudgetRequest
from cohort.v1.usage_pb2 import Money
from service.identity.principal import Principal
from service.identity.scopes import ADMIN
from tests.e2e import requests
from tests.identity import sinks
from tests.identity.canaries import Hit, Secrets, canary, hits, shapes
from tests.identity.canary_calls import CHAT, HELD, lived
from tests.identity.canary_commands import run_commands, terminal, told_by
from tests.identity.minters import Holder
from tests.identity.rpcs import RPCS, TEAM, Ended
from tests.identity.scene import Scene, each_refusal_stands_alone, scene

SHOWN = (
    *("LoadedConfig", "Snapshot", "Running", "Authenticator", "ContentHasher", "KeyRing", "CohereKey", "Call("),
    *("TeamKeys of", "Envelopes under", "TokenCache", "AccessKeys", "AccessKeyRecord", "Introspection", "SigningKey"),
    *("ServiceAccount", "Login(", "LoginBearer", "CallerCredential"),
)
"""Objects that must have been among those looked at."""
_HELD = (
    f'[secrets.held.keks]\n1 = "file:kek"\n[teams.{HELD}]\ncohere_key = "held:"\n'
    'models = ["command-a-03-2025"]\nmax_tokens_per_call = 500\ndaily_budget_usd = 1000\n'
)
SECRET_KINDS = (
    *("Cohere key given inline", "key encryption key"),
    *("Cohere key", "client secret", "database password", "prompt", "pepper", "authorization code", "device code"),
    *("refresh token", "refresh token after renewal", "PKCE verifier", "audit HMAC key", "audit signing key (number)"),
    *("TLS private key (number)", "TLS private key (PEM)", "mTLS, valid (number)", "access key, valid"),
    *("access key of keys create", "access key of keys rotate", "access token of a renewal", "OAuth2 opaque, valid"),
    *(f"private key of a service account, {each} (PEM)" for each in ("EdDSA", "ES256")),
    *(f"JWT of cohort token, {each}" for each in ("EdDSA", "ES256")),
)
"""Those that must have been among the secrets looked for, beside others."""


async def plant(made: Scene, planted: str) -> tuple[list[Ended], Principal]:
    """Puts a value where it is allowed to be, so that each sink is seen to be looked into."""
    operator = made.minters.access_key.mint(Holder(TEAM, ADMIN))
    note = AdjustBudgetRequest(team=TEAM, amount=Money(nanos=1), note=planted, request_id="planted")
    await RPCS["/cohort.v1.AdminService/AdjustBudget"].call(made.channel(), note, operator.metadata)
    shown = made.minters.access_key.mint(Holder(TEAM, "chat"))
    refused = await RPCS[CHAT].call(made.channel(), requests.chat(model=planted), shown.metadata)
    print(planted)
    return [refused], Principal(TEAM, planted, frozenset(), "access_key", "planted", models=frozenset({planted}))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.prove, pytest.mark.prove_short])])
def database(request: pytest.FixtureRequest) -> tuple[str, bool]:
    """A database's URL, and whether there is a password."""
    if request.param == "sqlite":
        return "sqlite:cohort.db", False
    return str(request.getfixturevalue("postgres_url")), True


@pytest.mark.slow
async def test_no_secret_comes_out(
    database: tuple[str, bool],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, has_password = database
    each_refusal_stands_alone(monkeypatch)
    secrets, planted = Secrets(), canary()
    (tmp_path / "kek").write_text(secrets.texts["key encryption key"])
    (tmp_path / "database.password").write_text(secrets.texts["database password"])
    async with scene(
        tmp_path,
        database=url,
        books='database_password = "file:database.password"' if has_password else "",
        cohere_key=secrets.texts["Cohere key"],
        client_secret=secrets.texts["client secret"],
        more=_HELD,
    ) as made:
        ended = await lived(made, secrets)
        own = sinks.output(capfd)
        at = terminal(made, secrets, capfd, monkeypatch)
        await run_commands(at, monkeypatch)
        refused, held = await plant(made, planted)
        dump = await sinks.dumped(made.service.kept.books, url.partition(":")[0])
        found = sinks.all_of(made, [*ended, *refused], dump)
    assert held.name == planted  # it was alive until here
    rest = sinks.output(capfd)
    found |= {
        "files": sinks.files(made),
        "log": made.log.getvalue(),
        "stdout": own["stdout"] + rest["stdout"],
        "stderr": own["stderr"] + rest["stderr"],
        **told_by(at),
    }
    traces = hits(secrets.values, found)
    with capfd.disabled():
        sizes = ", ".join(f"{name} {len(content):,}" for name, content in found.items())
        print(
            f"\ncanaries on {url.partition(':')[0]}: {len(secrets.values)} secrets x {len(shapes(planted))} shapes,"
            f" {len(ended)} calls, {len(at.told)} commands, {len(traces)} hits in bytes: {sizes}"
        )

    assert traces == []
    assert [kind for kind in SECRET_KINDS if kind not in secrets.values] == []
    seen = {hit.sink for hit in hits({"planted": planted}, found)}
    kept_in_files = {"files", "files in use"} if not has_password else set()
    assert seen == {"database", "objects", "statuses", "log", "stdout"} | kept_in_files
    assert b'team="search"' in found["metrics"]
    assert [name for name in SHOWN if name.encode() not in found["objects"]] == []


@pytest.mark.parametrize("shape", shapes(canary()))
@pytest.mark.parametrize("before", [b"", b"\x00", b'{"a":"', b"\xff\xfe\n"])
def test_a_canary_is_found_in_every_shape(shape: str, before: bytes) -> None:
    secret, other = canary(), canary()
    content = before + shapes(secret)[shape] + b'"} and more'

    assert Hit("it", shape, "log") in hits(
        {"it": secret, "other": other}, {"log": content, "nothing": other[1:5].encode()}
    )
    assert {hit.sink for hit in hits({"it": secret, "other": other}, {"log": content, "none": before})} == {"log"}


@pytest.mark.parametrize("offset", range(3))
def test_a_canary_is_found_in_base64_whatever_stands_before_and_after_it(offset: int) -> None:
    secret = canary()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        content = encode(b"x" * (3 + offset) + secret.encode() + b"yz")
        assert hits({"it": secret}, {"log": content})


@pytest.mark.parametrize("around", [b"", b"'", b'"', b"'\""])
@pytest.mark.parametrize(
    "secret", [b"no quote", b"one' quote", b'one" quote', b"both ' of \" them", b"a backslash \\'"]
)
def test_bytes_are_found_in_a_repr_whatever_quotes_they_have_or_stand_among(secret: bytes, around: bytes) -> None:
    assert hits({"it": secret}, {"log": repr(around + secret + around).encode()})


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (Ed25519PrivateKey.generate(), PrivateFormat.PKCS8),
        (ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8),
        (ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL),
    ],
)
def test_a_private_key_is_found_in_every_form_and_what_is_public_of_it_is_not(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, form: PrivateFormat
) -> None:
    pem = key.private_bytes(Encoding.PEM, form, NoEncryption())
    der = key.private_bytes(Encoding.DER, form, NoEncryption())
    secrets = Secrets()
    secrets.add_private_key("key", pem.decode())
    written = {
        "pem": pem,
        "line": pem.replace(b"\n", b"\\n"),
        "der": der,
        "hex": der.hex().encode(),
        "repr": f"{der!r}".encode(),
    }
    public = key.public_key()
    for encoding in (Encoding.PEM, Encoding.DER):
        written[f"public {encoding}"] = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    keys = {name: value for name, value in secrets.values.items() if name.startswith("key ")}
    assert {hit.sink for hit in hits(keys, written)} == {"pem", "line", "der", "hex", "repr"}
