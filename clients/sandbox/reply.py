"""What a model says in answer to a chat, in tokens, and its unary form."""

from dataclasses import dataclass, field
from typing import Any

from clients.sandbox import tokens


@dataclass(slots=True)
class Reply:
    """A chat's answer as lists of tokens.

    Attributes:
        text: None if there is no text block: the answer is tool calls, or was cut off while thinking.
        cites_early: True if a stream sends each citation as soon as its text is out.
        logprobs: True if the text's log probabilities were asked for.
    """

    finish_reason: str
    thinking: list[str] = field(default_factory=list)
    text: list[str] | None = None
    tool_plan: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    citations: list[dict[str, Any]] = field(default_factory=list)
    cites_early: bool = False
    logprobs: bool = False

    def unary(self, answer_id: str, usage: dict[str, Any]) -> dict[str, Any]:
        """The JSON of the unary answer."""
        message: dict[str, Any] = {"role": "assistant"}
        content = []
        if self.thinking:
            content.append({"type": "thinking", "thinking": "".join(self.thinking)})
        if self.text is not None:
            content.append({"type": "text", "text": "".join(self.text)})
        if content:
            message["content"] = content
        if self.tool_plan:
            message["tool_plan"] = "".join(self.tool_plan)
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        if self.citations:
            message["citations"] = self.citations
        body: dict[str, Any] = {
            "id": answer_id,
            "message": message,
            "finish_reason": self.finish_reason,
            "usage": usage,
        }
        if self.logprobs and self.text:
            body["logprobs"] = [tokens.logprob_item(piece) for piece in self.text]
        return body
