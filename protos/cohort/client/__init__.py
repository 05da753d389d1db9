"""Helpers for Python callers; they need grpcio and protobuf, and only ServiceAccount needs PyJWT as well.

Assembly, assemble                                  a stream's events → the answer Chat would have given
access_key_interceptors, with_access_key,
access_key_call_credentials                         an access key → the metadata of every call
bearer_interceptors, with_bearer,
bearer_call_credentials                             a bearer, such as a JWT → the same
ServiceAccount                                      a service account's file → bearers, signed here
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
from cohort.client.service_account import ServiceAccount

__all__ = [
    "Assembly",
    "CohortError",
    "IncompleteStream",
    "ServiceAccount",
    "Violation",
    "access_key_call_credentials",
    "access_key_interceptors",
    "assemble",
    "bearer_call_credentials",
    "bearer_interceptors",
    "with_access_key",
    "with_bearer",
]
