"""A reference such as `vault:cohere/search#api_key`, taken apart: which kind of source, and what it is called there."""

import re
from dataclasses import dataclass

REFERENCE_CHARS_MAX = 1024
_FIELD = r"(?:#(?P<field>[A-Za-z0-9_.-]{1,128}))"
_FORMS = {
    "env": (r"(?P<name>.+)", "env:NAME"),
    "file": (r"(?P<name>.+)", "file:PATH"),
    "vault": (rf"(?P<name>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*){_FIELD}", "vault:PATH#FIELD"),
    "aws-sm": (rf"(?P<name>[A-Za-z0-9/_+=.@:-]+){_FIELD}?", "aws-sm:NAME or aws-sm:NAME#FIELD"),
    "gcp-sm": (rf"(?P<name>[A-Za-z0-9_-]{{1,255}}){_FIELD}?", "gcp-sm:NAME or gcp-sm:NAME#FIELD"),
    "azure-kv": (rf"(?P<name>[A-Za-z0-9-]{{1,127}}){_FIELD}?", "azure-kv:NAME or azure-kv:NAME#FIELD"),
    "held": (r"(?P<name>)", "held:"),
}
_DOTS = {".", ".."}


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a Cohere key is kept.

    Attributes:
        text: As the config spells it; safe to print.
        kind: The prefix.
        name: What the key is called there: a variable, a path, the name of a secret; "" for `held:`.
        field: Which text of a JSON object or of a Vault secret is the key; "" where it is all there is.
    """

    text: str
    kind: str
    name: str
    field: str


def reference_of(text: str) -> Reference:
    """Takes a reference apart.

    Raises:
        ValueError: It is none; says which forms there are, without repeating what may be a secret.
    """
    kind, _, rest = text.partition(":")
    if kind not in _FORMS or not text.isprintable() or len(text) > REFERENCE_CHARS_MAX:
        kinds = ", ".join(f"{name}:" for name in _FORMS)
        raise ValueError(f"a Cohere key is referred to by where it is kept ({kinds}), never written down")
    pattern, form = _FORMS[kind]
    match = re.fullmatch(pattern, rest)
    if match is None or (kind == "vault" and not _DOTS.isdisjoint(match["name"].split("/"))):
        raise ValueError(f"this kind of reference is {form}")
    return Reference(text, kind, match["name"], match.groupdict().get("field") or "")
