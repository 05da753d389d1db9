"""Rules for content blocks and documents, and which kinds of block may stand where."""

import json
from collections.abc import Mapping

from google.protobuf.descriptor import FieldDescriptor

from cohort.v1.chat_pb2 import ContentBlock, Document, ImageUrl
from service.validation.images import image_url
from service.validation.rules import PASSES, Rule, Rules, nested
from service.validation.values import json_object, word
from service.validation.violation import Findings, ViolationReason

_FIELDS: Mapping[str, FieldDescriptor] = ContentBlock.DESCRIPTOR.fields_by_name
_TYPED_KINDS = frozenset(_FIELDS) - {"other_json"}


def document(findings: Findings, field: str, value: Document) -> None:
    """Checks that a document has a body, and that a body of JSON is one object."""
    body = value.WhichOneof("body")
    if body is None:
        findings.add(field, ViolationReason.REQUIRED, "must hold text or data_json")
    elif body == "data_json":
        json_object(findings, f"{field}.data_json", value.data_json)


def other_block(findings: Findings, field: str, value: str) -> None:
    """Checks a block of a kind younger than the contract.

    A kind that the contract knows is refused: as text it would be sent unchecked, and an image would be
    counted as the few bytes of its URL. Readers of JSON differ on names given twice or in another case, so
    neither is taken.
    """
    reported = len(findings.violations)
    json_object(findings, field, value)
    if len(findings.violations) > reported:
        return
    members = json.loads(value, object_pairs_hook=list, parse_int=float)  # int() has a limit
    kinds = [kind for name, kind in members if name.casefold() == "type"]
    if len(kinds) != 1 or not isinstance(kinds[0], str) or not kinds[0]:
        findings.add(field, ViolationReason.INVALID_JSON, f"must have one text member type; has {len(kinds)}")
    elif kinds[0].casefold() in _TYPED_KINDS:
        findings.add(field, ViolationReason.NOT_ALLOWED, "holds a type of block that has a field of its own")


def block(*kinds: str, place: str, web_images: bool = False) -> Rule:
    """A block of one of *kinds* (field names of `ContentBlock`), as *place* may hold."""
    allowed = {_FIELDS[kind] for kind in kinds}
    bounds = f"{place} may hold only {', '.join(kinds)}"
    rules = _kind_rules(web_images=web_images).by_field

    def rule(findings: Findings, field: str, value: ContentBlock) -> None:
        fields = value.ListFields()
        if not fields:
            findings.add(field, ViolationReason.REQUIRED, "must hold a block")
            return
        descriptor, content = fields[0]
        if descriptor not in allowed:
            findings.add(f"{field}.{descriptor.name}", ViolationReason.NOT_ALLOWED, bounds)
        named_rule = rules.get(descriptor)
        if named_rule is not None:
            name, kind_rule = named_rule
            kind_rule(findings, f"{field}.{name}", content)

    return rule


def _kind_rules(*, web_images: bool) -> Rules:
    url = image_url(web=web_images)
    image = nested(Rules.of(ImageUrl, {"url": url, "detail": word}, required=("url",)))
    kinds: dict[str, Rule | None] = {
        "text": PASSES,
        "thinking": PASSES,
        "image_url": image,
        "document": document,
        "other_json": other_block,
    }
    return Rules.of(ContentBlock, kinds)
