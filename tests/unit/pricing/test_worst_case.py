"""The most a request can cost: at least anything its bounds allow, and never lower for a larger request."""

import math
import unicodedata
from fractions import Fraction

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from cohort.v1.usage_pb2 import BilledUnits
from service.pricing import ModelPrice, UnitNotPriced, cost_nanos, load, worst_case_nanos
from service.pricing.input_bound import chat_tokens_max, tokens_max
from service.validation import input_bytes
from service.validation.input_size import IMAGE_TOKENS_MAX
from tests.conformance.recordings import Recording, recordings
from tests.shared_notes import requires_shared
from tests.unit.pricing.books import priced_as_the_sandbox
from tests.unit.pricing.strategies import CHATS, EMBEDS, RERANKS, TEXTS
from tests.unit.sandbox.pictures import PNG_URI
from tests.unit.validation.tables import AnyRequest, Members, chat, embed, rerank

BOOK = priced_as_the_sandbox()
CHATTY = ModelPrice("m", "chat", {"input_tokens": 0, "output_tokens": 1_000}, 1_000, 8_000)
THINKER = ModelPrice("m", "chat", {"input_tokens": 0, "output_tokens": 1_000}, 1_000, 32_000, thinks=True)
EMBED_3 = ModelPrice("m", "embed", {"input_tokens": 1_000, "images": 10**8})
EMBED_4 = ModelPrice("m", "embed", {"input_tokens": 1_000, "image_tokens": 10**6})
EMBED_5 = ModelPrice("m", "embed", {"input_tokens": 1_000})
BY_SEARCH = ModelPrice("m", "rerank", {"search_units": 1_000}, 4_096)
BY_TOKEN = ModelPrice("m", "rerank", {"input_tokens": 1_000}, 32_768)


def hold(request: AnyRequest) -> int:
    price = BOOK.price_of(request.model)
    assert price is not None
    return worst_case_nanos(price, request)


@pytest.mark.parametrize(
    ("price", "members", "tokens"),
    [
        (CHATTY, {"max_tokens": 500}, 500),
        (CHATTY, {"max_tokens": 9_000}, 8_000),
        (CHATTY, {}, 8_000),
        # A model that does not think and is told to: whatever it makes of that.
        (CHATTY, {"max_tokens": 500, "thinking": {"type": "enabled"}}, 8_000),
        (CHATTY, {"max_tokens": 500, "thinking": {"token_budget": 100}}, 600),
        (CHATTY, {"max_tokens": 500, "thinking": {"type": "disabled"}}, 500),
        # A model that thinks does so unless it is told not to, and as long as it likes.
        (THINKER, {"max_tokens": 500}, 32_000),
        (THINKER, {"max_tokens": 500, "thinking": {"type": "enabled"}}, 32_000),
        (THINKER, {"max_tokens": 500, "thinking": {"type": "enabled", "token_budget": 100}}, 600),
        (THINKER, {"max_tokens": 500, "thinking": {"token_budget": 100}}, 600),
        (THINKER, {"max_tokens": 500, "thinking": {"token_budget": 40_000}}, 32_000),
        (THINKER, {"max_tokens": 500, "thinking": {"type": "disabled"}}, 500),
        (THINKER, {"max_tokens": 500, "thinking": {"type": "disabled", "token_budget": 100}}, 500),
    ],
)
def test_an_answer_is_held_for_with_its_thinking(price: ModelPrice, members: Members, tokens: int) -> None:
    assert worst_case_nanos(price, chat(members)) == tokens


def test_the_input_of_a_chat_is_held_for_up_to_the_window() -> None:
    price = ModelPrice("m", "chat", {"input_tokens": 1_000, "output_tokens": 0}, 1_000, 1)

    assert worst_case_nanos(price, chat({})) == input_bytes(chat({})) == 47
    assert worst_case_nanos(price, chat({"messages": [{"role": "user", "text": "a" * 5_000}]})) == 1_000


@pytest.mark.parametrize(
    ("price", "members", "nanos"),
    [
        (EMBED_5, {"texts": ["a" * 1_000] * 3}, 3_000),
        (EMBED_3, {"texts": ["\u00e9" * 600]}, 1_200),  # more than the window of version 3: it may be billed
        (EMBED_3, {"texts": [], "images": [PNG_URI]}, 100_000),
        (EMBED_4, {"texts": [], "images": [PNG_URI] * 2}, 2 * IMAGE_TOKENS_MAX * 1_000),
        (
            EMBED_4,
            {"texts": [], "inputs": [{"content": [{"image_url": {"url": PNG_URI}}, {"text": "a" * 500}]}]},
            IMAGE_TOKENS_MAX * 1_000 + 500,
        ),
        (EMBED_5, {"texts": ["\U0001d160" * 100]}, 1_200),
    ],
)
def test_an_embed_is_held_for_by_its_texts_and_its_images(price: ModelPrice, members: Members, nanos: int) -> None:
    assert nanos <= worst_case_nanos(price, embed(members)) <= nanos + 120


