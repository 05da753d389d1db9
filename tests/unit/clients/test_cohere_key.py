import copy
import pickle
from pathlib import Path

import pytest

from clients.cohere_key import CohereKey
from clients.errors import SecretMissing
from clients.secrets.source import EnvSource, source_of


def test_a_key_shows_its_version_and_never_its_value() -> None:
    key = CohereKey("s3cret", 4)

    assert repr(key) == str(key) == "<CohereKey version 4>"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(key)


def test_a_keys_digest_is_the_same_everywhere_and_names_no_other_key() -> None:
    key, same, other = CohereKey("s3cret", 1), CohereKey("s3cret", 7), CohereKey("s3cret2", 1)

    assert key.digest == same.digest != other.digest
    assert len(key.digest) == 32
    assert "s3cret" not in key.digest


def test_a_quoted_key_is_redacted() -> None:
    assert CohereKey("s3cret", 1).redacted_from("invalid s3cret!") == "invalid [Cohere key]!"


@pytest.mark.parametrize("value", ["", " x", "x ", "x\ny", "x\ty", "kéy", "a b", "x" * 5000, "x\x00"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SecretMissing) as raised:
        EnvSource("K", {"K": value}).read()

    assert not value.strip() or value not in str(raised.value)


@pytest.mark.parametrize("reference", ["plain-key", "env:", "file:", "vault", "http://x", ""])
def test_a_reference_is_never_a_value(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="env:NAME or file:PATH"):
        source_of(reference, environ={}, folder=tmp_path)
