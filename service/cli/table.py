"""Text tables whose cells may have several lines."""

import itertools
from collections.abc import Collection, Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[Sequence[str]]], right: Collection[str] = ()) -> str:
    """Lays rows out in columns.

    Args:
        columns: Headings.
        rows: For each row a cell for each column; for each cell its lines.
        right: The columns of numbers, which end in one line.
    """
    blocks = [[(heading,) for heading in columns], *rows]
    widths = [max((len(line) for cell in column for line in cell), default=0) for column in zip(*blocks, strict=True)]
    lines = []
    for block in blocks:
        for texts in itertools.zip_longest(*block, fillvalue=""):
            cells = (
                text.rjust(width) if heading in right else text.ljust(width)
                for heading, text, width in zip(columns, texts, widths, strict=True)
            )
            lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
