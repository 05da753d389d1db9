"""Images given as data URIs: their bytes, size and format, read from the file's header."""

import binascii
import math
import re
import struct
from dataclasses import dataclass

import pybase64

from clients.sandbox.errors import invalid

_DATA_URI = re.compile(r"data:image/([a-z+.-]{1,16});base64,")
_TILE_PIXELS = 512
LOW_DETAIL_TOKENS = 256
_COLUMNS_MAX, _ROWS_MAX = 3, 4  # 1536 x 2048 pixels
_FRAME_HEADERS = {bytes([0xFF, marker]) for marker in range(0xC0, 0xD0) if marker not in {0xC4, 0xC8, 0xCC}}


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded image; width and height in pixels."""

    data: bytes
    width: int
    height: int
    format: str
    bit_depth: int

    @property
    def tokens(self) -> int:
        """What it counts: 256 tokens a tile of 512 x 512 pixels, and 256 for the preview; larger is scaled down."""
        columns = min(math.ceil(self.width / _TILE_PIXELS), _COLUMNS_MAX)
        rows = min(math.ceil(self.height / _TILE_PIXELS), _ROWS_MAX)
        return (columns * rows + 1) * LOW_DETAIL_TOKENS

    def described(self) -> dict[str, str | int]:
        """What an answer tells of it."""
        return {"width": self.width, "height": self.height, "format": self.format, "bit_depth": self.bit_depth}


def decode(uri: str, place: str) -> Image:
    """The image in a data URI.

    Raises:
        CohereError: 400 if it is no data URI of base64, or no PNG, JPEG, GIF or WebP.
    """
    match = _DATA_URI.match(uri)
    if match is None:
        raise invalid(f"{place} must be a data URI such as data:image/png;base64,...")
    try:
        data = pybase64.b64decode(uri[match.end() :], validate=True)
    except binascii.Error as error:
        raise invalid(f"{place} is not valid base64") from error
    return _read(data, place)


def _read(data: bytes, place: str) -> Image:
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height, depth = struct.unpack_from(">IIB", data, 16)
            return Image(data, width, height, "png", depth)
        if data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
            return Image(data, width, height, "gif", 8)
        if data.startswith(b"\xff\xd8\xff"):
            width, height, depth = _jpeg_size(data)
            return Image(data, width, height, "jpeg", depth)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
            return Image(data, width, height, "webp", 8)
    except (struct.error, IndexError) as error:
        raise invalid(f"{place} holds a broken image") from error
    raise invalid(f"{place} is not a supported image, valid formats are png, jpeg, webp and gif")


def _jpeg_size(data: bytes) -> tuple[int, int, int]:
    position = 2
    while data[position : position + 2] not in _FRAME_HEADERS:
        (segment_bytes,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + segment_bytes
    depth, height, width = struct.unpack_from(">BHH", data, position + 4)
    return width, height, depth


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
