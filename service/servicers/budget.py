"""A budget as the books have it → as the contract shows it."""

from cohort.v1.budget_pb2 import Budget
from service.books.operations import Held
from service.money import fill_money
from service.snapshot import BudgetTerms


def fill_budget(budget: Budget, team: str, terms: BudgetTerms, held: Held) -> None:
    """Writes a budget into a message that is empty.

    Args:
        budget: Where to.
        team: Whose budget.
        terms: Its limit and its time zone, as they are now.
        held: How it stands.
    """
    standing, held_nanos = held
    period = standing.period
    budget.team = team
    fill_money(budget.limit, terms.limit_nanos)
    fill_money(budget.spent, standing.committed_nanos - held_nanos)
    fill_money(budget.held, held_nanos)
    fill_money(budget.available, max(0, terms.limit_nanos - standing.committed_nanos))
    budget.period_start.FromMicroseconds(period.start_us)
    budget.resets_at.FromMicroseconds(period.end_us)
    budget.time_zone = terms.zone.key
    budget.frozen = standing.frozen_at_us > 0
