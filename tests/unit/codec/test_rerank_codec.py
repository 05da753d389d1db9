import json
from typing import Any

import orjson
import pytest

from clients.codec import rerank
from clients.codec.errors import MalformedAnswer
from cohort.v1.rerank_pb2 import RelevantSpansOptions, RerankRequest, RerankResponse


def decoded(answer: Any) -> RerankResponse:
    response = RerankResponse()
    rerank.decode(orjson.dumps(answer), response)
    return response


def test_only_what_is_set_is_sent() -> None:
    request = RerankRequest(
        model="rerank", query="q", documents=["a"], top_n=0, relevant_spans=RelevantSpansOptions(threshold=0.1)
    )

    assert json.loads(rerank.encode(request)) == {
        "model": "rerank",
        "query": "q",
        "documents": ["a"],
        "top_n": 0,
        "relevant_spans": {"threshold": 0.1},
    }


def test_results_spans_and_what_nobody_documented_are_read() -> None:
    spans = [{"start": 1, "end": 2, "score": 0.5, "x": 1}]
    response = decoded(
        {
            "id": "1",
            "results": [
                {"index": 1, "relevance_score": 1},
                {"index": 0, "relevance_score": 0.1, "relevant_spans": spans, "document": {"text": "a"}},
            ],
            "meta": {"billed_units": {"search_units": 1}},
        }
    )

    assert [(result.index, result.relevance_score) for result in response.results] == [(1, 1.0), (0, 0.1)]
    assert [(span.start, span.end, span.score) for span in response.results[1].relevant_spans] == [(1, 2, 0.5)]
    assert response.meta.billed_units.search_units == 1
    assert dict(response.extra_json) == {
        "/results/1/document": '{"text":"a"}',
        "/results/1/relevant_spans/0/x": "1",
    }


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ({"results": {"secret": 1}}, "/results"),
        ({"results": ["secret"]}, "/results"),
        ({"results": [{"index": 0}]}, "/results"),
        ({"results": [{"relevance_score": 0.5}]}, "/results"),
        ({"results": [{"index": None, "relevance_score": 0.5}]}, "/results"),
        ({"results": [{"index": 0.5, "relevance_score": 0.5}]}, "/results"),
        ({"results": [{"index": 0, "relevance_score": True}]}, "/results"),
        (
            {"results": [{"index": 0, "relevance_score": 0.5, "relevant_spans": [{"start": "1"}]}]},
            "/results/0/relevant_spans/0/start",
        ),
        ({"meta": {"warnings": "secret"}}, "/meta/warnings"),
        ({"meta": {"api_version": {"is_deprecated": 1}}}, "/meta/api_version/is_deprecated"),
    ],
)
def test_a_malformed_answer_is_named_by_its_place(answer: Any, place: str) -> None:
    with pytest.raises(MalformedAnswer) as raised:
        decoded(answer)

    assert place in str(raised.value)
    assert "secret" not in str(raised.value)
