"""The table form of a check: every field of a message has a rule, or is said to pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from service.validation.violation import Findings, ViolationReason

Rule: TypeAlias = Callable[[Findings, str, Any], None]
"""Called with the findings, the field's path and its value, if the field is set."""

PASSES = None
"""In the place of a rule: whatever its type can hold is sent to Cohere."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for the fields of one message.

    Attributes:
        by_field: The name and the rule of each field that has one.
        required: The fields that must be set and not empty.
    """

    by_field: Mapping[FieldDescriptor, tuple[str, Rule]]
    required: tuple[FieldDescriptor, ...]

    @classmethod
    def of(
        cls,
        message: type[Message],
        rules: Mapping[str, Rule | None],
        *,
        required: tuple[str, ...] = (),
    ) -> Self:
        """Makes the table for *message*.

        Raises:
            ValueError: A field has no entry, or an entry no field. So no field goes unchecked.
        """
        fields = cast("Mapping[str, FieldDescriptor]", message.DESCRIPTOR.fields_by_name)
        if unmatched := set(fields) ^ set(rules):
            raise ValueError(f"{message.DESCRIPTOR.full_name}: no rule or no field for {sorted(unmatched)}")
        by_field = {fields[name]: (name, rule) for name, rule in rules.items() if rule is not None}
        return cls(by_field, tuple(fields[name] for name in required))

    def check(self, findings: Findings, path: str, message: Message) -> None:
        """Checks each field of *message* that is set. *path* is "" or ends in a dot.

        `ListFields` takes 0.4 µs for a chat; asking for its twenty fields one by one, three times that.
        """
        fields = message.ListFields()
        rule_of = self.by_field.get
        for descriptor, value in fields:
            named_rule = rule_of(descriptor)
            if named_rule is not None:
                name, rule = named_rule
                rule(findings, path + name, value)
        if self.required:
            present = dict(fields)
            for descriptor in self.required:
                if descriptor not in present:
                    field = path + descriptor.name
                    findings.add(field, ViolationReason.REQUIRED, "is required")


def nested(rules: Rules) -> Rule:
    """A message within the message, checked by *rules*."""

    def rule(findings: Findings, field: str, value: Message) -> None:
        rules.check(findings, f"{field}.", value)

    return rule


def each(item_rule: Rule) -> Rule:
    """A list, each item of which is checked by *item_rule* and counts as a part of the request."""

    def rule(findings: Findings, field: str, value: Any) -> None:
        findings.take_parts(field, len(value))
        for index, item in enumerate(value):
            item_rule(findings, f"{field}[{index}]", item)

    return rule
