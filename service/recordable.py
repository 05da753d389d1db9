"""Text from outside, as it stands in log lines and records: printable, and not too long."""

CHARS_MAX = 200


def recordable(text: str) -> str:
    """The first `CHARS_MAX` characters of a text, those replaced that could mislead whoever reads it.

    JSON escapes the controls of ASCII alone: those of Unicode would still end a line, move a cursor or turn the
    direction of writing.
    """
    text = text[:CHARS_MAX]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
