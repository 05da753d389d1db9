"""The bounds of Rerank, as Cohere documents them for POST /v2/rerank."""

from cohort.v1.rerank_pb2 import RelevantSpansOptions, RerankRequest
from service.validation.rules import PASSES, Rules, nested
from service.validation.values import count, model, one_of, real, whole
from service.validation.violation import Violation, collect

DOCUMENTS_MAX = 10_000


def violations_of_rerank(request: RerankRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be sent. Changes nothing."""
    return collect(lambda findings, checked: _RERANK.check(findings, "", checked), request)


_RELEVANT_SPANS = Rules.of(
    RelevantSpansOptions,
    {"mode": one_of("enabled", "disabled"), "threshold": real(0, 1), "max_spans": whole(1)},
    required=("mode",),
)
_RERANK = Rules.of(
    RerankRequest,
    {
        "model": model,
        "query": PASSES,
        "documents": count(DOCUMENTS_MAX),
        "top_n": whole(1),
        "max_tokens_per_doc": whole(1),
        "relevant_spans": nested(_RELEVANT_SPANS),
        "priority": whole(0, 999),
    },
    required=("model", "query", "documents"),
)
