"""Scripts on PostgreSQL: one call of a function that holds their statements, made for the session.

The call is a transaction by itself, so a script is one message there and one back, and no lock of it waits for this
process. The function is written from the very statements that run step by step elsewhere. Values go there as JSON:
asyncpg takes a tenth of the time for it that it takes for arrays.
"""

import re
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from service.storage.database import Step

UNFORESEEN = "CO001"
"""The SQLSTATE of a statement that returned nothing."""


class ScriptFunction:
    """The function of one connection; made anew when a script has a statement that it does not know.

    Args:
        connection: asyncpg's.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._numbers: dict[str, int] = {}
        """Of the statements that it knows."""
        self._call = ""
        self.is_there = True
        """The role may make it; else scripts run step by step."""

    async def learn(self, steps: Sequence[Step]) -> None:
        """Makes the function know the statements of a script; outside of a transaction."""
        known = self._numbers.keys()
        if not self.is_there or all(step.sql in known for step in steps):
            return
        statements = list(dict.fromkeys([*known, *(step.sql for step in steps)]))
        cases = []
        for number, sql in enumerate(statements):
            prepared = await self._connection.prepare(sql)
            cases.append(_case(number, sql, [parameter.name for parameter in prepared.get_parameters()]))
        name = f"pg_temp.script_{len(statements)}"
        try:
            await self._connection.execute(_FUNCTION.replace("NAME", name).replace("CASES", "".join(cases)))
        except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError):  # no TEMPORARY, or no PL/pgSQL
            self.is_there = False
            return
        self._numbers = {sql: number for number, sql in enumerate(statements)}
        self._call = f"SELECT {name}($1)"

    async def call(self, steps: Sequence[Step]) -> list[int]:
        """Runs a script that it knows.

        Raises:
            ValueError: A value that JSON does not hold; nothing was sent.
            Exception: asyncpg's, `UNFORESEEN` among its SQLSTATEs.
        """
        rows = [(self._numbers[step.sql], *values) for step in steps for values in step.rows]
        try:
            written = orjson.dumps(rows, default=bytes.hex).decode()
        except orjson.JSONEncodeError as error:
            raise ValueError(str(error)) from error
        returned = await self._connection.fetch(self._call, written)
        numbers: list[int] = returned[0][0]
        return numbers


_FUNCTION = """
CREATE FUNCTION NAME(script_rows JSONB) RETURNS BIGINT[] LANGUAGE plpgsql AS $script$
DECLARE
  script_row JSONB;
  script_number BIGINT;
  script_numbers BIGINT[] := '{}';
BEGIN
  FOR script_row IN SELECT * FROM jsonb_array_elements(script_rows) LOOP
    CASE CAST(script_row -> 0 AS INT)CASES
    END CASE;
  END LOOP;
  RETURN script_numbers;
END $script$"""


def _case(number: int, sql: str, types: Sequence[str]) -> str:
    """What the function does with a row of one statement: its number, then its values."""

    def value(found: re.Match[str]) -> str:
        place = int(found[1])
        text = f"script_row ->> {place}"
        return f"decode({text}, 'hex')" if types[place - 1] == "bytea" else f"CAST({text} AS {types[place - 1]})"

    statement = re.sub(r"\$(\d+)", value, sql)
    if "RETURNING" in sql:
        statement = f"""{statement} INTO script_number;
      IF NOT FOUND THEN RAISE EXCEPTION 'statement {number} found nothing' USING ERRCODE = '{UNFORESEEN}'; END IF;
      script_numbers := script_numbers || script_number"""
    return f"\n    WHEN {number} THEN {statement};"
