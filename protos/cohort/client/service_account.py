"""A service account's file → short-lived tokens, signed here: nobody is asked, and the private key stays where it is.

Signing needs PyJWT and cryptography, which `cohort-protos[jwt]` brings; they are imported when a file is read.
"""

import json
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

KIND = "cohort_service_account"
EXPIRES_IN_MAX_S = 24 * 3600

_TEXTS = ("id", "private_key", "algorithm", "audience", "org_id")


class ServiceAccount:
    """A service account with its private key.

    Use::

        account = ServiceAccount.from_file("service-account.json")
        bearer = account.bearer(["chat"], expires_in_s=600)
        channel = grpc.aio.insecure_channel("127.0.0.1:50051", interceptors=bearer_interceptors(bearer))

    Args:
        members: What `cohort service-accounts create` has printed.

    Attributes:
        id: Its id.
        scopes: All that its tokens may ask for.

    Raises:
        ValueError: It is no service account; says what is wrong, and nothing of what is there.
        ImportError: What signs is not installed.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._jwt = _pyjwt()
        if members.get("type") != KIND:
            raise ValueError(f"not a service account: its type is not {KIND}")
        for name in _TEXTS:
            if not isinstance(members.get(name), str) or not members[name]:
                raise ValueError(f"not a service account: {name} is missing")
        scopes = members.get("scopes")
        if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
            raise ValueError("not a service account: scopes are missing")
        self.id: str = members["id"]
        self.scopes: tuple[str, ...] = tuple(scopes)
        self._algorithm: str = members["algorithm"]
        self._audience: str = members["audience"]
        self._organisation: str = members["org_id"]
        self._key = _private_key(members["private_key"], self._algorithm)

    @classmethod
    def from_file(cls, path: "str | Path") -> "ServiceAccount":
        """Reads a service account's file.

        On POSIX, one of this user's own that others can read as well is refused, as ssh does with keys: `chmod 600`
        it. One that another user owns, such as a secret that is mounted, is for that user to protect.

        Raises:
            OSError: It cannot be read; PermissionError: by others it can.
            ValueError: It is no service account.
            ImportError: What signs is not installed.
        """
        try:
            members = json.loads(_own_bytes(Path(path)))
        except ValueError:
            # From it, `json` would quote the file.
            raise ValueError("not a service account: not JSON") from None
        if not isinstance(members, dict):
            raise ValueError("not a service account: not a JSON object")  # noqa: TRY004 (wrong in its contents)
        return cls(members)

    def token(self, scopes: "Iterable[str] | None" = None, expires_in_s: int = 3600) -> str:
        """Signs a token.

        Args:
            scopes: What it may do, of `scopes`. Default: all of them.
            expires_in_s: For how long, in seconds: 1 to 86,400, which is a day.

        Raises:
            ValueError: The account does not have such a scope, or it would be valid for too long.
        """
        asked = self._asked(scopes, expires_in_s)
        now_s = int(time.time())
        claims = {
            "iss": self.id,
            "sub": self.id,
            "aud": self._audience,
            "org_id": self._organisation,
            "scopes": asked,
            "iat": now_s,
            "exp": now_s + expires_in_s,
        }
        token: str = self._jwt.encode(claims, self._key, self._algorithm)
        return token

    def bearer(self, scopes: "Iterable[str] | None" = None, expires_in_s: int = 3600) -> Callable[[], str]:
        """Returns a function that gives a valid token, a new one when little is left of the one before.

        It is what `bearer_interceptors`, `with_bearer` and `bearer_call_credentials` take. Any thread may call it; it
        does not block, but for the tenth of a millisecond that a signature takes.

        Raises:
            ValueError: See `token`.
        """
        asked = self._asked(scopes, expires_in_s)
        # A call may be under way for a while before the token is looked at.
        kept_s = expires_in_s * 0.75
        lock = threading.Lock()
        signed_at_s, token = 0.0, ""

        def current() -> str:
            nonlocal signed_at_s, token
            with lock:
                now_s = time.time()
                # A clock that was set back makes a token of the future, which is no more valid than an old one.
                if not token or not signed_at_s <= now_s < signed_at_s + kept_s:
                    token, signed_at_s = self.token(asked, expires_in_s), now_s
                return token

        return current

    def _asked(self, scopes: "Iterable[str] | None", expires_in_s: int) -> list[str]:
        asked = list(self.scopes if scopes is None else dict.fromkeys(scopes))
        if not asked:
            raise ValueError("a token needs a scope")
        if unknown := [scope for scope in asked if scope not in self.scopes]:
            raise ValueError(f"the service account does not have the scope {unknown[0]}")
        if not 1 <= expires_in_s <= EXPIRES_IN_MAX_S:
            raise ValueError(f"a token is valid for 1 to {EXPIRES_IN_MAX_S} seconds")
        return asked

    def __repr__(self) -> str:
        return f"<ServiceAccount {self.id}>"


def _own_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if os.name == "posix" and status.st_uid == os.geteuid() and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PermissionError(f"{path} is open to others on this machine: chmod 600 it")
        return file.read()


def _pyjwt() -> Any:
    try:
        import cryptography  # noqa: F401, PLC0415 (an extra)
        import jwt  # noqa: PLC0415 (an extra)
    except ImportError:
        raise ImportError("a service account signs with PyJWT: pip install 'cohort-protos[jwt]'") from None
    return jwt


def _private_key(pem: str, algorithm: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 (an extra)
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    fits = {
        "EdDSA": isinstance(key, ed25519.Ed25519PrivateKey),
        "ES256": isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1),
    }
    if not fits.get(algorithm):
        raise ValueError("not a service account: private_key is no private key, PEM, for its algorithm EdDSA or ES256")
    return key
