"""A service account as its holder has it, and tokens of every kind, good and bad, that it could sign."""

import base64
import time
from collections.abc import Mapping
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.identity.directory import ServiceAccountRecord
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.tokens import Verified, peek

AUDIENCE, ORGANISATION = "cohort", "example"
SIGNING = jwt.PyJWS()

Signer = Ed25519PrivateKey | ec.EllipticCurvePrivateKey | RSAPrivateKey


class Account:
    """A service account with its private key.

    Args:
        account_id: Its id.
        algorithm: EdDSA or ES256.
    """

    def __init__(self, account_id: str = "sa_AAAAAAAAAAAAAAAA", algorithm: str = "EdDSA") -> None:
        self.id = account_id
        self.algorithm = algorithm
        self.key: Signer = (
            Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(ec.SECP256R1())
        )

    def record(self, *, revoked: bool = False) -> ServiceAccountRecord:
        """What the directory has of it."""
        scopes = frozenset({"chat", "embed"})
        models = frozenset({"command-a-03-2025"})
        principal = Principal("search", "indexer", scopes, "service_account", self.id, models, 100)
        return ServiceAccountRecord(self.id, pem_of(self.key), self.algorithm, principal, revoked)

    def claims(self, **changes: object) -> dict[str, Any]:
        """What a good token says, changed; None takes a claim away."""
        now_s = int(time.time())
        good: dict[str, Any] = {
            "iss": self.id,
            "sub": self.id,
            "aud": AUDIENCE,
            "org_id": ORGANISATION,
            "scopes": ["chat"],
            "iat": now_s,
            "exp": now_s + 600,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, header: Mapping[str, object] | None = None, **changes: object) -> str:
        """A token that says this; its header is changed as well."""
        return self.signed(orjson.dumps(self.claims(**changes)), header)

    def signed(self, claims_json: bytes, header: Mapping[str, object] | None = None) -> str:
        """A token with exactly these bytes as its claims."""
        return self.spelt(orjson.dumps({"alg": self.algorithm, "typ": "JWT", **(header or {})}), claims_json)

    def spelt(self, header_json: bytes, claims_json: bytes) -> str:
        """A token with exactly these bytes as header and claims; its signature is right."""
        signing_input = f"{base64url(header_json)}.{base64url(claims_json)}"
        algorithm = SIGNING.get_algorithm_by_name(self.algorithm)
        return f"{signing_input}.{base64url(algorithm.sign(signing_input.encode(), self.key))}"


def pem_of(key: Signer) -> str:
    """The public half, as the directory keeps it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def base64url(value: bytes) -> str:
    """Base64url as in a JWT."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def knowing(*records: ServiceAccountRecord) -> ServiceAccounts:
    """A verifier that knows these accounts."""
    known = {record.id: record for record in records}
    accounts = ServiceAccounts(lambda: known)
    accounts.expected = Expected(AUDIENCE, ORGANISATION)
    return accounts


async def verified(accounts: ServiceAccounts, token: str, now_s: float | None = None) -> Verified:
    """What the service makes of a token now, or at a time."""
    return await accounts.verify(token, peek(token), time.time() if now_s is None else now_s)


ACCOUNT = Account()
OTHER = Account("sa_BBBBBBBBBBBBBBBB")
ES256 = Account("sa_CCCCCCCCCCCCCCCC", "ES256")
ACCOUNTS = knowing(ACCOUNT.record(), OTHER.record(), ES256.record())


async def refused(token: str, accounts: ServiceAccounts = ACCOUNTS, now_s: float | None = None) -> str:
    """Why a token is refused, now or at a time."""
    with pytest.raises(CredentialRefused) as caught:
        await verified(accounts, token, now_s)
    assert token not in caught.value.why
    return caught.value.why
