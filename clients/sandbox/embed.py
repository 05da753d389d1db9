"""POST /v2/embed: hashed words in every embedding type Cohere knows."""

from array import array
from dataclasses import dataclass
from typing import Any

import pybase64

from clients.sandbox import fields, images, models, tokens, vectors
from clients.sandbox.answer import API_META, Answer
from clients.sandbox.errors import invalid
from clients.sandbox.models import Model

INPUTS_MAX = 96
IMAGES_BYTES_MAX = 20 * 1024 * 1024
V3_IMAGE_BYTES_MAX = 5 * 1024 * 1024
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
TYPES = ("float", "int8", "uint8", "binary", "ubinary", "base64")
KNOWN_FIELDS = frozenset({
    "model", "input_type", "texts", "images", "inputs", "max_tokens", "output_dimension", "embedding_types",
    "truncate", "priority",
})  # fmt: skip


@dataclass(slots=True)
class _Input:
    """One thing to embed: the text that remains after truncation, and its images."""

    text: str
    text_tokens: int
    images: list[images.Image]

    def features(self) -> vectors.Features:
        if not self.images:
            return vectors.text_features(self.text)
        features = vectors.text_features(self.text) if self.text else vectors.Features()
        for image in self.images:
            features += vectors.image_features(image.data)
        return features


def answer(body: dict[str, Any], answer_id: str) -> Answer:
    """Embeds.

    Raises:
        CohereError: 400 or 404, as Cohere refuses.
    """
    model = models.find_for("embed", fields.required_text(body, "model"))
    fields.choice(body, "input_type", INPUT_TYPES)
    fields.required(body, "input_type")
    fields.integer(body, "priority", 0, 999)
    dimension = _dimension(body, model)
    types = _types(body)
    inputs = _inputs(body, model)
    pictures = [image for item in inputs for image in item.images]
    units = _billed_units(model, sum(item.text_tokens for item in inputs), pictures)
    reply: dict[str, Any] = {
        "id": answer_id,
        "embeddings": _embeddings([item.features() for item in inputs], dimension, types),
        "texts": [item.text for item in inputs] if body.get("texts") else [],
        "meta": {**API_META, "billed_units": units},
        "response_type": "embeddings_by_type",
    }
    if pictures:
        reply["images"] = [
            {
                "width": image.width,
                "height": image.height,
                "format": image.format,
                "bit_depth": image.bit_depth,
            }
            for image in pictures
        ]
    return Answer(
        reply,
        model.name,
        units,
        texts=sum(1 for item in inputs if not item.images),
        images=sum(1 for item in inputs if item.images),
        counted=True,
        warning=fields.unknown(body, KNOWN_FIELDS),
    )


def _dimension(body: dict[str, Any], model: Model) -> int:
    dimension = fields.integer(body, "output_dimension", 1, None)
    if dimension is None:
        return model.dimensions[-1]
    if len(model.dimensions) == 1:
        raise invalid(f"output_dimension is not supported for model '{model.name}'")
    if dimension not in model.dimensions:
        offered = ", ".join(map(str, model.dimensions))
        raise invalid(f"output_dimension must be one of [{offered}], received {dimension}")
    return dimension


def _types(body: dict[str, Any]) -> list[str]:
    types = fields.texts(body, "embedding_types") or ["float"]
    for name in types:
        if name not in TYPES:
            raise invalid(f"embedding_types must be among [{', '.join(TYPES)}], received '{name[:64]}'")
    return types


def _inputs(body: dict[str, Any], model: Model) -> list[_Input]:
    given = [name for name in ("texts", "images", "inputs") if body.get(name)]
    if not given:
        raise invalid("valid texts, images or inputs must be provided")
    if len(given) > 1:
        raise invalid(f"only one of texts, images or inputs may be provided, received {' and '.join(given)}")
    (name,) = given
    limits = (
        fields.integer(body, "max_tokens", 1, None),
        fields.choice(body, "truncate", ("NONE", "START", "END")),
    )
    if name == "texts":
        texts = fields.texts(body, "texts")
        _check_count("texts", texts)
        return [_text_input(text, [], model, limits) for text in texts]
    if name == "images":
        uris = fields.texts(body, "images")
        pictures = [images.decode(uri, f"images[{position}]") for position, uri in enumerate(uris)]
        _check_images(pictures, model)
        return [_Input("", 0, [picture]) for picture in pictures]
    if model.generation < 4:
        raise invalid(f"inputs are not supported for model '{model.name}'")
    mixed = fields.objects(body, "inputs")
    _check_count("inputs", mixed)
    read = [_mixed_input(item, f"inputs[{position}].", model, limits) for position, item in enumerate(mixed)]
    _check_images([image for item in read for image in item.images], model)
    return read


