"""The checks that every JWT has to pass, whoever issued it; PyJWT checks the signature, and no more.

They follow RFC 7515, RFC 7519 and the advice of RFC 8725: what a token says of itself chooses nothing. Its key and
the algorithms come from whoever calls; `jku`, `jwk`, `x5u` and `x5c` are never looked at.
"""

import base64
import json
import re
from collections.abc import Collection
from typing import Any

import jwt

from service.identity.refusals import CredentialRefused
from service.identity.tokens import LIFETIME_MAX_S, SKEW_S, TOKEN_BYTES_MAX
from service.public_keys import JWT_ALGORITHMS, PublicKey, fits

AUDIENCES_MAX = 5
SUBJECT_CHARS_MAX = 200

_YEAR_10000_S = 253_402_300_800
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SHA256_BASE64URL = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)

_JWS = jwt.PyJWS(algorithms=[*JWT_ALGORITHMS])


def claims_of(
    token: str,
    key: PublicKey,
    algorithms: Collection[str],
    *,
    issuer: str,
    audience: str,
    now_s: float,
    types: Collection[str] | None = None,
) -> dict[str, Any]:
    """Verifies a JWT and returns its claims.

    The caller may rely on `iss`, `aud` and a `sub` of 1 to 200 printable characters, and on `iat` and `exp` as
    finite numbers no more than `LIFETIME_MAX_S` apart. It is accepted for `SKEW_S` beyond `exp`. All other claims
    are as the issuer wrote them: of any type.

    Args:
        token: As received.
        key: The issuer's public key.
        algorithms: The only ones that it may be signed with; never what the token says.
        issuer: What it has to say in `iss`, exactly.
        audience: What it has to name in `aud`, exactly.
        now_s: The time, Unix seconds.
        types: What `typ` may be, in lower case; `""` stands for none. None: anything.

    Raises:
        CredentialRefused: It is not valid.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise CredentialRefused("token too long")
    parts = token.split(".")
    if len(parts) != 3:
        raise CredentialRefused("malformed token")
    # All three before the key is used: a part that has two spellings would make two tokens of one.
    header_json, claims_json, _ = (_bytes_of(part) for part in parts)
    header = _object_of(header_json)
    _check_header(header, key, algorithms, types)
    _check_signature(token, key, header["alg"])
    claims = _object_of(claims_json)
    _check_times(claims, now_s)
    _check_parties(claims, issuer, audience)
    return claims


def subject_of(value: object) -> str:
    """Whom a verified token is about: 1 to `SUBJECT_CHARS_MAX` printable characters, so that records name them whole.

    Raises:
        CredentialRefused: It names nobody.
    """
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= SUBJECT_CHARS_MAX:
        raise CredentialRefused("token without a subject")
    return value


def certificate_hash_of(claims: dict[str, Any]) -> str | None:
    """What a verified token says in `cnf` (RFC 8705 section 3.1): None if it is not bound to a client certificate.

    Raises:
        CredentialRefused: It is bound to something else, or to what cannot be read.
    """
    if "cnf" not in claims:
        return None
    cnf = claims["cnf"]
    # What it is bound to beside a certificate cannot be checked here, so it would not be bound at all.
    if not isinstance(cnf, dict) or set(cnf) != {"x5t#S256"}:
        raise CredentialRefused("token bound to something other than a client certificate")
    value = cnf["x5t#S256"]
    if not isinstance(value, str) or not _SHA256_BASE64URL.fullmatch(value):
        raise CredentialRefused("token with a malformed cnf")
    return value


def _bytes_of(part: str) -> bytes:
    if not _BASE64URL.fullmatch(part) or len(part) % 4 == 1:
        raise CredentialRefused("malformed token")
    value = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(value).rstrip(b"=").decode() != part:
        raise CredentialRefused("malformed token")
    return value


def _object_of(text: bytes) -> dict[str, Any]:
    try:
        # Decoded first: from bytes, `json` would take UTF-16 and UTF-32 as well.
        value = json.loads(text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise CredentialRefused("malformed token") from None
    if not isinstance(value, dict):
        raise CredentialRefused("malformed token")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal names one reader takes the first and another one the last.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise CredentialRefused("token that says one thing twice")
    return value


def _refused(_constant: str) -> float:
    raise CredentialRefused("token with a number that JSON has not")


def _check_header(
    header: dict[str, Any], key: PublicKey, algorithms: Collection[str], types: Collection[str] | None
) -> None:
    # No extension is understood here; `b64` is one, which changes what is signed (RFC 7797).
    if "crit" in header or "b64" in header:
        raise CredentialRefused("token that needs an extension")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise CredentialRefused("token of another algorithm")
    if not fits(key, algorithm):
        raise CredentialRefused("token whose algorithm its key is not for")
    typ = header.get("typ", "")
    if not isinstance(typ, str) or (types is not None and typ.lower() not in types):
        raise CredentialRefused("token of another type")


def _check_signature(token: str, key: PublicKey, algorithm: str) -> None:
    try:
        _JWS.decode_complete(token, key, [algorithm], {"enforce_minimum_key_length": True})
    except jwt.InvalidSignatureError:
        raise CredentialRefused("token with a wrong signature") from None
    except jwt.PyJWTError:
        raise CredentialRefused("malformed token") from None


def _check_times(claims: dict[str, Any], now_s: float) -> None:
    exp_s, iat_s = _time_s(claims, "exp"), _time_s(claims, "iat")
    if now_s >= exp_s + SKEW_S:
        raise CredentialRefused("expired token")
    if iat_s > now_s + SKEW_S or ("nbf" in claims and _time_s(claims, "nbf") > now_s + SKEW_S):
        raise CredentialRefused("token not valid yet")
    # With `iat` not in the future, this bounds `exp` as well.
    if not 0 < exp_s - iat_s <= LIFETIME_MAX_S:
        raise CredentialRefused("token of a lifetime that is not accepted")


def _time_s(claims: dict[str, Any], name: str) -> float:
    if name not in claims:
        raise CredentialRefused(f"token without {name}")
    value = claims[name]
    # A bool is an int to Python. 1e999 has become infinity, and 1e300 is as good as it.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _YEAR_10000_S:
        raise CredentialRefused(f"token with an {name} that is no time")
    return value


def _check_parties(claims: dict[str, Any], issuer: str, audience: str) -> None:
    if claims.get("iss") != issuer:
        raise CredentialRefused("token of another issuer")
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise CredentialRefused("token without an audience")
    if len(audiences) > AUDIENCES_MAX:
        raise CredentialRefused("token for too many audiences")
    if audience not in audiences:
        raise CredentialRefused("token for another audience")
    subject_of(claims.get("sub"))
