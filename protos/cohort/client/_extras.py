"""Members unknown to Cohort: from their places in a stream's events to their places in the whole answer.

Both are JSON Pointers (RFC 6901), as in `extra_json`. An event's members outside of what it adds to the
answer have no place there and are left out.
"""

from collections.abc import Iterator, Mapping

# Event → where in the event stands what it adds to the answer, and where that stands in the answer.
# `{}` is the position of the part among its kind.
_MOVES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "message_start": (("/delta/message/", "/message/"), ("/id", "/id")),
    "content_start": (("/delta/message/content/", "/message/content/{}/"),),
    "content_delta": (("/delta/message/content/", "/message/content/{}/"),),
    "tool_plan_delta": (("/delta/message/", "/message/"),),
    "tool_call_start": (("/delta/message/tool_calls/", "/message/tool_calls/{}/"),),
    "tool_call_delta": (("/delta/message/tool_calls/", "/message/tool_calls/{}/"),),
    "citation_start": (("/delta/message/citations/", "/message/citations/{}/"),),
    "message_end": (("/delta/", "/"),),
}
# That a piece lacks these says nothing of the whole, which has them from other pieces.
_PIECED = frozenset({"/delta/message/tool_plan", "/delta/message/tool_calls/function/arguments"})
_LOGPROBS = "/logprobs/"


def moved(event: str, extra: Mapping[str, str], position: int) -> Iterator[tuple[str, str]]:
    """Yields (pointer into the answer, JSON text) for the `extra_json` of one event.

    Args:
        event: The name of the event's member of the oneof.
        extra: Its `extra_json`.
        position: Where the part it adds to stands among the parts of its kind.
    """
    for pointer, text in extra.items():
        for before, after in _MOVES.get(event, ()):
            if pointer.startswith(before) and pointer not in _PIECED:
                yield after.format(position) + pointer[len(before) :], text


def moved_of_logprobs(extra: Mapping[str, str], position: int) -> Iterator[tuple[str, str]]:
    """Yields (pointer into the answer, JSON text) for what a `content_delta` knows beside its log probabilities."""
    for pointer, text in extra.items():
        if pointer.startswith(_LOGPROBS):
            yield f"{_LOGPROBS}{position}/{pointer[len(_LOGPROBS) :]}", text
