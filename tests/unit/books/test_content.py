"""The HMAC that stands in the trail for content."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.books.content import ContentHasher

KEY = b"k" * 32


def test_content_is_recorded_as_its_hmac() -> None:
    assert ContentHasher(KEY).of(b"hello") == hmac.new(KEY, b"hello", hashlib.sha256).hexdigest()


@given(st.lists(st.binary(max_size=50)))
def test_it_does_not_matter_in_which_pieces_content_arrives(pieces: list[bytes]) -> None:
    hasher = ContentHasher(KEY)
    content = hasher.begin()
    for piece in pieces:
        content.add(piece)

    assert (content.hex, content.bytes) == (hasher.of(b"".join(pieces)), sum(map(len, pieces)))


def test_a_hasher_keeps_nothing_of_what_it_hashed_before() -> None:
    hasher = ContentHasher(KEY)
    hasher.begin().add(b"something else")
    hasher.of(b"something else")

    assert hasher.of(b"hello") == ContentHasher(KEY).of(b"hello")


def test_a_key_that_could_be_guessed_is_refused_without_being_quoted() -> None:
    with pytest.raises(ValueError, match="needs 32") as refused:
        ContentHasher(b"guessable")

    assert "guessable" not in str(refused.value)


def test_a_hasher_does_not_show_its_key() -> None:
    assert "k" * 8 not in repr(ContentHasher(KEY))
