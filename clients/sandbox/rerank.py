"""POST /v2/rerank: documents in the order of their cosine with the query, by the same vectors as embed."""

import math
import re
from typing import Any

from clients.sandbox import fields, models, tokens, vectors
from clients.sandbox.answer import API_META, Answer
from clients.sandbox.errors import invalid

DIMENSION = 1024
DOCUMENTS_MAX = 10_000
_DOCUMENTS_PER_SEARCH_UNIT = 100
_CHUNK_TOKENS = 500
_MAX_TOKENS_PER_DOC_DEFAULT = 4096
_SPAN = re.compile(r"\S[^.!?\n]*[.!?]?")
_SPANS_READ_MAX = 200
KNOWN_FIELDS = frozenset({"model", "query", "documents", "top_n", "max_tokens_per_doc", "relevant_spans", "priority"})


def answer(body: dict[str, Any], answer_id: str) -> Answer:
    """Reranks.

    Raises:
        CohereError: 400 or 404, as Cohere refuses.
    """
    model = models.find_for("rerank", fields.required_text(body, "model"))
    query = fields.required_text(body, "query")
    documents = fields.texts(body, "documents")
    if not documents:
        raise invalid("documents is required and cannot be empty")
    if len(documents) > DOCUMENTS_MAX:
        raise invalid(f"number of documents must be at most {DOCUMENTS_MAX} - received {len(documents)}")
    top_n = fields.integer(body, "top_n", 1, None) or len(documents)
    fields.integer(body, "priority", 0, 999)
    limit = fields.integer(body, "max_tokens_per_doc", 1, None) or _MAX_TOKENS_PER_DOC_DEFAULT
    spans = _spans_wanted(body, model)
    read = [tokens.truncated(document, limit) for document in documents]
    wanted = vectors.direction(vectors.text_features(query), DIMENSION)
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": score_of(wanted, text)} for index, text in enumerate(read)
    ]
    results.sort(key=lambda result: -result["relevance_score"])
    results = results[:top_n]
    if spans is not None:
        for result in results:
            found = _relevant_spans(wanted, read[result["index"]], *spans)
            if found:
                result["relevant_spans"] = found
    units = _billed_units(model, query, read)
    reply = {"id": answer_id, "results": results, "meta": {**API_META, "billed_units": units}}
    return Answer(reply, model.name, units, warning=fields.unknown(body, KNOWN_FIELDS))


def score_of(wanted: list[int], text: str) -> float:
    """The relevance of *text*, 0 to 1, growing with its cosine: about 0.02 for 0 and 0.87 for 0.5."""
    cosine = vectors.cosine(wanted, vectors.direction(vectors.text_features(text), DIMENSION))
    return round(1 / (1 + math.exp(4.2 - 12 * cosine)), 8)


def _spans_wanted(body: dict[str, Any], model: models.Model) -> tuple[float, int | None] | None:
    options = fields.mapping(body, "relevant_spans")
    if options is None:
        return None
    mode = fields.choice(options, "mode", ("enabled", "disabled"), "relevant_spans.")
    if mode is None:
        raise invalid("relevant_spans.mode is required")
    threshold = fields.number(options, "threshold", 0, 1)
    spans_max = fields.integer(options, "max_spans", 1, None, "relevant_spans.")
    if mode == "disabled":
        return None
    if model.generation < 5:
        raise invalid(f"relevant_spans is not supported for model '{model.name}'")
    return 0.1 if threshold is None else threshold, spans_max


def _relevant_spans(wanted: list[int], text: str, threshold: float, spans_max: int | None) -> list[dict[str, float]]:
    """The sentences that score at least *threshold*, best first, as half-open ranges of code points."""
    found = []
    for _, match in zip(range(_SPANS_READ_MAX), _SPAN.finditer(text), strict=False):
        score = score_of(wanted, match.group())
        if score >= threshold:
            found.append({"start": match.start(), "end": match.end(), "score": score})
    found.sort(key=lambda span: -span["score"])
    return found[:spans_max]


def _billed_units(model: models.Model, query: str, documents: list[str]) -> dict[str, int]:
    """Rerank 5 is billed by the token, older ones by search units: 100 documents of at most 500 tokens."""
    counts = [tokens.count(document) for document in documents]
    if model.generation >= 5:
        return {"input_tokens": tokens.count(query) + sum(counts)}
    chunks = sum(max(1, -(-count // _CHUNK_TOKENS)) for count in counts)
    return {"search_units": -(-chunks // _DOCUMENTS_PER_SEARCH_UNIT)}
