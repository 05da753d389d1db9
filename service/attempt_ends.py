"""How an attempt ended, as the books have to know it, and whether there may be another. Pure."""

from dataclasses import dataclass

from clients.errors import Billing, UpstreamError
from clients.slot import Slot
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.usage_pb2 import BilledUnits
from service.books.entries import State
from service.call import Call
from service.call_records import End, units_of
from service.pricing.cost import cost_nanos
from service.quote import Quote
from service.status import outcome_of

RETRY_AFTER_MAX_S = 5.0
"""A 429 that asks for more is the caller's to wait out."""


@dataclass(slots=True)
class Answered:
    """An attempt that Cohere answered."""

    billed_units: BilledUnits | None
    """As Cohere reports them; None if it does not."""
    failure: UpstreamError | None = None
    """What the answer says went wrong: a generation that failed."""


def answered(call: Call, quote: Quote, answered: Answered) -> End:
    """Cohere answered, be it with a generation that failed."""
    outcome = call.left or outcome_of(answered.failure)
    if answered.failure is not None:
        call.billing = answered.failure.billing
    charge_nanos = None if answered.billed_units is None else cost_nanos(quote.price, answered.billed_units)
    state: State = "forfeited" if charge_nanos is None else "settled"
    return End(state, charge_nanos, outcome, closes=True, units=units_of(answered.billed_units))


def failure(call: Call, slot: Slot, error: UpstreamError, *, strict: bool) -> End:
    """Cohere refused, or did not answer; *strict* charges for what it says that it failed at."""
    outcome = call.left or outcome_of(error)
    if not slot.sent:
        return End("void", 0, outcome, closes=True)
    status = error.status or 0
    if error.billing is Billing.NONE and not (strict and (status >= 500 or status in {408, 409})):
        return End("settled", 0, outcome, closes=True)
    return End("forfeited", None, outcome, closes=True)


def broken_off(call: Call, slot: Slot, error: BaseException) -> End:
    """Whatever ended the attempt from our side: a caller who left, a drain that is over, a fault of ours."""
    outcome = call.left or outcome_of(error)
    if not slot.sent:
        return End("void", 0, outcome, closes=False)
    return End("forfeited", None, outcome, closes=True)


def proved_free(error: UpstreamError) -> bool:
    """Tells whether the same request may be sent again: Cohere did no work, and another try can end differently."""
    if error.billing is not Billing.NONE:
        return False
    if error.status is None:
        return error.reason == reasons.ERROR_REASON_COHERE_UNAVAILABLE
    if error.status == 429:
        return error.retry_after_s is not None and error.retry_after_s <= RETRY_AFTER_MAX_S
    return error.status == 503
