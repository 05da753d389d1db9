"""The form and the size of images. Nothing is ever fetched: a URL is Cohere's to follow."""

import binascii
import re

from pybase64 import b64decode

from service.validation.rules import Rule
from service.validation.violation import Findings, ViolationReason

IMAGES_BYTES_MAX = 20 * 1024 * 1024
"""Cohere's 20 MB for all images of a request, in the larger reading; behind a URL the size is unknown."""

WEB_URL_CHARS_MAX = 8_192

_DATA_URI_HEAD = re.compile(r"data:image/[\w.+-]{1,64}(?:;[\w.+=-]{1,64}){0,4};base64,", re.ASCII | re.IGNORECASE)
_WEB_URL = re.compile(r"https://[^\s/?#]+(?:[/?#]\S*)?", re.IGNORECASE)


def image_url(*, web: bool) -> Rule:
    """The URL of an image: a data URI or, if *web*, an https URL. Counts the image and its bytes."""
    forms = "an image as a data URI in base64"
    if web:
        forms = f"{forms} or an https URL of {WEB_URL_CHARS_MAX} characters"

    def rule(findings: Findings, field: str, value: str) -> None:
        findings.images += 1
        if not value:
            findings.add(field, ViolationReason.REQUIRED, f"must be {forms}")
        elif head := _DATA_URI_HEAD.match(value):
            _data(findings, field, value[head.end() :])
        elif not (web and _is_web_url(value)):
            findings.add(field, ViolationReason.INVALID_URL, f"must be {forms}; has {len(value)} characters")

    return rule


def check_images_bytes(findings: Findings, field: str) -> None:
    """Checks the size of all images met, which stand in *field*."""
    if findings.images_bytes > IMAGES_BYTES_MAX:
        bounds = f"may hold images of at most {IMAGES_BYTES_MAX} bytes in all, decoded"
        findings.add(field, ViolationReason.TOO_LARGE, f"{bounds}; holds {findings.images_bytes}")


def _data(findings: Findings, field: str, payload: str) -> None:
    # pybase64 decodes 20 MiB in about 1 ms; a regular expression takes 20 times as long to look at it.
    try:
        image = b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        image = b""
    findings.images_bytes += len(image)
    if not image:
        bounds = "must hold an image as base64 after the comma"
        findings.add(field, ViolationReason.INVALID_URL, f"{bounds}; holds {len(payload)} characters")


def _is_web_url(value: str) -> bool:
    return len(value) <= WEB_URL_CHARS_MAX and value.isprintable() and _WEB_URL.fullmatch(value) is not None
