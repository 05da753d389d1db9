"""The tables of access keys are taken out of a config, and nothing else of it is touched."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.key_tables import take_out, without_tables

TABLE = '[[access_keys]]\nid = "a"\nscopes = [\n  "chat", # one\n  "embed",\n]\n'
BEFORE = '# ours\nenvironment = "test" # why\n\n[server]\nlisten = "127.0.0.1:1"\n'
AFTER = '# the teams\n[teams.demo]\nmodels = [\n  "m",\n]\n'


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (f"{BEFORE}\n{TABLE}", f"{BEFORE}\n"),
        (f"{TABLE}{AFTER}", AFTER),
        (f"{BEFORE}{TABLE}\n{AFTER}", f"{BEFORE}\n{AFTER}"),
        (f"{BEFORE}{TABLE}{TABLE}{AFTER}{TABLE}", f"{BEFORE}{AFTER}"),
        (f"{BEFORE}# its key\n{TABLE}# the last\n", f"{BEFORE}# its key\n# the last\n"),
        (f"{BEFORE}{TABLE.replace('[[access_keys]]', '  [[ access_keys ]] # old')}{AFTER}", f"{BEFORE}{AFTER}"),
        (BEFORE + TABLE.replace("access_keys", '"access_keys"'), BEFORE),
        (f"{BEFORE}{TABLE}{AFTER}".replace("\n", "\r\n"), f"{BEFORE}{AFTER}".replace("\n", "\r\n")),
        (f"{BEFORE}{TABLE}".rstrip("\n"), BEFORE),
        (BEFORE, BEFORE),
        ("", ""),
    ],
    ids=range(11),
)
def test_all_else_stays_as_it_was_written(text: str, without: str) -> None:
    assert without_tables(text) == without


@pytest.mark.parametrize(
    "text",
    [
        f'access_keys = [{{ id = "a" }}]\n{BEFORE}',
        f'{BEFORE}[[access_keys]]\nname = """\n[server]\n"""\n{AFTER}',
        f"{BEFORE}[[access_keys]]\n[access_keys.more]\na = 1\n",
        f'{BEFORE}[teams.demo]\nnote = """\n[[access_keys]]\nid = 1\n"""\n',
    ],
    ids=["inline", "a header within a text", "a table within", "a table within a text"],
)
def test_what_only_a_person_can_take_out_is_left(text: str, tmp_path: Path) -> None:
    file = tmp_path / "cohort.toml"
    file.write_text(text)

    assert without_tables(text) is None
    assert take_out(file) is None
    assert file.read_text() == text
    assert [*tmp_path.iterdir()] == [file]


pieces = st.lists(
    st.sampled_from(
        [TABLE, "# a comment\n", "\n", '[[access_keys]]\nname = "[x]"\n', '[[access_keys]]\nname = """\n[x]\n"""\n']
    ),
    max_size=6,
).map("".join)


@given(before=pieces, between=pieces, after=pieces)
def test_what_is_left_says_the_same_without_the_tables(before: str, between: str, after: str) -> None:
    text = f"{before}[server]\na = 1\n{between}[teams]\nb = [\n1,\n]\n{after}"
    without = without_tables(text)
    document = tomllib.loads(text)
    document.pop("access_keys", None)

    assert without is None or tomllib.loads(without) == document
    if '"""' not in text:
        assert without is not None
        assert without.count("# a comment\n") == text.count("# a comment\n")


def test_the_former_config_is_kept_beside_each_time_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "cohort.toml"
    file.write_text(f"{BEFORE}{TABLE}")
    file.chmod(0o640)
    first = take_out(file)
    file.write_text(f"{BEFORE}{TABLE}{TABLE}")
    second = take_out(file)

    assert (first, second) == (tmp_path / "cohort.toml.before-import", tmp_path / "cohort.toml.before-import-2")
    assert first is not None
    assert second is not None
    assert [first.read_text(), second.read_text()] == [f"{BEFORE}{TABLE}", f"{BEFORE}{TABLE}{TABLE}"]
    assert file.read_text() == BEFORE
    assert {path.stat().st_mode & 0o777 for path in (file, first, second)} == {0o640}


def test_a_config_behind_a_link_is_changed_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "real.toml", tmp_path / "cohort.toml"
    file.write_text(f"{BEFORE}{TABLE}")
    link.symlink_to(file)
    take_out(link)

    assert link.is_symlink()
    assert file.read_text() == BEFORE
