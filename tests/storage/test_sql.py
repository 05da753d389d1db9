"""Every statement in the service: written down whole, in the dialect of both engines, with placeholders in order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import asyncpg
import pytest

from service.storage.sqlite import SqliteDatabase

ROOT = Path(__file__).resolve().parents[2]
_STATEMENT = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH) ")
_PIECE = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE|FROM|WHERE|VALUES|PRAGMA|ORDER BY|GROUP BY|LIMIT|RETURNING)\b"
)
_PLACEHOLDER = re.compile(r"\$(\d+)")
_COMPOSED = {
    # A page of the audit trail has up to seven conditions, and an index serves only those that are there: it is put
    # together from the module's own constants, and every value is bound.
    "service/books/listing.py",
    # A function of the session: its statements are the constants of others, and every value is bound.
    "service/storage/postgres_script.py",
}
_ONE_ENGINE = re.compile(r"service/storage/(sqlite|postgres|migrate)\w*\.py")


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the service, by its path."""
    for file in sorted((ROOT / "service").rglob("*.py")):
        yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def strings(node: ast.AST) -> Iterator[ast.Constant]:
    """Every string below a node that is no piece of a larger one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from strings(child)


def statements() -> list[tuple[str, str]]:
    """Every string that is a statement: where it stands, and what it says."""
    return [
        (f"{path}:{node.lineno}", str(node.value))
        for path, tree in trees()
        for node in strings(tree)
        if _STATEMENT.match(str(node.value))
    ]


def common() -> list[tuple[str, str]]:
    """The statements that both engines must know."""
    return [(place, sql) for place, sql in statements() if not _ONE_ENGINE.match(place)]


def in_order(sql: str) -> bool:
    """True if the first occurrences of the placeholders are 1, 2, 3, …: SQLite binds values by their sequence."""
    numbers = list(dict.fromkeys(int(number) for number in _PLACEHOLDER.findall(sql)))
    return numbers == list(range(1, len(numbers) + 1))


def composed(tree: ast.Module) -> Iterator[int]:
    """The lines in which a string that holds SQL is put together."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts):
                pass
            case ast.BinOp(op=ast.Add() | ast.Mod(), left=left, right=right):
                parts = [left, right]
            case ast.Call(
                func=ast.Attribute(value=text, attr="format" | "format_map" | "join" | "replace"), args=others
            ):
                parts = [text, *others]
            case _:
                continue
        texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if any(_PIECE.search(text) for text in texts):
            yield node.lineno


def run_from_elsewhere(tree: ast.Module) -> Iterator[int]:
    """The lines in which a transaction is given what is neither a constant nor the name of one."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"fetch", "fetch_each", "execute_each"}
            and node.args
            and not isinstance(node.args[0], ast.Constant | ast.Name | ast.Attribute | ast.Starred)
        ):
            yield node.lineno


def test_there_are_statements_to_look_at() -> None:
    assert len(common()) > 10


def test_placeholders_first_occur_in_order() -> None:
    assert in_order("SELECT $1, $2, $1, $3")
    assert not in_order("SELECT $2, $1")
    assert not in_order("SELECT $1, $3")

    assert [place for place, sql in statements() if not in_order(sql)] == []


@pytest.mark.parametrize(
    "code",
    ['f"SELECT {a}"', '"DELETE FROM t WHERE a = %s" % a', '"SELECT " + a', 'a + " WHERE b"', '"SELECT {}".format(a)'],
)
def test_a_statement_that_is_put_together_is_found(code: str) -> None:
    assert list(composed(ast.parse(code))) == [1]
    assert list(run_from_elsewhere(ast.parse(f"transaction.fetch({code})"))) == [1]


def test_no_statement_is_put_together() -> None:
    found = {path for path, tree in trees() if [*composed(tree), *run_from_elsewhere(tree)]}

    assert found <= _COMPOSED


async def test_every_statement_is_understood_by_sqlite(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "books.db"), apsw.SQLITE_OPEN_READONLY)
    connection.create_scalar_function("clock_us", lambda *_: 0, 0)
    refused = []
    for place, sql in common():
        try:
            connection.execute(sql, explain=1, bindings=_Anything())
        except apsw.Error as error:
            refused.append(f"{place}: {error}")
    connection.close()

    assert refused == []


async def test_every_statement_is_understood_by_postgres(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    refused = []
    for place, sql in common():
        try:
            await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            refused.append(f"{place}: {error}")
    await connection.close()

    assert refused == []


class _Anything(dict[str, None]):
    """A value for every placeholder."""

    def __missing__(self, _: str) -> None:
        return None
