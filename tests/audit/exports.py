"""Exports of made books, as lines, to do something to and to verify."""

import hashlib

import orjson

from service.books.export import SECTIONS, signed_hash
from service.books.sections import ALL, Window
from service.books.signing import SigningKey
from service.books.verification.findings import Finding
from tests.audit.made import Made
from tests.audit.scene import Scene, in_a_scene

Lines = list[bytes]


def of_type(lines: Lines, name: str) -> list[int]:
    """The places of the lines of a type."""
    return [place for place, line in enumerate(lines) if orjson.loads(line)["type"] == name]


def again(lines: Lines, key: SigningKey | None = None) -> Lines:
    """The lines with a manifest that fits them, by somebody who has no key, or another one."""
    *kept, last = lines
    digest = hashlib.sha256(b"".join(kept)).digest()
    manifest = {name: value for name, value in orjson.loads(last).items() if name not in {"key", "signature"}}
    manifest |= {"lines": counts(kept), "sha256": digest.hex()}
    if key is not None:
        manifest |= {"key": key.public.key_id, "signature": key.sign(signed_hash(digest)).hex()}
    return [*kept, orjson.dumps(manifest) + b"\n"]


def counts(lines: Lines) -> dict[str, int]:
    """What a manifest says of them."""
    names = [name for line in lines for name in SECTIONS if line.startswith(b'{"type":"%b"' % name.encode())]
    return {name: names.count(name) for name in dict.fromkeys(names)}


async def exported(made: Made, window: Window = ALL) -> Lines:
    return await in_a_scene(made, lambda scene: scene.exported(window))


async def verified(made: Made, lines: Lines, **options: bool) -> tuple[int, list[Finding], list[str]]:
    async def verify(scene: Scene) -> tuple[int, list[Finding], list[str]]:
        report, findings = scene.verified_export(lines, **options)
        return report.exit_code, findings, report.unchecked

    return await in_a_scene(made, verify)
