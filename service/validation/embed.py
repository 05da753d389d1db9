"""The bounds of Embed, as Cohere documents them for POST /v2/embed."""

from collections.abc import Sequence

from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from service.validation.content import block
from service.validation.images import check_images_bytes, image_url
from service.validation.rules import Rule, Rules, each, nested
from service.validation.values import count, model, one_of, whole
from service.validation.violation import Findings, Violation, ViolationReason, collect

INPUTS_MAX = 96
"""Of either kind: texts, images or inputs."""

OUTPUT_DIMENSION_MAX = 8_192
"""Four times what any model of Cohere's gives; which sizes a model has is Cohere's to say."""

_KINDS_OF_INPUT = ("texts", "images", "inputs")


def violations_of_embed(request: EmbedRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be sent. Changes nothing."""
    return collect(_walk, request)


def _walk(findings: Findings, request: EmbedRequest) -> None:
    _EMBED.check(findings, "", request)
    kinds = [kind for kind in _KINDS_OF_INPUT if getattr(request, kind)]
    if not kinds:
        findings.add("texts", ViolationReason.REQUIRED, "one of texts, images and inputs is required")
    for kind in kinds[1:]:
        findings.add(kind, ViolationReason.CONFLICT, f"must not be set together with {kinds[0]}")
    check_images_bytes(findings, "images" if request.images else "inputs")


def _at_most(inputs_max: int, rule: Rule) -> Rule:
    bound = count(inputs_max)

    def bounded(findings: Findings, field: str, value: Sequence[object]) -> None:
        bound(findings, field, value)
        rule(findings, field, value)

    return bounded


_embedding_type = one_of("float", "int8", "uint8", "binary", "ubinary", "base64")


def _embedding_types(findings: Findings, field: str, value: Sequence[str]) -> None:
    # An unknown type is refused here: its vectors could not be decoded.
    seen = set[str]()
    for index, name in enumerate(value):
        _embedding_type(findings, f"{field}[{index}]", name)
        if name in seen:
            findings.add(f"{field}[{index}]", ViolationReason.DUPLICATE, "must not be listed twice")
        seen.add(name)


_INPUT = Rules.of(
    EmbedInput,
    {"content": each(block("text", "image_url", place="an input of Embed"))},
    required=("content",),
)
_EMBED = Rules.of(
    EmbedRequest,
    {
        "model": model,
        "input_type": one_of("search_document", "search_query", "classification", "clustering", "image"),
        "texts": count(INPUTS_MAX),
        "images": _at_most(INPUTS_MAX, each(image_url(web=False))),
        "inputs": _at_most(INPUTS_MAX, each(nested(_INPUT))),
        "max_tokens": whole(1),
        "output_dimension": whole(1, OUTPUT_DIMENSION_MAX),
        "embedding_types": _embedding_types,
        "truncate": one_of("NONE", "START", "END"),
        "priority": whole(0, 999),
    },
    required=("model", "input_type"),
)
