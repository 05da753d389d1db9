"""The bounds of RotateKey's requests. Nothing that is found repeats a part of a key."""

from cohort.v1.rotate_key_pb2 import RotateKeyRequest
from service.validation import grants
from service.validation.rules import PASSES, Rules
from service.validation.values import whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect

OVERLAP_S_MAX = 30 * 24 * 3600
INLINE_KEY_CHARS_MAX = 4096


def violations_of_rotate_key(request: RotateKeyRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _ROTATE.check(findings, "", checked), request)


def _reload(findings: Findings, field: str, value: bool) -> None:  # noqa: FBT001 (a field's value)
    if not value:
        findings.add(field, ViolationReason.OUT_OF_RANGE, "must be true, or another source be named")


def _inline_key(findings: Findings, field: str, value: str) -> None:
    if not value:
        findings.add(field, ViolationReason.REQUIRED, "is empty")
    elif len(value) > INLINE_KEY_CHARS_MAX:
        bounds = f"may have {INLINE_KEY_CHARS_MAX} characters; has {len(value)}"
        findings.add(field, ViolationReason.TOO_LARGE, bounds)


_ROTATE = Rules.of(
    RotateKeyRequest,
    {
        "team": word,
        "reload": _reload,
        "inline_key": _inline_key,
        "overlap_seconds": whole(0, OVERLAP_S_MAX),
        "validate_only": PASSES,
        "probe": PASSES,
        "request_id": grants.request_id,
    },
)
