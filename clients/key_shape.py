"""Whether a value can be a Cohere key as it is written, and what to do if not. Pure; says nothing of the value itself.

Cohere does not promise how its keys look. Those seen have 40 letters and digits, so another length is only a hint.
"""

import base64
import binascii
import enum
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

KEY_CHARS = 40
"""Of every Cohere key seen so far."""


class FlawKind(enum.StrEnum):
    """What is wrong with a value."""

    EMPTY = "empty"
    WHITESPACE = "whitespace"
    LINE_END = "line_end"
    CHARACTERS = "characters"
    QUOTES = "quotes"
    BEARER = "bearer"
    ASSIGNMENT = "assignment"
    REFERENCE = "reference"
    JSON = "json"
    OTHER_VENDOR = "other_vendor"
    BASE64 = "base64"
    LENGTH = "length"


class Flaw(NamedTuple):
    """One thing that is wrong with a value, in words that hold nothing of it."""

    kind: FlawKind
    problem: str
    advice: str
    fatal: bool = True
    """It is no Cohere key, and not to be sent to Cohere: it may be somebody else's secret. Else it may be one."""


class Vendor(NamedTuple):
    """Whose keys begin so."""

    prefix: str
    name: str
    chars: int | None = None
    """How many characters they have, where the prefix alone could begin a Cohere key."""


VENDORS = (
    Vendor("sk-", "a key of another vendor of models"),
    Vendor("AIza", "a Google key", 39),
    Vendor("hf_", "a Hugging Face token"),
    Vendor("gsk_", "a Groq key"),
    Vendor("xai-", "an xAI key"),
    Vendor("AKIA", "the id of an AWS access key", 20),
    Vendor("ASIA", "the id of a temporary AWS access key", 20),
    Vendor("ghp_", "a GitHub token"),
    Vendor("github_pat_", "a GitHub token"),
    Vendor("glpat-", "a GitLab token"),
    Vendor("hvs.", "a Vault token"),
    Vendor("xoxb-", "a Slack token"),
    Vendor("cohort_", "an access key of Cohort's, which is for its callers"),
)
"""No two of them fit one value."""

_Finding: TypeAlias = tuple[FlawKind, str, str]
_QUOTES = "\"'`“”‘’«»"  # noqa: RUF001 (as word processors write them)
_REFERENCE = re.compile(r"(env|file|vault|aws-sm|gcp-sm|azure-kv|held):|\$\{?[A-Za-z_]|arn:aws|https?://", re.ASCII)
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*[^=\s]", re.ASCII)


def flaws_of(value: str) -> list[Flaw]:
    """Tells everything that is wrong with a value, the worst first; nothing if it can be a Cohere key.

    Args:
        value: As its source has it, with all it has around the key.
    """
    if not value.strip():
        advice = "put the team's Cohere key there, from Cohere's dashboard, API keys"
        return [Flaw(FlawKind.EMPTY, "is empty", advice)]
    fatal = [Flaw(*finding) for finding in (*_around(value), *_instead(value.strip().strip(_QUOTES)))]
    return fatal or [Flaw(*finding, fatal=False) for finding in _unusual(value)]


def fatal_flaw_of(value: str) -> Flaw | None:
    """The worst that is wrong with a value, if that says that it is no Cohere key."""
    return next((flaw for flaw in flaws_of(value) if flaw.fatal), None)


def _around(value: str) -> Iterator[_Finding]:
    """What came along with a key when it was copied."""
    if "\n" in value or "\r" in value:
        yield FlawKind.LINE_END, "holds a line end", "write the key without one: printf %s, not echo"
    elif value != value.strip():
        yield FlawKind.WHITESPACE, "has whitespace around it", "remove it"
    inner = value.strip()
    if not inner.strip(_QUOTES).isascii() or not inner.replace("\r", "").replace("\n", "").isprintable():
        yield FlawKind.CHARACTERS, "holds characters that no key has", "copy the key again, as plain text"
    if inner[0] in _QUOTES or inner[-1] in _QUOTES:
        yield FlawKind.QUOTES, "has quotes around it", "remove them: a secret store and a file take them literally"
    bare = inner.strip(_QUOTES)
    if bare[:7].lower() in {"bearer", "bearer "}:
        yield FlawKind.BEARER, 'begins with "Bearer"', "leave it away: Cohort adds it"
    elif not _ASSIGNMENT.match(bare) and not bare.startswith("{") and any(map(str.isspace, bare)):
        yield FlawKind.WHITESPACE, "holds whitespace", "copy the key again, alone"


def _instead(bare: str) -> Iterator[_Finding]:
    """What was put there in a key's place."""
    if _REFERENCE.match(bare):
        yield (
            FlawKind.REFERENCE,
            "is a reference, not a key",
            "put the key itself there, or the reference into the team's cohere_key",
        )
    elif bare.startswith(("{", "[")):
        yield FlawKind.JSON, "is JSON, not a key alone", "store the key alone, or name the field that holds it"
    elif _ASSIGNMENT.match(bare):
        yield FlawKind.ASSIGNMENT, "is NAME=VALUE, not a key alone", "put only what stands behind the = there"
    if _JWT.fullmatch(bare):
        advice = "put a Cohere key there; what is mounted there may be the token of a service account"
        yield FlawKind.OTHER_VENDOR, "looks like a JWT", advice
        return
    for vendor in VENDORS:
        if bare.startswith(vendor.prefix) and vendor.chars in {None, len(bare)}:
            yield (
                FlawKind.OTHER_VENDOR,
                f"looks like {vendor.name}",
                "put a Cohere key there; if the value was shown to anybody, its owner has to revoke it",
            )
            return


def _unusual(value: str) -> Iterator[_Finding]:
    if len(value) == KEY_CHARS:
        return
    if _is_encoded_key(value):
        advice = "store the key itself: a Kubernetes secret's `data` is encoded once, its `stringData` not at all"
        yield FlawKind.BASE64, "looks like a key in base64", advice
        return
    found = "character" if len(value) == 1 else "characters"
    problem = f"has {len(value)} {found}, where Cohere's keys have {KEY_CHARS} as a rule"
    yield FlawKind.LENGTH, problem, "compare it with the one in Cohere's dashboard: it may be cut or doubled"


def _is_encoded_key(value: str) -> bool:
    try:
        decoded = base64.b64decode(value, validate=True).strip()
    except (ValueError, binascii.Error):
        return False
    return len(decoded) == KEY_CHARS and decoded.isalnum()
