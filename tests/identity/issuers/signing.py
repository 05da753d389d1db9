"""Keys of issuers and the tokens that they sign, whole or with something about them changed."""

import base64
import functools
import json
import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "cohort"


class Key:
    """A signing key of an issuer's."""

    def __init__(self, private: Any, algorithm: str, kid: str | None) -> None:
        self.private = private
        self.algorithm = algorithm
        self.kid = kid

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as a key set has it."""
        kind: Any = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}[self.algorithm[:2]]
        public = {**json.loads(kind.to_jwk(self.private.public_key())), "use": "sig", "alg": self.algorithm}
        return public if self.kid is None else {**public, "kid": self.kid}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A JWT; a header that is None is left out."""
        whole = {"typ": "at+jwt", "kid": self.kid, **header}
        return jwt.encode(
            claims, self.private, self.algorithm, {name: value for name, value in whole.items() if value is not None}
        )

    def spelt(self, header_json: bytes, claims_json: bytes) -> str:
        """A token with exactly these bytes as header and claims; its signature is right."""
        signed = f"{base64url(header_json)}.{base64url(claims_json)}"
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        return f"{signed}.{base64url(algorithm.sign(signed.encode(), self.private))}"


def base64url(value: bytes) -> str:
    """Base64url as in a JWT."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@functools.cache
def rsa_private(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key for each name: they take long to make."""
    return rsa.generate_private_key(65537, bits)


def rsa_key(kid: str | None = "rsa-1", algorithm: str = "RS256", name: str = "issuer") -> Key:
    return Key(rsa_private(name), algorithm, kid)


def ec_key(kid: str | None = "ec-1", algorithm: str = "ES256") -> Key:
    curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
    return Key(ec.generate_private_key(curve), algorithm, kid)


def ed_key(kid: str | None = "ed-1") -> Key:
    return Key(ed25519.Ed25519PrivateKey.generate(), "EdDSA", kid)


def claims(issuer: str, now_s: float | None = None, **changed: Any) -> dict[str, Any]:
    """What an access token says; what is changed to None is left out."""
    now_s = time.time() if now_s is None else now_s
    whole = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": "ada",
        "client_id": "indexer",
        "jti": uuid.uuid4().hex,
        "iat": int(now_s),
        "exp": int(now_s) + 3600,
        "team": "search",
        "scope": "chat embed",
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}
