from pathlib import Path

from clients.key_reader import KeyReader
from clients.key_ring import KeyRing
from clients.secrets.source import FileSource


def sent(keys: KeyRing) -> str:
    assert keys.in_use is not None
    return keys.in_use.authorization()


async def test_a_changed_file_makes_a_new_version_and_a_lost_one_keeps_the_last(tmp_path: Path) -> None:
    file, keys = tmp_path / "key", KeyRing()
    file.write_text("one\n")
    reader = KeyReader(FileSource(file), keys)
    first = keys.in_use
    file.write_text("two\n")

    assert reader.renew()
    assert not reader.renew()
    assert first is not None
    assert keys.in_use is not None
    assert (keys.in_use.version, sent(keys)) == (first.version + 1, "Bearer two")
    assert first.read_at_us <= keys.in_use.read_at_us
    file.unlink()
    await keys.renewed()
    assert sent(keys) == "Bearer two"
    assert "No such file" in keys.problem
    file.write_text("three")
    await keys.renewed()
    assert (sent(keys), keys.problem) == ("Bearer three", "")
