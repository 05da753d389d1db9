"""A check of a key by Cohere, in the words of a rotation."""

from yarl import URL

from clients.key_check import KeyChecker
from clients.key_verdict import KeyCause, KeyState
from clients.secrets.key_source import Secret
from service.rotation.history import Cause
from service.rotation.parts import Checked

_CAUSES = {
    KeyCause.NOT_SET: Cause.KEY_NOT_SET,
    KeyCause.MISTYPED: Cause.KEY_MISTYPED,
    KeyCause.REJECTED: Cause.KEY_REJECTED,
    KeyCause.FORBIDDEN: Cause.KEY_FORBIDDEN,
    KeyCause.UNPAID: Cause.BILLING,
    KeyCause.NOT_ASKED: Cause.COHERE_UNAVAILABLE,
}

ADVICE = {
    Cause.SOURCE_UNAVAILABLE: "See whether the source can be reached from here, and rotate again",
    Cause.KEY_NOT_SET: "Put the new key into the source, and rotate again",
    Cause.KEY_MISTYPED: "Put the key into the source as Cohere's dashboard shows it, alone, and rotate again",
    Cause.KEY_REJECTED: "Make a new key in Cohere's dashboard, put it into the source, and rotate again",
    Cause.KEY_FORBIDDEN: "Use a key of a role that may do what the team does, and rotate again",
    Cause.BILLING: "Add a payment method in Cohere's dashboard, or raise the cap, and rotate again",
    Cause.OTHER_ORGANIZATION: "Use a key of the team's own organization, and rotate again",
    Cause.COHERE_UNAVAILABLE: "Wait until Cohere answers, and rotate again; where a Cohere has no check of keys, "
    "rotate with a probe",
    Cause.PROBE_FAILED: "See what the call failed for, or rotate without a probe",
    Cause.SUPERSEDED: "Nothing, if the newer version is the one that is wanted",
}
"""What to do, by the cause."""


class CheckedByCohere:
    """See `Checker`.

    Args:
        checker: Asks.
    """

    def __init__(self, checker: KeyChecker) -> None:
        self._checker = checker

    async def check(self, value: str, base_url: URL) -> Checked:
        """See `Checker.check`."""
        verdict = await self._checker.check(Secret(value), base_url)
        if verdict.state is KeyState.GOOD or verdict.cause is None:
            return Checked(None, verdict.organization_id)
        return Checked(_CAUSES[verdict.cause], message=verdict.message)
