"""The sandbox's own bill: what each key owes, in integer nano-USD, whether or not its answers arrived."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from clients.sandbox import prices

ATTEMPTS_KEPT = 10_000


@dataclass(slots=True)
class Account:
    """What one key owes; costs in nano-USD."""

    cost_nanos: int = 0
    attempts_billed: int = 0
    units_by_model: dict[str, Counter[str]] = field(default_factory=dict)
    nanos_by_model: Counter[str] = field(default_factory=Counter)


class Bill:
    """Every charge since the last reset; the newest `ATTEMPTS_KEPT` attempts one by one.

    Args:
        file: Gets a line for each attempt ever billed, whatever is reset: JSON, with `key`, `at_us` (µs since the
            epoch), all that the control API shows of it, and the `request`.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._accounts: dict[str, Account] = {}
        self._attempts: deque[tuple[str, dict[str, Any]]] = deque(maxlen=ATTEMPTS_KEPT)
        self._number = 0

    def reset(self) -> None:
        """Forgets everything."""
        self._accounts.clear()
        self._attempts.clear()
        self._number = 0

    def charge(
        self,
        key_name: str,
        model: str,
        billed_units: dict[str, int],
        *,
        path: str,
        request: dict[str, Any],
        fault: list[str],
        trace_id: str,
    ) -> int:
        """Bills one attempt and returns its cost in nano-USD, rounded up once.

        Args:
            key_name: The name of the key that pays.
            model: The model that worked.
            billed_units: What Cohere bills, by its own names.
            path: The endpoint's path.
            request: What was asked, as JSON.
            fault: What was wrong with the answer: the names of the fault's fields.
            trace_id: The answer's x-debug-trace-id.
        """
        cost_nanos = prices.cost_nanos(model, billed_units)
        account = self._accounts.setdefault(key_name, Account())
        account.cost_nanos += cost_nanos
        account.attempts_billed += 1
        account.units_by_model.setdefault(model, Counter()).update(billed_units)
        account.nanos_by_model[model] += cost_nanos
        self._number += 1
        attempt = {
            "number": self._number,
            "path": path,
            "model": model,
            "billed_units": billed_units,
            "cost_nanos": cost_nanos,
            "fault": fault,
            "debug_trace_id": trace_id,
        }
        self._attempts.append((key_name, attempt))
        if self._file is not None:
            line = {"key": key_name, "at_us": time.time_ns() // 1000, **attempt, "request": request}
            with self._file.open("ab") as file:
                file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return cost_nanos

    def cost_nanos(self, key_name: str) -> int:
        """What one key owes, in nano-USD."""
        account = self._accounts.get(key_name)
        return account.cost_nanos if account else 0

    def described(self) -> dict[str, Any]:
        """The bill as `GET /sandbox/bill` shows it."""
        keys: dict[str, Any] = {
            name: {
                "cost_nanos": account.cost_nanos,
                "attempts_billed": account.attempts_billed,
                "models": {
                    model: {"billed_units": dict(units), "cost_nanos": account.nanos_by_model[model]}
                    for model, units in account.units_by_model.items()
                },
                "attempts": [],
            }
            for name, account in self._accounts.items()
        }
        for name, attempt in self._attempts:
            keys[name]["attempts"].append(attempt)
        return {"cost_nanos": sum(account.cost_nanos for account in self._accounts.values()), "keys": keys}