@pytest.mark.parametrize(
    ("query", "documents", "max_tokens_per_doc", "units"),
    [
        ("q", ["a"], None, 1),
        ("q", ["a" * 400] * 100, None, 1),
        ("q", ["a" * 400] * 101, None, 2),
        ("q", ["a" * 600] * 100, None, 2),
        ("q", ["a" * 600] * 100, 400, 1),
        ("q" * 150, ["a" * 400] * 100, None, 2),  # with the query it is longer than 500
        ("q" * 250, ["a" * 740] * 100, None, 3),  # every chunk has room for 250
        ("q" * 9_000, ["a" * 40] * 100, None, 5),  # the query is cut to 2,048
        ("q", ["a" * 100_000] * 100, None, 9),  # the documents are cut to 4,096
        ("q", ["a" * 100_000] * 100, 100_000, 203),
        ("q", ["\U0001d160" * 100] * 100, None, 3),
    ],
)
def test_a_rerank_is_held_for_by_its_chunks(
    query: str, documents: list[str], max_tokens_per_doc: int | None, units: int
) -> None:
    request = RerankRequest(model="m", query=query, documents=documents, max_tokens_per_doc=max_tokens_per_doc)

    assert worst_case_nanos(BY_SEARCH, request) == units


def test_a_rerank_by_the_token_reads_the_query_beside_each_document_and_each_part_of_one() -> None:
    request = RerankRequest(model="m", query="q" * 100, documents=["a" * 1_000] * 3)
    assert worst_case_nanos(BY_TOKEN, request) == 100 + 3 * (1_000 + 104)

    request = RerankRequest(model="m", query="q" * 100, documents=["a" * 50_000], max_tokens_per_doc=50_000)
    assert worst_case_nanos(BY_TOKEN, request) == 100 + 50_000 + 2 * 104

    request = RerankRequest(model="m", query="q" * 50_000, documents=["a"] * 2)
    assert worst_case_nanos(BY_TOKEN, request) == 50_000 + 2 * (1 + 16_384 + 4)


@pytest.mark.parametrize(
    ("price", "request_", "unit"),
    [
        (EMBED_5, embed({"texts": [], "images": [PNG_URI]}), "image_tokens"),
        (
            EMBED_5,
            embed({"texts": [], "inputs": [{"content": [{"image_url": {"url": PNG_URI}}]}]}),
            "image_tokens",
        ),
        (EMBED_5, chat({}), "chat"),
        (BY_TOKEN, embed({}), "embed"),
        (CHATTY, rerank({}), "rerank"),
    ],
)
def test_what_has_no_price_is_refused(price: ModelPrice, request_: AnyRequest, unit: str) -> None:
    with pytest.raises(UnitNotPriced, match=f"^m has no price for {unit}$") as raised:
        worst_case_nanos(price, request_)
    assert (raised.value.model, raised.value.unit) == ("m", unit)


@given(CHATS, st.data())
def test_no_units_within_the_bounds_of_a_chat_cost_more_than_its_hold(
    request: ChatRequest, data: st.DataObject
) -> None:
    price = BOOK.price_of(request.model)
    assert price is not None
    most = price.output_tokens_max if price.thinks else min(request.max_tokens, price.output_tokens_max)
    if request.thinking.type == "disabled":
        most = min(request.max_tokens, price.output_tokens_max)
    elif request.thinking.HasField("token_budget"):
        most = min(request.max_tokens + request.thinking.token_budget, price.output_tokens_max)
    units = BilledUnits(
        input_tokens=data.draw(st.integers(0, min(input_bytes(request), price.context_tokens))),
        output_tokens=data.draw(st.integers(0, most)),
    )
    cost = cost_nanos(price, units)

    assert cost is not None
    assert cost <= worst_case_nanos(price, request)


