"""What billed units cost: exact in pico-USD, rounded up to nano-USD once for each attempt. Pure integers."""

from cohort.v1.usage_pb2 import BilledUnits
from service.pricing.model_price import PICOS_PER_NANO, ModelPrice

UNITS_MAX = 1_000_000_000
"""More of a unit is no bill but a fault: the largest request that is taken holds a fifth of it at the worst."""


def cost_nanos(price: ModelPrice, billed_units: BilledUnits) -> int | None:
    """What an attempt cost, in nano-USD.

    Cohere names units differently from model to model, and may report one thing under two names. So:

    * `text_tokens` is another name of `input_tokens`. If both are reported they must be equal, or one of them 0,
      or, where images are billed as well, `input_tokens` must be the sum of texts and images, which are then
      billed each by its price.
    * Of a chat `image_tokens` are part of `input_tokens` (265 = 6 of text + 259 of an image
      was seen) and cost nothing more.
    * `images` and `image_tokens` count the same images. The one that has a price is billed, if it is not 0.
    * Any other unit without a price must be 0.

    Args:
        price: Of the model that worked, when the attempt was admitted.
        billed_units: What Cohere reports.

    Returns:
        None if the cost cannot be known: what is billed is missing, contradictory, without a price, or no sane
        count (NaN, infinite, negative, not whole, above `UNITS_MAX`).
    """
    counts = _counts(billed_units)
    if counts is None or not _one_name_each(price, counts):
        return None
    picos_per_unit = price.picos_per_unit
    picos = 0
    billed = 0
    for unit, count in counts.items():
        picos_each = picos_per_unit.get(unit)
        if picos_each is not None:
            picos += count * picos_each
            billed += 1
        elif count:
            return None
    # A chat always reports both of its units, others the one or two that they used.
    if billed < (2 if price.endpoint == "chat" else 1):
        return None
    return -(-picos // PICOS_PER_NANO)


def _counts(billed_units: BilledUnits) -> dict[str, int] | None:
    """Every unit that is reported, 0 as well; None if one of them is no sane count."""
    counts = {}
    for field, value in billed_units.ListFields():
        # Written so that NaN, which compares false with everything, is refused.
        if not 0 <= value <= UNITS_MAX or (count := int(value)) != value:
            return None
        counts[field.name] = count
    return counts


def _one_name_each(price: ModelPrice, counts: dict[str, int]) -> bool:
    """Leaves one name for whatever is reported under two; False if they contradict each other."""
    images = counts.get("image_tokens", 0)
    text = counts.pop("text_tokens", None)
    if text is not None:
        total = counts.get("input_tokens", 0)
        sums_up = images and total == text + images
        if not (sums_up or text == total or not text or not total):
            return False
        counts["input_tokens"] = text if sums_up and price.endpoint != "chat" else max(text, total)
    if price.endpoint == "chat":
        if images <= counts.get("input_tokens", 0):
            counts.pop("image_tokens", None)
        return True
    for billed, other in (("image_tokens", "images"), ("images", "image_tokens")):
        if counts.get(billed) and billed in price.picos_per_unit:
            counts.pop(other, None)
    return True
