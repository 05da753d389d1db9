"""Questions to a source's client: bounded in time, and without its own errors, which may quote a token or a value."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import orjson

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.reference import Reference
from clients.secrets.source import require_content

CONNECT_S_MAX, READ_S_MAX = 2.0, 5.0
"""What a client may wait for a connection, and for an answer. It is asked once: the next refresh is the retry."""
ANSWER_S_MAX = 8.0
"""What a question may take with all that belongs to it, such as a login before it."""
PREVIOUS_LOOKED_AT_MAX = 5
"""How many versions below the current one are looked at for one that is still there."""

_VERSION = re.compile(r"[A-Za-z0-9-]{1,64}")

Value = TypeVar("Value")
Problem: TypeAlias = SecretMissing | SourceUnavailable


class CredentialUnusable(Exception):
    """What we show to a source is not there, or not what it should be. Says which, never the value."""


async def asked(reference: Reference, answer: Awaitable[Value], explained: Callable[[Exception], Problem]) -> Value:
    """Awaits a client's answer.

    Args:
        reference: What is asked for.
        answer: The client's work.
        explained: Says in our words what an error of the client means.

    Raises:
        SecretMissing: The source answers, and holds none.
        SourceUnavailable: It does not answer in time, or refuses.
    """
    problem: Problem
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await answer
    except TimeoutError:
        problem = SourceUnavailable(f"{reference.text}: no answer in time")
    except CredentialUnusable as ours:
        problem = SourceUnavailable(f"{reference.text}: what to ask with: {ours}")
    except (SecretMissing, SourceUnavailable) as ours:
        problem = ours
    except Exception as error:
        problem = explained(error)
    # Neither as its context nor in the frames of its traceback does the client's error go along.
    problem.__context__ = None
    raise problem.with_traceback(None)


def unreachable(reference: Reference, error: Exception) -> SourceUnavailable:
    """What is left to say of an error that a client does not tell apart: its kind."""
    return SourceUnavailable(f"{reference.text}: cannot be reached ({type(error).__name__})")


def version_of(name: object) -> str:
    """What a source calls a version, if that is a name that can be logged."""
    return str(name) if _VERSION.fullmatch(str(name)) else ""


def value_of(reference: Reference, content: object) -> str:
    """The key in what a source holds: all of it, or one field of a JSON object.

    Raises:
        SecretMissing: It is no text, empty, too long, or has no such field.
    """
    if not isinstance(content, str):
        raise SecretMissing(f"{reference.text}: no text")
    if not reference.field:
        require_content(reference.text, content)
        return content
    problem = SecretMissing(f"{reference.text}: no JSON object with a text of this name")
    try:
        held = orjson.loads(content)
    except ValueError:
        held = None
    return field_of(reference, held, problem)


def field_of(reference: Reference, held: object, problem: SecretMissing) -> str:
    """One field of an object.

    Raises:
        SecretMissing: *problem*, if it has no such text; or it is empty or too long.
    """
    value = held.get(reference.field) if isinstance(held, dict) else None
    if not isinstance(value, str):
        raise problem
    require_content(reference.text, value)
    return value


def silence(*loggers: str) -> None:
    """Keeps what clients log out of our log: they quote answers, and these quote what was sent."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def credential_of(read: Callable[[], str]) -> str:
    """What we show to a source before we may ask it.

    Args:
        read: Reads it from its own `SecretSource`.

    Raises:
        CredentialUnusable: It cannot be read; the Cohere key behind it is not missing for that.
    """
    try:
        return read()
    except SecretMissing as missing:
        raise CredentialUnusable(str(missing)) from None
