"""Rerank: `RerankRequest` → the JSON of POST /v2/rerank, and its JSON answer → `RerankResponse`."""

from typing import Any, Final

import orjson

from clients.codec.filling import IMPLIED, NUMBER, TEXT, Extra, Path, Table, fill, listed, parsed
from clients.codec.objects import Converters, object_of, plain
from clients.codec.usage import META
from cohort.v1.rerank_pb2 import RelevantSpan, RerankRequest, RerankResponse, RerankResult


def encode(request: RerankRequest) -> bytes:
    """The body of the HTTP request: what Cohere's SDK would send for the same arguments, JSON in UTF-8."""
    return orjson.dumps(object_of(request, _REQUEST))


def decode(body: bytes, response: RerankResponse) -> None:
    """Fills *response* from the body of Cohere's answer.

    Args:
        body: JSON in UTF-8, of status 200.
        response: Empty.

    Raises:
        MalformedAnswer: It is not JSON, a member has another type than Cohere documents, or a result
            lacks its index or score.
    """
    fill(parsed(body), response, _RESPONSE, response.extra_json, ())


def _fill_results(response: RerankResponse, value: Any, extra: Extra, path: Path) -> None:
    # There may be a thousand: what every result has is read without the loop over its members.
    add = response.results.add
    for position, item in enumerate(listed(value)):
        score = item["relevance_score"]
        if type(score) is bool:
            raise TypeError
        result = add(index=item["index"], relevance_score=score)
        if len(item) > 2:
            fill(item, result, _REST, extra, (path, position))


def _fill_spans(result: RerankResult, value: Any, extra: Extra, path: Path) -> None:
    for position, item in enumerate(listed(value)):
        span: RelevantSpan = result.relevant_spans.add(start=item["start"], end=item["end"])
        fill(item, span, _SPAN, extra, (path, position))


_REQUEST: Final[Converters] = {"documents": list, "relevant_spans": plain}
_SPAN: Final[Table] = {"start": IMPLIED, "end": IMPLIED, "score": NUMBER}
_REST: Final[Table] = {"index": IMPLIED, "relevance_score": IMPLIED, "relevant_spans": _fill_spans}
_RESPONSE: Final[Table] = {"id": TEXT, "results": _fill_results, "meta": META}
