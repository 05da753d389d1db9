"""Why a credential is not accepted.

    IdentityError
    ├── CredentialRefused          it is not valid, and no retry makes it so
    └── CredentialUndecided        who issued it cannot be asked now

What they say is for the log and the audit trail: a caller gets one and the same answer, whatever was wrong.
"""

ISSUER_WAIT_S = 5.0


class IdentityError(Exception):
    """A credential that gives no access.

    Attributes:
        why: For operators; never holds a part of a secret. What the caller wrote stands in it only where it names a
            credential.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class CredentialRefused(IdentityError):
    """Malformed, unknown, expired, revoked, or not for this service."""


class CredentialUndecided(IdentityError):
    """Whether it is valid is not known, for its issuer does not answer, or is not asked now.

    Attributes:
        retry_after_s: When to present it again.
    """

    def __init__(self, why: str, retry_after_s: float = ISSUER_WAIT_S) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(why)
