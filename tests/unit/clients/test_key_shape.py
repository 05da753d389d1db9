import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.key_shape import KEY_CHARS, VENDORS, FlawKind, fatal_flaw_of, flaws_of

KEY = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9n"
ALPHABET = string.ascii_letters + string.digits
AROUND = (
    *("{}", "{}x", "{}\n", " {}", "'{}'", "Bearer {}", "A={}", "env:{}", "\ufeff{}", "{}\x00", '{{"key": "{}"}}'),
    *(vendor.prefix + "{}" for vendor in VENDORS),
)
keys = st.text(ALPHABET, min_size=KEY_CHARS, max_size=KEY_CHARS)
values = st.text(st.characters(min_codepoint=1, max_codepoint=0x2100), max_size=120) | st.builds(
    lambda before, key, after: before + key + after,
    st.sampled_from(["", " ", '"', "Bearer ", "CO_API_KEY=", "env:", "sk-", "\ufeff", '{"key":"']),
    keys,
    st.sampled_from(["", "\n", " ", '"', "\r\n", "\u200b", '"}', "\x00"]),
)


def kinds(value: str) -> list[FlawKind]:
    return [flaw.kind for flaw in flaws_of(value)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("", FlawKind.EMPTY),
        (" \n", FlawKind.EMPTY),
        (f"{KEY}\n", FlawKind.LINE_END),
        (f"{KEY[:20]}\r\n{KEY[20:]}", FlawKind.LINE_END),
        (f" {KEY}", FlawKind.WHITESPACE),
        (f"{KEY}\t", FlawKind.WHITESPACE),
        (f"{KEY[:20]} {KEY[20:]}", FlawKind.WHITESPACE),
        (f"\ufeff{KEY}", FlawKind.CHARACTERS),
        (f"{KEY}\u200b", FlawKind.CHARACTERS),
        (f"{KEY}\x00", FlawKind.CHARACTERS),
        (f'"{KEY}"', FlawKind.QUOTES),
        (f"'{KEY}'", FlawKind.QUOTES),
        (f"“{KEY}”", FlawKind.QUOTES),
        (f"Bearer {KEY}", FlawKind.BEARER),
        (f"bearer {KEY}", FlawKind.BEARER),
        ("Bearer", FlawKind.BEARER),
        (f"CO_API_KEY={KEY}", FlawKind.ASSIGNMENT),
        (f"export CO_API_KEY={KEY}", FlawKind.ASSIGNMENT),
        ("env:CO_API_KEY", FlawKind.REFERENCE),
        ("file:/run/secrets/cohere", FlawKind.REFERENCE),
        ("vault:secret/data/cohere#key", FlawKind.REFERENCE),
        ("${CO_API_KEY}", FlawKind.REFERENCE),
        (f'{{"api_key": "{KEY}"}}', FlawKind.JSON),
        (f"sk-{KEY}", FlawKind.OTHER_VENDOR),
        (f"sk-ant-{KEY}", FlawKind.OTHER_VENDOR),
        ("AIza" + KEY[:35], FlawKind.OTHER_VENDOR),
        (f"hf_{KEY[:34]}", FlawKind.OTHER_VENDOR),
        (f"gsk_{KEY}", FlawKind.OTHER_VENDOR),
        (f"xai-{KEY}", FlawKind.OTHER_VENDOR),
        ("AKIA" + KEY[:16].upper(), FlawKind.OTHER_VENDOR),
        (f"ghp_{KEY[:36]}", FlawKind.OTHER_VENDOR),
        (f"xoxb-{KEY}", FlawKind.OTHER_VENDOR),
        (f"cohort_prod_{KEY}", FlawKind.OTHER_VENDOR),
        (f"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwb2QifQ.{KEY}-_{KEY}", FlawKind.OTHER_VENDOR),
    ],
)
def test_what_is_no_key_as_it_is_written_is_told_by_its_kind(value: str, kind: FlawKind) -> None:
    assert kind in kinds(value)
    flaw = fatal_flaw_of(value)
    assert flaw is not None
    assert flaw.problem
    assert flaw.advice


@pytest.mark.parametrize("value", [KEY[:-1], KEY + KEY, "sandbox-production", "x", f"eyJ{KEY}"])
def test_another_length_is_a_hint_and_no_refusal(value: str) -> None:
    assert kinds(value) == [FlawKind.LENGTH]
    assert fatal_flaw_of(value) is None


@pytest.mark.parametrize("line_end", ["", "\n"])
def test_a_key_that_was_encoded_once_more_is_recognised(line_end: str) -> None:
    assert kinds(base64.b64encode((KEY + line_end).encode()).decode()) == [FlawKind.BASE64]


def test_two_flaws_are_both_told() -> None:
    assert {FlawKind.LINE_END, FlawKind.QUOTES, FlawKind.OTHER_VENDOR} <= set(kinds(f'"sk-{KEY}"\n'))


@given(keys)
def test_whatever_looks_like_cohere_s_keys_has_no_flaw(key: str) -> None:
    assert flaws_of(key) == []


@given(values)
def test_what_has_no_fatal_flaw_can_stand_in_a_header(value: str) -> None:
    if fatal_flaw_of(value) is None:
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value


@given(st.sampled_from(AROUND), keys, keys)
def test_no_word_about_a_value_depends_on_more_than_its_shape(around: str, one: str, other: str) -> None:
    assert flaws_of(around.format(one)) == flaws_of(around.format(other))
