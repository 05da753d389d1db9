"""Recorded Cohere traffic: the exchanges of the cassettes beside the checkout, read as plain data.

Cassettes are of vcrpy: a body is a string, or already parsed by the recorder (`parsed_body`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.shared_notes import SHARED


@dataclass(frozen=True)
class Recording:
    """One HTTP exchange with Cohere.

    Attributes:
        name: File and number of the exchange, such as "07-langchain-v2-rerank.0".
        path: Of the URL, such as "/v2/chat".
        request: The JSON that was sent.
        status: HTTP status.
        headers: Of the answer; names in lower case.
        body: Of the answer, as it came.
    """

    name: str
    path: str
    request: dict[str, Any]
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of server-sent events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def events(self) -> list[bytes]:
        """The data of the server-sent events, without the `[DONE]` at the end."""
        lines = self.body.split(b"\n")
        data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
        return [event for event in data if event != b"[DONE]"]


def recordings() -> Iterator[Recording]:
    """All recorded exchanges; none where the recordings are missing."""
    if SHARED is None:
        return
    for file in sorted((SHARED / "recorded").glob("*.yaml")):
        interactions = yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]
        for number, interaction in enumerate(interactions):
            yield _recording(f"{file.stem}.{number}", interaction["request"], interaction["response"])


def _recording(name: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> Recording:
    body = _body(response)
    return Recording(
        name=name,
        path="/" + request["uri"].split("/", 3)[3],
        request=json.loads(_body(request)),
        status=response["status"]["code"],
        headers={key.lower(): values[0] for key, values in response["headers"].items()},
        body=body,
    )


def _body(message: Mapping[str, Any]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"]).encode()
    body = message["body"]
    text = body["string"] if isinstance(body, dict) else body
    return text if isinstance(text, bytes) else text.encode()
