"""A table of ErrorReasons and how each is reached for real: its gRPC code, and the call that is refused with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc

from tests.e2e.cohort_service import Cohort
from tests.e2e.requests import Refusal

Case: TypeAlias = Callable[[Cohort], Awaitable[Refusal]]


@dataclass(frozen=True)
class Reached:
    code: grpc.StatusCode
    case: Case
    terms: dict[str, Any] = field(default_factory=dict)
    """What the service has to be started with, by the parameters of `cohort`."""


CASES: dict[str, Reached] = {}


def reaches(reason: str, code: grpc.StatusCode, **terms: Any) -> Callable[[Case], Case]:
    def register(case: Case) -> Case:
        CASES[reason] = Reached(code, case, terms)
        return case

    return register
