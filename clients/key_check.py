"""Asks Cohere about a key by what is free: check-api-key and the list of models, through Cohere's SDK.

The SDK is imported at the first check (0.6 s), and works on an event loop of its own: its parsing holds a loop up.
It is given all that it would otherwise look for by itself: the key (else CO_API_KEY), the address (else CO_API_URL),
the HTTP client (else one that depends on what is installed), and that it is not to retry.
"""

import asyncio
import functools
import importlib
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from clients import key_verdict
from clients.key_shape import Flaw, flaws_of
from clients.key_verdict import KeyState, KeyVerdict
from clients.off_loop import OffLoop

if TYPE_CHECKING:
    from cohere.core.client_wrapper import AsyncClientWrapper
    from yarl import URL

CHECK_TIMEOUT_S = 5.0
"""For one check whole: no drop-feeding server makes it longer."""
CHECKS_MAX = 8
"""Checks under way at once."""
_PAGE_MODELS, _PAGES_MAX = 1000, 20
_MODELS_SHARE = 0.9
"""Of the time for a check, until when the list of models may come."""
_TEXT_CHARS_MAX = 200
_ENDPOINTS = ("chat", "embed", "rerank")
_TRIAL_HEADERS = ("x-trial-endpoint-call-limit", "x-endpoint-monthly-call-limit")


class Revealing(Protocol):
    """A key as a source or a ring holds it."""

    def reveal(self) -> str:
        """The value."""


class KeyChecker:
    """Checks keys, a few at once, away from the loop that serves calls.

    Args:
        timeout_s: For one check.
    """

    def __init__(self, timeout_s: float = CHECK_TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._elsewhere = OffLoop("key-checks")
        self._free = asyncio.Semaphore(CHECKS_MAX)

    async def check(self, key: Revealing, base_url: "URL") -> KeyVerdict:
        """Tells whether Cohere takes a key. Never raises for what it finds, and never says the key.

        A value that cannot be a Cohere key is not sent: it may be somebody else's secret.

        Args:
            key: The key.
            base_url: Which Cohere to ask.
        """
        value = key.reveal()
        flaws = flaws_of(value)
        if flaws and flaws[0].fatal:
            return key_verdict.of_flaw(flaws[0])
        async with self._free:
            return await self._elsewhere.run(_asked(value, str(base_url), self._timeout_s, flaws[0] if flaws else None))

    def close(self) -> None:
        """Gives up what is under way."""
        self._elsewhere.close()


async def _asked(value: str, base_url: str, timeout_s: float, flaw: Flaw | None) -> KeyVerdict:
    """What Cohere says of a value that is unusual in that way, if it is."""
    _import_sdk()
    import httpx  # noqa: PLC0415 (with the SDK, at the first check)
    from cohere.core.api_error import ApiError  # noqa: PLC0415
    from cohere.core.client_wrapper import AsyncClientWrapper  # noqa: PLC0415

    models_until_s = asyncio.get_running_loop().time() + timeout_s * _MODELS_SHARE
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout_s) as http,
        ):
            return await _verdict(
                AsyncClientWrapper(
                    client_name="cohort",
                    token=value,
                    base_url=base_url,
                    timeout=timeout_s,
                    max_retries=0,
                    httpx_client=http,
                ),
                value,
                flaw,
                models_until_s,
            )
    # Of an error only its kind and status are told: it holds the answer, which may quote the key, and the request.
    except ApiError as error:
        return key_verdict.of_status(error.status_code or 0, flaw)
    except TimeoutError:
        return key_verdict.not_asked(f"Cohere did not answer the check within {timeout_s:g} s")
    except Exception as error:
        return key_verdict.not_asked(f"Cohere could not be asked: {type(error).__name__}")


def _import_sdk() -> None:
    """Imports all that a check needs of the SDK, so that the time of the first one is not spent on that."""
    for name in ("cohere.models.raw_client", "cohere.raw_base_client"):
        importlib.import_module(name)


async def _verdict(client: "AsyncClientWrapper", value: str, flaw: Flaw | None, models_until_s: float) -> KeyVerdict:
    from cohere.raw_base_client import AsyncRawBaseCohere  # noqa: PLC0415

    answer = await AsyncRawBaseCohere(client_wrapper=client).check_api_key()
    valid = answer.response.json()["valid"]  # the SDK takes any text but "true" for a no
    if valid is False:
        return key_verdict.declared_invalid(flaw)
    if valid is not True:
        return key_verdict.not_asked("Cohere's answer to the check does not say whether the key is valid")
    verdict = KeyVerdict(
        KeyState.GOOD,
        None,
        "Cohere takes the key",
        organization_id=_text(answer.data.organization_id, value),
        owner_id=_text(answer.data.owner_id, value),
        trial=_is_trial(answer.headers),
    )
    try:
        async with asyncio.timeout_at(models_until_s):
            return await _with_models(client, verdict, value)
    except Exception as error:  # whatever became of the list, what Cohere said of the key holds
        return replace(verdict, message=f"{verdict.message}, but does not list its models ({type(error).__name__})")


async def _with_models(client: "AsyncClientWrapper", verdict: KeyVerdict, value: str) -> KeyVerdict:
    from cohere.core.api_error import ApiError  # noqa: PLC0415
    from cohere.models.raw_client import AsyncRawModelsClient  # noqa: PLC0415

    models: dict[str, list[str]] = {endpoint: [] for endpoint in _ENDPOINTS}
    trial, page_token = bool(verdict.trial), None
    try:
        for _ in range(_PAGES_MAX):
            page = await AsyncRawModelsClient(client_wrapper=client).list(page_size=_PAGE_MODELS, page_token=page_token)
            trial = trial or _is_trial(page.headers)
            for model in page.data.models:
                for endpoint in set(_ENDPOINTS).intersection(model.endpoints or ()):
                    models[endpoint].append(_text(model.name, value))
            before, page_token = page_token, page.data.next_page_token
            if not page_token or page_token == before:
                break
    except ApiError as error:
        message = f"{verdict.message}, but does not list its models (HTTP {error.status_code})"
        return replace(verdict, message=message, trial=trial)
    except (AttributeError, TypeError):
        return replace(verdict, message=f"{verdict.message}; its list of models cannot be read", trial=trial)
    named = {endpoint: tuple(sorted(filter(None, names))) for endpoint, names in models.items()}
    return replace(verdict, models=named, trial=trial)


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _is_trial(headers: Mapping[str, str]) -> bool:
    return any(name in headers for name in _TRIAL_HEADERS)


def _text(found: Any, value: str) -> str:
    """A name of Cohere's, as far as it can be shown."""
    shown = isinstance(found, str) and found.isprintable() and value not in found
    return found[:_TEXT_CHARS_MAX] if shown else ""
