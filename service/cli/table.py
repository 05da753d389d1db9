"""Text tables whose cells may have several lines."""

import itertools
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[Sequence[str]]]) -> str:
    """Lays rows out in columns.

    Args:
        columns: Headings.
        rows: For each row a cell for each column; for each cell its lines.
    """
    blocks = [[(heading,) for heading in columns], *rows]
    widths = [max((len(line) for cell in column for line in cell), default=0) for column in zip(*blocks, strict=True)]
    lines = []
    for block in blocks:
        for texts in itertools.zip_longest(*block, fillvalue=""):
            cells = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
