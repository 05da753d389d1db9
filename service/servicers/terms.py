"""What a team may use, and at which prices → as the contract shows it."""

from cohort.v1.get_usage_pb2 import Terms
from service.money import fill_money
from service.policy import Policy
from service.pricing import UNIT_OF_NAME, PriceBook
from service.snapshot import Snapshot

_INT32_MAX = 2**31 - 1


def fill_terms(terms: Terms, team: str, snapshot: Snapshot) -> None:
    """Writes a team's terms into a message that is empty."""
    policy = snapshot.policy_of(team)
    terms.team = team
    terms.endpoints.extend(sorted(policy.endpoints))
    _fill_models(terms, policy, snapshot.price_book)
    terms.max_tokens_per_call = policy.max_tokens_per_call
    if policy.max_input_tokens_per_call is not None:
        # More than any message holds: the contract's number cannot say more, and need not.
        terms.max_input_tokens_per_call = min(policy.max_input_tokens_per_call, _INT32_MAX)
    fill_money(terms.daily_budget, snapshot.budget_of(team).limit_nanos)
    terms.price_book_version = snapshot.price_book.version


def _fill_models(terms: Terms, policy: Policy, prices: PriceBook) -> None:
    for model in sorted(policy.models):
        told = terms.models.add(model=model)
        price = prices.price_of(model)
        if price is None:
            continue
        told.endpoint = price.endpoint
        for name, unit in UNIT_OF_NAME.items():
            picos = price.picos_per_unit.get(name)
            if picos is not None:
                fill_money(told.prices.add(unit=name, count=unit.count).price, unit.nanos(picos))
