import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cohort.client import ServiceAccount, bearer_interceptors, service_account, with_bearer
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.unit.client.conftest import Service

PROTOS = Path(__file__).resolve().parents[3] / "protos"
KEY = Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())


def pem_of(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PEM = pem_of(KEY)
MEMBERS: dict[str, Any] = {
    "type": "cohort_service_account",
    "id": "sa_AAAAAAAAAAAAAAAA",
    "private_key": PEM,
    "algorithm": "EdDSA",
    "audience": "cohort",
    "org_id": "example",
    "team": "search",
    "name": "indexer",
    "scopes": ["chat", "embed"],
}


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    """A service account's file."""
    file = folder / "service-account.json"
    file.write_text(text)
    file.chmod(mode)
    return file


class Clock:
    """The time that the helper sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = time.time()
        monkeypatch.setattr(service_account, "time", SimpleNamespace(time=lambda: self.now_s))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def claims_of(token: str, key: Any = None) -> dict[str, Any]:
    return jwt.decode(
        token,
        key or KEY.public_key(),
        ["EdDSA", "ES256"],
        {"verify_exp": False, "verify_iat": False},
        audience="cohort",
    )


@pytest.mark.parametrize(("key", "algorithm"), [(KEY, "EdDSA"), (P256, "ES256")], ids=["EdDSA", "ES256"])
def test_a_token_says_what_the_service_wants_to_know(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, algorithm: str, tmp_path: Path, clock: Clock
) -> None:
    file = written(tmp_path, json.dumps({**MEMBERS, "private_key": pem_of(key), "algorithm": algorithm}))
    token = ServiceAccount.from_file(file).token(["chat"], 600)

    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT"}
    assert claims_of(token, key.public_key()) == {
        "iss": "sa_AAAAAAAAAAAAAAAA",
        "sub": "sa_AAAAAAAAAAAAAAAA",
        "aud": "cohort",
        "org_id": "example",
        "scopes": ["chat"],
        "iat": int(clock.now_s),
        "exp": int(clock.now_s) + 600,
    }


def test_a_token_asks_for_all_scopes_for_an_hour_if_nothing_else_is_said() -> None:
    claims = claims_of(ServiceAccount(MEMBERS).token())

    assert claims["scopes"] == ["chat", "embed"]
    assert claims["exp"] - claims["iat"] == 3600


def test_a_scope_named_twice_is_asked_for_once() -> None:
    assert claims_of(ServiceAccount(MEMBERS).token(["chat", "chat"]))["scopes"] == ["chat"]


@pytest.mark.parametrize(
    ("scopes", "expires_in_s", "told"),
    [
        ([], 60, "a token needs a scope"),
        (["rerank"], 60, "does not have the scope rerank"),
        (["chat"], 0, "valid for 1 to 86400 seconds"),
        (["chat"], -1, "valid for 1 to 86400 seconds"),
        (["chat"], 86_401, "valid for 1 to 86400 seconds"),
    ],
)
def test_what_the_service_would_refuse_is_not_signed(scopes: list[str], expires_in_s: int, told: str) -> None:
    account = ServiceAccount(MEMBERS)

    with pytest.raises(ValueError, match=told):
        account.token(scopes, expires_in_s)
    with pytest.raises(ValueError, match=told):
        account.bearer(scopes, expires_in_s)


def test_a_bearer_is_renewed_when_a_quarter_of_its_time_is_left(clock: Clock) -> None:
    current = ServiceAccount(MEMBERS).bearer(["chat"], expires_in_s=1000)
    start_s = clock.now_s
    first = current()

    clock.now_s = start_s + 749
    assert current() == first
    clock.now_s = start_s + 751
    second = current()
    assert claims_of(second)["exp"] == int(start_s + 751) + 1000
    clock.now_s = start_s + 1400
    assert current() == second


def test_a_bearer_is_renewed_when_the_clock_was_set_back(clock: Clock) -> None:
    current = ServiceAccount(MEMBERS).bearer(["chat"])
    current()
    clock.now_s -= 7200

    assert claims_of(current())["iat"] == int(clock.now_s)


async def test_channels_of_both_kinds_carry_a_fresh_token(service: Service) -> None:
    bearer = ServiceAccount(MEMBERS).bearer(["chat"])
    async with grpc.aio.insecure_channel(service.target, interceptors=bearer_interceptors(bearer)) as channel:
        await GatewayServiceStub(channel).Chat(ChatRequest())

    def call() -> None:
        with with_bearer(grpc.insecure_channel(service.target), bearer) as blocking:
            GatewayServiceStub(blocking).Chat(ChatRequest())

    await asyncio.to_thread(call)

    assert service.calls == [("ChatRequest", [("authorization", f"Bearer {bearer()}")])] * 2


PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")).decode()
BAD: dict[str, dict[str, Any]] = {
    "another type": {"type": "service_account"},
    "no type": {"type": None},
    "no id": {"id": ""},
    "an id that is no text": {"id": 1},
    "no organisation": {"org_id": ""},
    "no scopes": {"scopes": []},
    "scopes in one text": {"scopes": "chat"},
    "scopes that are no text": {"scopes": [1]},
    "no key": {"private_key": "key"},
    "a public key": {"private_key": PUBLIC},
    "an encrypted key": {"private_key": ENCRYPTED},
    "a key of another algorithm": {"algorithm": "ES256"},
    "a key of another curve": {"private_key": pem_of(ec.generate_private_key(ec.SECP384R1())), "algorithm": "ES256"},
    "an RSA key": {"private_key": pem_of(rsa.generate_private_key(65537, 2048)), "algorithm": "RS256"},
    "an algorithm without a key": {"algorithm": "none"},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_is_no_service_account_is_refused_without_quoting_it(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a service account") as caught:
        ServiceAccount({**MEMBERS, **changes})

    assert PEM.splitlines()[1][:12] not in str(caught.value)


@pytest.mark.parametrize("text", [PEM, "", "[]", '{"type": '])
def test_a_file_that_holds_something_else_is_refused_without_quoting_it(text: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)

    with pytest.raises(ValueError, match="not a service account: not ") as caught:
        ServiceAccount.from_file(file)

    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)


def test_a_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ServiceAccount.from_file(tmp_path / "none")


@pytest.mark.skipif(os.name != "posix", reason="files have no modes here")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644, 0o777, 0o444])
def test_a_file_of_ones_own_that_others_can_read_or_change_is_refused(mode: int, tmp_path: Path) -> None:
    file = written(tmp_path, json.dumps(MEMBERS), mode)
    link = tmp_path / "link"
    link.symlink_to(file)

    for path in (file, link):
        with pytest.raises(PermissionError, match="open to others on this machine: chmod 600 it"):
            ServiceAccount.from_file(path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_that_its_owner_alone_can_read_is_read(mode: int, tmp_path: Path) -> None:
    assert ServiceAccount.from_file(written(tmp_path, json.dumps(MEMBERS), mode)).id == MEMBERS["id"]


@pytest.mark.skipif(os.name != "posix", reason="files have no owners here")
def test_a_file_that_another_user_has_mounted_is_that_users_to_protect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, json.dumps(MEMBERS), 0o444)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)

    assert ServiceAccount.from_file(file).id == MEMBERS["id"]


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_the_extra_it_is_told_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(ImportError, match=r"pip install 'cohort-protos\[jwt\]'"):
        ServiceAccount(MEMBERS)


def test_the_helpers_are_imported_without_the_extra() -> None:
    program = "import sys, cohort.client; sys.exit(bool({'jwt', 'cryptography'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=PROTOS).returncode == 0


def test_no_representation_shows_the_key() -> None:
    account = ServiceAccount(MEMBERS)

    assert repr(account) == "<ServiceAccount sa_AAAAAAAAAAAAAAAA>"
    assert PEM.splitlines()[1] not in repr(account.bearer())
