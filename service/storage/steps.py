"""A script inside an ordinary transaction, statement by statement."""

from typing import TypeVar

from service.storage.database import Script, Transaction, Work
from service.storage.errors import Unforeseen

T = TypeVar("T")


def work_of(script: Script[T]) -> Work[T]:
    """A script as what `Database.transact` takes; it raises Unforeseen as `Database.run` does."""

    async def work(tx: Transaction) -> T:
        numbers: list[int] = []
        for sql, rows in script.steps:
            if "RETURNING" not in sql:
                await tx.execute_each(sql, rows)
                continue
            returned = await tx.fetch_each(sql, rows)
            if len(returned) != len(rows):
                raise Unforeseen(sql)
            numbers += [number for (number,) in returned]
        return script.result(numbers)

    return work
