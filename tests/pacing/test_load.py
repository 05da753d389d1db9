"""What requests count for, as Cohere counts."""

import pytest

from clients.pacing.load import Load, load_of
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest


def item(*, text: bool = False, image: bool = False) -> EmbedInput:
    made = EmbedInput()
    if text:
        made.content.add(text="a")
    if image:
        made.content.add().image_url.url = "data:image/png;base64,AA=="
    return made


@pytest.mark.parametrize(
    ("request_", "load"),
    [
        (ChatRequest(model="command-a-03-2025"), (("chat command-a-03-2025", 1),)),
        (RerankRequest(model="rerank-v3.5", documents=["a", "b", "c"]), (("rerank", 1),)),
        (EmbedRequest(texts=["a", "b", "c"]), (("embed texts", 3),)),
        (EmbedRequest(images=["data:a", "data:b"]), (("embed images", 2),)),
        (EmbedRequest(inputs=[item(text=True), item(text=True)]), (("embed texts", 2),)),
        (EmbedRequest(inputs=[item(text=True, image=True), item(image=True)]), (("embed images", 2),)),
        (
            EmbedRequest(inputs=[item(text=True), item(text=True, image=True), item(text=True)]),
            (("embed texts", 2), ("embed images", 1)),
        ),
    ],
)
def test_a_request_counts_as_cohere_counts_it(request_: ChatRequest | EmbedRequest | RerankRequest, load: Load) -> None:
    assert load_of(request_) == load
