"""The ID token that comes with a login: whether it is of this login, and who it says logged in.

It comes from the issuer itself over TLS, which stands for its signature (OpenID Connect Core 3.1.3.7, item 6).
"""

import hmac

import jwt

from service.cli.commands import CommandFailed

_SKEW_S = 60


def subject_of(id_token: str, issuer: str, client_id: str, nonce: str | None) -> str:
    """Who logged in.

    Args:
        id_token: As the token endpoint gave it.
        issuer: Of whom it has to be.
        client_id: For whom it has to be.
        nonce: What was sent when the login began; None if nothing was.

    Raises:
        CommandFailed: It is of another issuer, client or login, or has expired.
    """
    try:
        claims = jwt.decode(
            id_token,
            audience=client_id,
            issuer=issuer,
            leeway=_SKEW_S,
            options={
                "verify_signature": False,
                "verify_aud": True,
                "verify_exp": True,
                "verify_iss": True,
                "require": ["aud", "exp", "iat", "iss", "sub"],
            },
        )
    except jwt.PyJWTError as error:
        raise CommandFailed(f"the ID token of {issuer} is not of this login: {type(error).__name__}") from None
    if claims.get("azp", client_id) != client_id:
        raise CommandFailed(f"the ID token of {issuer} is of another client")
    if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise CommandFailed(f"the ID token of {issuer} is not of this login: it repeats another nonce")
    return str(claims["sub"])
