import asyncio
import copy
import pickle
from pathlib import Path

import pytest

from clients.cohere_key import CohereKey, KeyRing
from clients.errors import SecretMissing, UpstreamError
from clients.secrets.source import EnvSource, FileSource, source_of
from cohort.v1 import error_reason_pb2 as reasons


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


def test_a_changed_file_makes_a_new_version_and_a_lost_one_keeps_the_last(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one\n")
    keys = KeyRing(FileSource(file))
    first = keys.current()
    file.write_text("two\n")

    assert keys.renew()
    assert (keys.current().version, keys.current().authorization()) == (first.version + 1, "Bearer two")
    file.unlink()
    assert not keys.renew()
    assert keys.current().authorization() == "Bearer two"
    assert "No such file" in keys.problem


def test_a_team_without_a_key_is_told_so() -> None:
    with pytest.raises(UpstreamError) as raised:
        KeyRing(EnvSource("NOTHING", {})).current()

    assert raised.value.reason == reasons.ERROR_REASON_COHERE_KEY_MISSING


async def test_many_refusals_of_one_version_read_the_source_once() -> None:
    class Counting:
        reference = "env:X"
        path = None
        reads = 0

        def read(self) -> str:
            self.reads += 1
            return f"value{self.reads}"

        def read_block(self) -> str:
            raise NotImplementedError

    source = Counting()
    keys = KeyRing(source)
    refused = keys.current()
    renewed = await asyncio.gather(*(keys.renew_after(refused) for _ in range(50)))

    assert (all(renewed), source.reads) == (True, 2)


@pytest.mark.parametrize("value", ["", " x", "x ", "x\ny", "x\ty", "kéy", "a b", "x" * 5000, "x\x00"])
def test_what_cannot_be_a_key_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SecretMissing) as raised:
        EnvSource("K", {"K": value}).read()

    assert not value.strip() or value not in str(raised.value)


@pytest.mark.parametrize("reference", ["plain-key", "env:", "file:", "vault", "http://x", ""])
def test_a_reference_is_never_a_value(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="env:NAME or file:PATH"):
        source_of(reference, environ={}, folder=tmp_path)


def test_a_version_that_cohere_refuses_is_rejected_until_it_is_taken_or_another_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one")
    keys = KeyRing(FileSource(file))
    first = keys.current()

    def rejected_after(status: int | None) -> bool:
        keys.answered(keys.current(), status)
        return keys.rejected

    assert not keys.rejected
    assert rejected_after(401)
    assert [rejected_after(status) for status in (None, 429, 500)] == [True] * 3
    assert not rejected_after(200)
    assert rejected_after(403)
    file.write_text("two")
    assert keys.renew()
    assert not keys.rejected
    keys.answered(first, 401)
    assert not keys.rejected
    assert keys.in_use is keys.current()
    assert first.read_at_us <= keys.current().read_at_us
