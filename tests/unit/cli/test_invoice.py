"""What an invoice export says otherwise than the books."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.invoice import COLUMNS, Bill, Bills, Difference, InvoiceError, differences, invoice_of

UNITS = ("input_tokens", "output_tokens", "search_units")
HEADINGS = "day,model,unit,units,cost_usd"
DAY = datetime.date(2026, 11, 21)
MODEL = "command-a-03-2025"

BILLS: st.SearchStrategy[Bills] = st.dictionaries(
    st.tuples(st.dates(), st.sampled_from([MODEL, "embed-v4.0"])),
    st.builds(
        Bill,
        st.integers(0, 10**18),
        st.dictionaries(st.sampled_from(UNITS), st.integers(1, 10**12)),
        st.integers(0, 3),
        st.integers(0, 10**12),
    ),
    max_size=4,
)


def problems(*lines: str) -> list[str]:
    with pytest.raises(InvoiceError) as refused:
        invoice_of(lines, UNITS)
    return refused.value.problems


def test_the_lines_of_a_model_and_day_are_added_up() -> None:
    invoice = invoice_of(
        [
            HEADINGS,
            f"2026-11-21,{MODEL},input_tokens,1000,0.0025",
            f"2026-11-21,{MODEL},output_tokens,100,0.001",
            f"2026-11-21,{MODEL},input_tokens,1,0.0000025",
            "2026-11-22,rerank-v3.5,search_units,1,0.002",
        ],
        UNITS,
    )

    assert invoice == {
        (DAY, MODEL): Bill(3_502_500, {"input_tokens": 1001, "output_tokens": 100}),
        (datetime.date(2026, 11, 22), "rerank-v3.5"): Bill(2_000_000, {"search_units": 1}),
    }


def test_columns_stand_in_any_order_beside_others() -> None:
    lines = ["cost_usd, units,unit,model,day,team", f"0.0025,1000,input_tokens,{MODEL}, 2026-11-21,search"]

    assert invoice_of(lines, UNITS) == {(DAY, MODEL): Bill(2_500_000, {"input_tokens": 1000})}


@pytest.mark.parametrize("lines", [[], ["day,model"], ["2026-11-21,a,input_tokens,1,1"]], ids=["empty", "few", "none"])
def test_without_its_headings_a_file_is_no_invoice(lines: list[str]) -> None:
    (problem,) = problems(*lines)

    assert problem.startswith("line 1: no column ")
    assert set(problem.removeprefix("line 1: no column ").split(", ")) <= set(COLUMNS)


def test_every_wrong_line_is_told_with_its_number() -> None:
    told = problems(
        HEADINGS,
        f"21.11.2026,{MODEL},input_tokens,1,1",
        "2026-11-21,,input_tokens,1,1",
        f"2026-11-21,{MODEL},tokens,1,1",
        f"2026-11-21,{MODEL},input_tokens,1.5,1",
        f"2026-11-21,{MODEL},input_tokens,-1,1",
        f"2026-11-21,{MODEL},input_tokens,1,",
        f"2026-11-21,{MODEL},input_tokens,1,0.0000000001",
        f"2026-11-21,{MODEL}",
        f"2026-11-21,{MODEL},input_tokens,1,1",
    )

    assert told == [
        "line 2: day is none, such as 2026-11-21",
        "line 3: model is empty",
        "line 4: unit is none of input_tokens, output_tokens, search_units",
        "line 5: units is no whole number",
        "line 6: units is no whole number",
        "line 7: cost_usd is no amount such as 12.50",
        "line 8: cost_usd is no amount such as 12.50",
        "line 9: unit is none of input_tokens, output_tokens, search_units",
    ]


@given(BILLS)
def test_books_do_not_differ_from_themselves(bills: Bills) -> None:
    assert differences(bills, bills) == []


@given(BILLS, BILLS)
def test_whatever_is_not_equal_is_told_from_either_side(books: Bills, invoice: Bills) -> None:
    there = {(each.day, each.model, each.what, each.books, each.invoice) for each in differences(books, invoice)}
    back = {(each.day, each.model, each.what, each.invoice, each.books) for each in differences(invoice, books)}
    places = {*books, *invoice}
    bills = [(books.get(place, Bill()), invoice.get(place, Bill())) for place in places]

    assert there == back
    assert bool(there) == any(
        (ours.cost_nanos, ours.units) != (theirs.cost_nanos, theirs.units) for ours, theirs in bills
    )


def test_a_model_that_only_one_of_them_knows_is_a_difference_of_all_of_it() -> None:
    assert differences({}, {(DAY, MODEL): Bill(5, {"input_tokens": 2})}) == [
        Difference(DAY, MODEL, "cost", 0, 5, explained=False),
        Difference(DAY, MODEL, "input_tokens", 0, 2, explained=False),
    ]


@pytest.mark.parametrize(("invoice_nanos", "explained"), [(101, True), (130, True), (131, False), (99, False)], ids=str)
def test_what_unresolved_attempts_can_have_cost_explains_no_more_than_that(
    invoice_nanos: int,
    explained: bool,  # noqa: FBT001
) -> None:
    books = {(DAY, MODEL): Bill(100, {}, unresolved=2, unresolved_nanos=30)}

    (difference,) = differences(books, {(DAY, MODEL): Bill(invoice_nanos)})

    assert difference.explained == explained


def test_units_that_only_the_invoice_has_are_explained_by_an_attempt_without_a_bill() -> None:
    books = {(DAY, MODEL): Bill(0, {"input_tokens": 1}, unresolved=1, unresolved_nanos=10)}

    more, fewer = (
        differences(books, {(DAY, MODEL): Bill(0, {"input_tokens": billed})})[0].explained for billed in (2, 0)
    )

    assert (more, fewer) == (True, False)


@pytest.mark.parametrize(("invoice_nanos", "found"), [(90, 0), (110, 0), (89, 1), (111, 1)])
def test_a_cost_may_differ_by_the_tolerance(invoice_nanos: int, found: int) -> None:
    books, invoice = {(DAY, MODEL): Bill(100)}, {(DAY, MODEL): Bill(invoice_nanos)}

    assert len(differences(books, invoice, tolerance_nanos=10)) == found