@given(CHATS | EMBEDS | RERANKS, st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_hold_is_a_whole_number_rounded_up_once(request: AnyRequest, low: int, high: int) -> None:
    price = BOOK.price_of(request.model)
    assert price is not None
    picos = dict(zip(price.picos_per_unit, (low, high), strict=False))
    single = [
        worst_case_nanos(_priced(price, {name: picos[name] * 1_000 if name == unit else 0 for name in picos}), request)
        for unit in picos
    ]
    found = worst_case_nanos(_priced(price, picos), request)

    assert type(found) is int
    assert found == math.ceil(Fraction(sum(single), 1_000))


@given(CHATS, TEXTS)
def test_a_larger_chat_is_never_held_for_with_less(request: ChatRequest, text: str) -> None:
    before = hold(request)
    larger = [ChatRequest.FromString(request.SerializeToString()) for _ in range(5)]
    larger[0].messages.add(role="user", text=text)
    larger[1].messages.add(role="tool", tool_call_id="a", text=text)
    larger[2].documents.add(text=text)
    larger[3].tools.add().function.description = text
    larger[4].max_tokens += 1

    assert all(hold(each) >= before for each in larger)


@given(EMBEDS, TEXTS)
def test_a_larger_embed_is_never_held_for_with_less(request: EmbedRequest, text: str) -> None:
    before = hold(request)
    if request.inputs:
        request.inputs.add().content.add(text=text)
    elif request.texts:
        request.texts.append(text)
    else:
        request.images.append(PNG_URI)

    assert hold(request) >= before


@given(RERANKS, TEXTS)
def test_a_larger_rerank_is_never_held_for_with_less(request: RerankRequest, text: str) -> None:
    before = hold(request)
    larger = [RerankRequest.FromString(request.SerializeToString()) for _ in range(4)]
    larger[0].documents.append(text)
    larger[1].documents[0] += "a" * len(text)
    larger[2].query += "a" * len(text)
    larger[3].max_tokens_per_doc = max(4_096, request.max_tokens_per_doc + 1)

    assert all(hold(each) >= before for each in larger)


@given(TEXTS)
def test_a_text_has_at_most_a_token_a_byte_as_it_is_or_in_nfc(text: str) -> None:
    assert tokens_max(text) == max(len(text.encode()), len(unicodedata.normalize("NFC", text).encode()))


@pytest.mark.parametrize("place", ["text", "tool", "document", "block", "arguments", "schema", "thinking"])
def test_texts_that_are_longer_in_nfc_are_held_for_wherever_they_stand(place: str) -> None:
    text = "\U0001d160" * 100  # a note: four bytes, in NFC three characters of four bytes each
    call = {"id": "a", "function": {"name": "f", "arguments": text}}
    places: dict[str, Members] = {
        "text": {"messages": [{"role": "user", "text": text}]},
        "tool": {"tools": [{"function": {"name": "f", "description": text, "parameters_json": "{}"}}]},
        "document": {"documents": [{"data_json": f'{{"a": "{text}"}}'}]},
        "block": {"messages": [{"role": "user", "content": [{"text": text}]}]},
        "arguments": {"messages": [{"role": "assistant", "tool_calls": [call]}]},
        "schema": {"response_format": {"type": "json_object", "json_schema": f'{{"a": "{text}"}}'}},
        "thinking": {"messages": [{"role": "assistant", "content": [{"thinking": text}]}]},
    }

    assert 1_200 <= chat_tokens_max(chat(places[place])) <= 1_400


def test_a_tool_message_is_quoted_wherever_its_text_stands() -> None:
    text = '"' * 100
    plain = chat({"messages": [{"role": "tool", "tool_call_id": "a", "text": text}]})
    block = chat({"messages": [{"role": "tool", "tool_call_id": "a", "content": [{"text": text}]}]})
    said = chat({"messages": [{"role": "user", "text": text}]})

    assert chat_tokens_max(plain) == input_bytes(plain) + 100
    assert chat_tokens_max(block) == input_bytes(block) + 100
    assert chat_tokens_max(said) == input_bytes(said)


def test_an_ordinary_chat_is_held_for_with_its_bytes_alone() -> None:
    request = chat({"messages": [{"role": "user", "text": "Gr\u00fc\u00df Gott, \u65e5\u672c\u8a9e: 1e15 \U0001f600"}]})

    assert chat_tokens_max(request) == input_bytes(request)


def _priced(price: ModelPrice, picos: dict[str, int]) -> ModelPrice:
    return ModelPrice(
        price.model, price.endpoint, picos, price.context_tokens, price.output_tokens_max, thinks=price.thinks
    )


RECORDED = [each for each in recordings() if each.status == 200 and not each.is_stream]


@requires_shared
@pytest.mark.parametrize("recording", RECORDED, ids=lambda recording: recording.name)
def test_what_cohere_billed_is_less_than_what_would_have_been_held(recording: Recording) -> None:
    answer = orjson.loads(recording.body)
    units = answer.get("usage", answer.get("meta"))["billed_units"]
    request = as_request(recording)
    shipped = load()
    price = shipped.price_of(request.model) or shipped.price_of("command-r-08-2024")
    assert price is not None
    cost = cost_nanos(price, BilledUnits(**units))

    assert cost is not None
    assert cost <= worst_case_nanos(price, request)


def as_request(recording: Recording) -> AnyRequest:
    sent = {name: value for name, value in recording.request.items() if value is not None and name != "stream"}
    if recording.path == "/v2/rerank":
        return rerank(sent)
    if recording.path == "/v2/embed":
        return embed(sent)
    messages = [{"role": message["role"], "text": message["content"]} for message in sent["messages"]]
    documents = [
        {"id": document["id"], "data_json": orjson.dumps(document["data"]).decode()}
        for document in sent.get("documents", ())
    ]
    return chat({**sent, "messages": messages, "documents": documents})