def _check_count(name: str, given: list[Any]) -> None:
    if len(given) > INPUTS_MAX:
        raise invalid(f"total number of {name} must be at most {INPUTS_MAX} - received {len(given)}")


def _check_images(pictures: list[images.Image], model: Model) -> None:
    if model.generation < 4:
        if len(pictures) > 1:
            raise invalid(f"number of images must be at most 1 - received {len(pictures)}")
        if any(len(picture.data) > V3_IMAGE_BYTES_MAX for picture in pictures):
            raise invalid(f"image must be at most {V3_IMAGE_BYTES_MAX} bytes")
    total_bytes = sum(len(picture.data) for picture in pictures)
    if total_bytes > IMAGES_BYTES_MAX:
        raise invalid(f"total size of images must be at most {IMAGES_BYTES_MAX} bytes - received {total_bytes}")


def _text_input(text: str, pictures: list[images.Image], model: Model, limits: tuple[int | None, str | None]) -> _Input:
    max_tokens, truncate = limits
    tokens_max = min(max_tokens or model.context_tokens, model.context_tokens)
    tokens_given = tokens.count(text)
    if tokens_given <= tokens_max:
        return _Input(text, tokens_given, pictures)
    if truncate == "NONE":
        raise invalid(
            f"too many tokens: text has {tokens_given} tokens, the maximum is {tokens_max} tokens."
            " Set truncate to START or END to shorten it."
        )
    return _Input(tokens.truncated(text, tokens_max, keep_end=truncate == "START"), tokens_max, pictures)


def _mixed_input(item: dict[str, Any], place: str, model: Model, limits: tuple[int | None, str | None]) -> _Input:
    parts: list[str] = []
    pictures: list[images.Image] = []
    for position, block in enumerate(fields.objects(item, "content", place)):
        here = f"{place}content[{position}]."
        kind = fields.choice(block, "type", ("text", "image_url"), here)
        if kind == "text":
            parts.append(fields.required_text(block, "text", here))
        else:
            picture = fields.mapping(block, "image_url", here) or {}
            url = fields.required_text(picture, "url", f"{here}image_url.")
            pictures.append(images.decode(url, f"{here}image_url.url"))
    if not parts and not pictures:
        raise invalid(f"{place}content is required and cannot be empty")
    return _text_input("\n".join(parts), pictures, model, limits)


def _billed_units(model: Model, text_tokens: int, pictures: list[images.Image]) -> dict[str, int]:
    image_tokens = sum(image.tokens for image in pictures)
    if model.generation >= 5:
        return {"text_tokens": text_tokens, "image_tokens": image_tokens}
    if model.generation == 4:
        return {"input_tokens": text_tokens, "image_tokens": image_tokens}
    return {"images": len(pictures)} if pictures else {"input_tokens": text_tokens}


def _embeddings(features: list[vectors.Features], dimension: int, types: list[str]) -> dict[str, list[Any]]:
    units = [vectors.unit(vectors.direction(feature, dimension)) for feature in features]
    return {name: [_as_type(unit, name) for unit in units] for name in types}


def _as_type(unit: "array[float]", name: str) -> Any:
    if name == "float":
        return unit.tolist()
    if name == "base64":
        return pybase64.b64encode(little_endian(unit)).decode()
    if name in {"int8", "uint8"}:
        # A value is about 1/sqrt(dimension); 32 steps a standard deviation use the range without much clipping.
        scale = 32 * len(unit) ** 0.5
        shift = 128 if name == "uint8" else 0
        return [max(-128, min(127, round(value * scale))) + shift for value in unit]
    bits = int("".join("1" if value > 0 else "0" for value in unit), 2).to_bytes(len(unit) // 8, "big")
    return list(bits) if name == "ubinary" else [byte - 128 for byte in bits]


def little_endian(unit: "array[float]") -> bytes:
    """The float32 numbers as Cohere's base64 is believed to hold them."""
    if array("H", [1]).tobytes() == b"\x01\x00":
        return unit.tobytes()
    swapped = array("f", unit)
    swapped.byteswap()
    return swapped.tobytes()
