"""A config file as written: tables within tables, whatever may stand in them."""

from typing import Any


def table_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A table of a table; empty where there is none, or something else."""
    table = document.get(name)
    return table if isinstance(table, dict) else {}
