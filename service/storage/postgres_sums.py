"""PostgreSQL's sums of whole numbers, as whole numbers.

Its own SUM of BIGINT goes by NUMERIC: each sum has memory of its own, which is made, filled and read for each group,
and a report has a dozen sums in each of some thousand groups. Adding up in a register is exact as well, or refused.
"""

import functools
import re

WHOLE_SUM = """CREATE OR REPLACE AGGREGATE whole_sum(BIGINT)
  (SFUNC = int8pl, STYPE = BIGINT, COMBINEFUNC = int8pl, PARALLEL = SAFE)"""
_SUM = re.compile(r"CAST\(SUM\(([a-z_.]+)\) AS BIGINT\)")


@functools.lru_cache
def with_whole_sums(sql: str) -> str:
    """The statement with `whole_sum(x)` for each `CAST(SUM(x) AS BIGINT)` of a column: the same number, or error."""
    return _SUM.sub(r"whole_sum(\1)", sql)
