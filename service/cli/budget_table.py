"""Budgets as a table: what is spent, held and left of each, and when it resets."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from cohort.v1.budget_pb2 import Budget
from service.cli.amounts import dollars
from service.cli.table import table
from service.cli.times import told
from service.money import nanos_of

BAR_CELLS = 20
_COLUMNS = ("BUDGET", "LIMIT", "SPENT", "HELD", "AVAILABLE", "SPENT █ HELD ▒ LEFT ░", "RESETS AT")
_AMOUNTS = ("LIMIT", "SPENT", "HELD", "AVAILABLE")


def budget_table(budgets: Iterable[Budget]) -> str:
    """A row for each budget."""
    rows = [
        [
            [budget.team, *(["FROZEN"] if budget.frozen else [])],
            *([dollars(amount)] for amount in (budget.limit, budget.spent, budget.held, budget.available)),
            [_bar(budget)],
            [told(budget.resets_at, ZoneInfo(budget.time_zone))],
        ]
        for budget in budgets
    ]
    return table(_COLUMNS, rows, right=_AMOUNTS)


def _bar(budget: Budget) -> str:
    """Rounded up, so that what is not nothing is seen."""
    limit, spent, held = (nanos_of(amount) for amount in (budget.limit, budget.spent, budget.held))
    committed_cells = min(BAR_CELLS, -(-max(0, spent + held) * BAR_CELLS // limit))
    spent_cells = min(committed_cells, -(-max(0, spent) * BAR_CELLS // limit))
    return "█" * spent_cells + "▒" * (committed_cells - spent_cells) + "░" * (BAR_CELLS - committed_cells)
