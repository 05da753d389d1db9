"""Transactions of one statement, and a table to play with."""

from service.storage.database import Database, Row, Script, Step, Transaction, Value

CREATE_THING = """CREATE TABLE thing
  (id BIGINT NOT NULL PRIMARY KEY, words TEXT, bytes BYTEA, count BIGINT NOT NULL DEFAULT 0 CHECK (count >= 0))"""
INSERT = "INSERT INTO thing (id) VALUES ($1)"
INSERT_WORDS = "INSERT INTO thing (id, words) VALUES ($1, $2)"
IDS = "SELECT id FROM thing ORDER BY id"


def insert(number: int) -> Script[list[int]]:
    """A thing, as a script."""
    return Script([Step(INSERT, [(number,)])], list)


async def run(database: Database, sql: str, *values: Value) -> list[Row]:
    """One statement in a transaction of its own."""

    async def work(transaction: Transaction) -> list[Row]:
        return await transaction.fetch(sql, *values)

    return await database.transact(work)


async def look(database: Database, sql: str, *values: Value) -> list[Row]:
    """One statement in a read of its own."""

    async def work(transaction: Transaction) -> list[Row]:
        return await transaction.fetch(sql, *values)

    return await database.read(work)


async def ids(database: Database) -> list[int]:
    """Which things are there."""
    return [row[0] for row in await look(database, IDS)]
