"""Helpers for Python callers; they need grpcio and protobuf and nothing else.

Assembly, assemble                                  a stream's events → the answer Chat would have given
access_key_interceptors, with_access_key,
access_key_call_credentials                         an access key → the metadata of every call
bearer_interceptors, with_bearer,
bearer_call_credentials                             a bearer, such as a JWT → the same
CohortError, Violation                              a failed call → reason, details and call id
"""

from cohort.client.assemble import Assembly, IncompleteStream, assemble
from cohort.client.credentials import (
    access_key_call_credentials,
    access_key_interceptors,
    bearer_call_credentials,
    bearer_interceptors,
    with_access_key,
    with_bearer,
)
from cohort.client.errors import CohortError, Violation

__all__ = [
    "Assembly",
    "CohortError",
    "IncompleteStream",
    "Violation",
    "access_key_call_credentials",
    "access_key_interceptors",
    "assemble",
    "bearer_call_credentials",
    "bearer_interceptors",
    "with_access_key",
    "with_bearer",
]
