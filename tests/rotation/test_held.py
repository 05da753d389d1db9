"""Envelopes of held Cohere keys: they open where they were sealed, as they were sealed, and nowhere else."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rotation.held import CannotOpen, Envelopes, Place, kek_version_of

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
PLACE = Place("search", 3)
VALUE = "canary-cohere-key-0123456789"


def envelopes(keks: Mapping[str, bytes] | None = None, current: str = "1") -> Envelopes:
    return Envelopes(keks or {"1": ONE}, current)


def test_an_envelope_opens_where_it_was_sealed() -> None:
    assert envelopes().open(envelopes().seal(VALUE, PLACE), PLACE) == VALUE


@given(st.text(st.characters(codec="utf-8"), max_size=500))
def test_any_value_comes_back(value: str) -> None:
    assert envelopes().open(envelopes().seal(value, PLACE), PLACE) == value


@pytest.mark.parametrize("place", [Place("ads", 3), Place("search", 4), Place("search", 30), Place("", 3)])
def test_an_envelope_does_not_open_in_another_row(place: Place) -> None:
    with pytest.raises(CannotOpen):
        envelopes().open(envelopes().seal(VALUE, PLACE), place)


def test_no_bit_of_an_envelope_can_be_turned() -> None:
    sealed = envelopes().seal(VALUE, PLACE)
    opened = []
    for bit in range(len(sealed) * 8):
        turned = bytearray(sealed)
        turned[bit // 8] ^= 1 << bit % 8
        try:
            opened.append(envelopes({"1": ONE, "3": ONE, "0": ONE, "5": ONE, "9": ONE}).open(bytes(turned), PLACE))
        except CannotOpen:
            continue

    assert opened == []


@given(st.integers(0, 200))
def test_no_piece_of_an_envelope_opens(length: int) -> None:
    sealed = envelopes().seal(VALUE, PLACE)
    with pytest.raises(CannotOpen):
        envelopes().open(sealed[: min(length, len(sealed) - 1)], PLACE)


@given(st.binary(max_size=200))
def test_what_is_no_envelope_does_not_open(noise: bytes) -> None:
    with pytest.raises(CannotOpen):
        envelopes().open(noise, PLACE)


def test_the_data_key_of_one_envelope_does_not_serve_another() -> None:
    first, second = (envelopes().seal(VALUE, PLACE) for _ in range(2))
    head = 3 + 60
    with pytest.raises(CannotOpen):
        envelopes().open(first[:head] + second[head:], PLACE)


def test_another_kek_does_not_open_it() -> None:
    sealed = envelopes().seal(VALUE, PLACE)
    with pytest.raises(CannotOpen):
        envelopes({"1": TWO}).open(sealed, PLACE)


def test_a_kek_that_the_config_no_longer_names_is_named() -> None:
    sealed = envelopes().seal(VALUE, PLACE)
    with pytest.raises(CannotOpen, match="key encryption key '1'"):
        envelopes({"2": TWO}, "2").open(sealed, PLACE)


def test_old_envelopes_open_beside_a_newer_kek_which_seals_new_ones() -> None:
    old = envelopes().seal(VALUE, PLACE)
    both = envelopes({"1": ONE, "2": TWO}, "2")

    assert both.open(old, PLACE) == VALUE
    assert not both.is_current(old)
    assert kek_version_of(both.seal(VALUE, PLACE)) == "2"


def test_nothing_is_sealed_without_a_kek() -> None:
    with pytest.raises(CannotOpen, match=r"secrets\.held\.keks"):
        Envelopes({}).seal(VALUE, PLACE)


def test_the_same_value_is_never_sealed_the_same() -> None:
    sealed = {envelopes().seal(VALUE, PLACE) for _ in range(100)}

    assert len({each[3:15] for each in sealed}) == len({each[63:75] for each in sealed}) == len(sealed) == 100


def test_neither_envelope_nor_error_nor_repr_shows_a_value_or_a_kek() -> None:
    sealed = envelopes().seal(VALUE, PLACE)
    shown = [repr(envelopes()), repr(sealed)]
    try:
        envelopes({"1": TWO}).open(sealed, PLACE)
    except CannotOpen as error:
        shown += [str(error), repr(error), repr(error.__context__)]

    assert not [each for each in shown if VALUE in each or ONE.hex() in each or repr(ONE)[2:-1] in each]
