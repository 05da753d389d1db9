"""Rerank: `RerankRequest` → the JSON of POST /v2/rerank, and its JSON answer → `RerankResponse`."""

from typing import Any, Final

import orjson

from clients.codec.filling import IMPLIED, NUMBER, TEXT, VALUE, Extra, Path, Table, each, fill, listed, parsed
from clients.codec.objects import Converters, object_of, plain
from clients.codec.usage import META
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse


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
        result = add()
        result.index = item["index"]
        result.relevance_score = score
        if len(item) > 2:
            fill(item, result, _REST, extra, (path, position))


_REQUEST: Final[Converters] = {"documents": list, "relevant_spans": plain}
_SPAN: Final[Table] = {"start": VALUE, "end": VALUE, "score": NUMBER}
_REST: Final[Table] = {
    "index": IMPLIED,
    "relevance_score": IMPLIED,
    "relevant_spans": each("relevant_spans", _SPAN, *_SPAN),
}
_RESPONSE: Final[Table] = {"id": TEXT, "results": _fill_results, "meta": META}
