"""What the .proto files say is complete, and the samples of the error reasons are what the service would send."""

import json
import re
from pathlib import Path

import pytest

from cohort.v1.error_reason_pb2 import ErrorReason
from service.codes import CODE_OF_REASON
from service.errors import CohortError
from service.identity.scopes import SCOPES_OF_RPC

PROTOS = Path(__file__).resolve().parents[2] / "protos" / "cohort" / "v1"
PREFIX = "ERROR_REASON_"

ELEMENT = re.compile(r"(?P<comment>(?: *//.*\n)+) *(?P<rest>[^/\n]+) = \d+;")
RPC = re.compile(r"(?P<comment>(?: *//.*\n)+) *rpc (?P<rest>\w+)")
MARK = re.compile(r"(Required|Optional|Output only)\. ")
THIRD_PERSON = re.compile(r"[A-Z][a-z]+s ")


def commented(name: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Returns (declaration, comment as one line) of each element of a file."""
    text = (PROTOS / name).read_text(encoding="utf-8")
    found = [(match["rest"], match["comment"]) for match in pattern.finditer(text)]
    return [(rest, re.sub(r"\s*//", "", comment).strip()) for rest, comment in found]


def reason_comments() -> dict[str, str]:
    return {rest.removeprefix(PREFIX): comment for rest, comment in commented("error_reason.proto", ELEMENT)}


REASONS = [name.removeprefix(PREFIX) for name, number in ErrorReason.items() if number]


@pytest.mark.parametrize(
    "name",
    ["audit.proto", "budget.proto", "chat.proto", "embed.proto", "get_usage.proto", "rerank.proto", "usage.proto"],
)
def test_every_field_says_who_sets_it(name: str) -> None:
    fields = [(declaration, comment) for declaration, comment in commented(name, ELEMENT) if not declaration.isupper()]

    assert [declaration for declaration, comment in fields if not MARK.match(comment)] == []


@pytest.mark.parametrize("name", sorted(path.name for path in PROTOS.glob("*.proto")))
def test_every_file_says_what_it_is_before_anything_else(name: str) -> None:
    assert (PROTOS / name).read_text(encoding="utf-8").startswith("// ")


@pytest.mark.parametrize("service", ["GatewayService", "AdminService"])
def test_every_rpc_begins_with_a_verb_and_names_its_scopes(service: str) -> None:
    comments = dict(
        commented({"GatewayService": "gateway_service.proto", "AdminService": "admin_service.proto"}[service], RPC)
    )
    named = {
        f"/cohort.v1.{service}/{rpc}": tuple(re.findall(r"`([a-z:]+)`", comment.partition("Scope: ")[2]))
        for rpc, comment in comments.items()
    }

    assert [rpc for rpc, comment in comments.items() if not THIRD_PERSON.match(comment)] == []
    assert named == {rpc: scopes for rpc, scopes in SCOPES_OF_RPC.items() if f".{service}/" in rpc}


def codes_of_service() -> dict[str, str]:
    """Returns the gRPC code that the service gives to each reason."""
    own = [kind for kind in CohortError.__subclasses__() if "reason" in vars(kind)]
    pairs = [*CODE_OF_REASON.items(), *((kind.reason, kind.code) for kind in own)]
    return {ErrorReason.Name(reason).removeprefix(PREFIX): code.name for reason, code in pairs}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_names_its_code_and_what_to_do_and_shows_a_sample(reason: str) -> None:
    match = re.fullmatch(r".+? +Code: ([A-Z_]+)\. Do: .+ Sample: (\{.*\})", reason_comments()[reason])
    assert match is not None
    code, sample = match[1], json.loads(match[2])

    assert code == codes_of_service()[reason]
    assert (sample["reason"], sample["domain"]) == (reason, "cohort")
    assert all(isinstance(value, str) for value in sample.get("metadata", {}).values())
