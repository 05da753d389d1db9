import math

import pytest

from cohort.v1.usage_pb2 import BilledUnits
from service.books.usage import NOTHING, Units
from service.call_records import units_of
from service.pricing.cost import UNITS_MAX


def test_billed_units_count_as_whole_numbers() -> None:
    assert units_of(BilledUnits(input_tokens=6, output_tokens=38)) == Units(input_tokens=6, output_tokens=38)
    assert units_of(BilledUnits(input_tokens=UNITS_MAX)) == Units(input_tokens=UNITS_MAX)


@pytest.mark.parametrize("count", [-1.0, math.nan, math.inf, -math.inf, 1e300, 2.0**53 - 1, UNITS_MAX + 1.0])
def test_what_is_no_count_is_left_out_of_sums_that_have_64_bits(count: float) -> None:
    assert units_of(BilledUnits(input_tokens=count)) == NOTHING
