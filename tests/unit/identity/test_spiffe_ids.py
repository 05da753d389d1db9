import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.spiffe_id import SPIFFE_ID_BYTES_MAX, trust_domain_of


@pytest.mark.parametrize(
    ("spiffe_id", "trust_domain"),
    [
        ("spiffe://prod.example.com/search", "prod.example.com"),
        ("spiffe://prod.example.com/ns/search/sa/Indexer_1.0-a", "prod.example.com"),
        ("spiffe://a/...", "a"),
        (f"spiffe://{'d' * 255}/x", "d" * 255),
        ("spiffe://a/" + "x" * (SPIFFE_ID_BYTES_MAX - len("spiffe://a/")), "a"),
    ],
)
def test_a_workloads_id_has_a_trust_domain(spiffe_id: str, trust_domain: str) -> None:
    assert trust_domain_of(spiffe_id) == trust_domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe://prod.example.com",  # an authority's own
        "spiffe://prod.example.com/",
        "spiffe://prod.example.com/a/",
        "spiffe://prod.example.com//a",
        "spiffe://prod.example.com/a/../b",
        "spiffe://prod.example.com/./a",
        "spiffe://Prod.example.com/a",
        "SPIFFE://prod.example.com/a",
        "spiffe://prod.example.com:443/a",
        "spiffe://user@prod.example.com/a",
        "spiffe://prod.example.com/a?b",
        "spiffe://prod.example.com/a#b",
        "spiffe://prod.example.com/%61",
        "spiffe://prod.example.com/a b",
        "spiffe://prod.example.com/a\n",
        "spiffe://prod.example.com/é",
        "spiffe://prod.example.com/a\0",
        "spiffe://prod.example.com/\u0661",
        "spiffe:///a",
        f"spiffe://{'d' * 256}/x",
        "https://prod.example.com/a",
        " spiffe://prod.example.com/a",
        "spiffe://a/" + "x" * (SPIFFE_ID_BYTES_MAX - len("spiffe://a/") + 1),
    ],
)
def test_anything_else_is_no_workloads_id(text: str) -> None:
    assert trust_domain_of(text) is None


@given(st.text())
def test_no_text_is_taken_for_an_id_with_characters_that_ids_do_not_have(text: str) -> None:
    for candidate in (text, f"spiffe://prod.example.com/{text}"):
        if trust_domain_of(candidate) is not None:
            assert candidate.isascii()
            assert candidate.isprintable()
            assert not {"%", "?", "#", "@", " "} & set(candidate)
