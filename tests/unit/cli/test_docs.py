"""The docs are held to what they describe: every setting, reason, metric and limit, and every link."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from clients.codec import json_text
from cohort.v1.error_reason_pb2 import ErrorReason
from service import attempt_ends, attempts, call, codes, config, errors, transport_options
from service.cli import call as call_command
from service.cli import keys as keys_command
from service.cli.main import COMMANDS
from service.config import Config, ServerConfig
from service.status import reason_name
from service.telemetry.metrics import Metrics
from service.validation import VIOLATIONS_MAX

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(page: str) -> list[list[str]]:
    """The cells of every row of every table, headings and rules left out."""
    found = []
    previous = ""
    for line in page.splitlines():
        if line.startswith("|") and previous.startswith("|") and not set(line) <= set("|- "):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
        previous = line
    return found


# Errors


def reasons() -> list[str]:
    return [reason_name(value) for value in ErrorReason.values() if value]


def code_of(reason: str) -> str:
    value = ErrorReason.Value(f"ERROR_REASON_{reason}")
    if value in codes.CODE_OF_REASON:
        return codes.CODE_OF_REASON[value].name
    own = [kind for kind in errors.CohortError.__subclasses__() if getattr(kind, "reason", None) == value]
    return own[0].code.name


def documented_reasons() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in rows(text("errors.md")) if row[0].strip("`") in reasons()}


def test_every_reason_has_its_line_in_the_order_of_the_contract() -> None:
    assert list(documented_reasons()) == reasons()


@pytest.mark.parametrize("reason", reasons())
def test_the_line_of_a_reason_names_the_code_that_is_sent(reason: str) -> None:
    code, *said = documented_reasons()[reason]

    assert code == code_of(reason)
    assert all(said)


# Configuration


NAMED = {
    "identity.issuers": "NAME",
    "identity.trust_domains": "NAME",
    "identity.spiffe_ids": "ID",
    "teams": "NAME",
    "peppers": "VERSION",
    "secrets.held.keks": "VERSION",
}
"""What the operator names."""


def settings(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting as (path, default)."""
    for name, field in model.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if is_section(each)]
        place = f"{path}{name}"
        if place in NAMED:
            place = f"{place}.{NAMED[place]}"
        if inner:
            yield from settings(inner[0], f"{place}.")
        elif field.is_required() or place.endswith(".VERSION"):
            yield place, ...
        else:
            yield place, field.get_default(call_default_factory=True)


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


SETTINGS = list(settings(Config))


def documented_settings() -> dict[str, list[str]]:
    paths = [path for path, _ in SETTINGS]
    return {row[0].strip("`"): row[1:] for row in rows(text("configuration.md")) if len(row) == 4 or row[0] in paths}


def test_every_setting_has_its_line_in_the_order_of_the_config() -> None:
    assert list(documented_settings()) == [path for path, _ in SETTINGS]


@pytest.mark.parametrize(("path", "default"), SETTINGS, ids=[path for path, _ in SETTINGS])
def test_the_line_of_a_setting_names_its_default(path: str, default: Any) -> None:
    said, meaning, change = documented_settings()[path]

    assert meaning
    assert change in {"reload", "restart"}
    if default is ...:
        assert said == ""
    elif default is None:
        assert said in {
            "none", "as `cohere.base_url`", "as `cohere.pacing.key_kind`", "as `identity.audience`", "as its `auth`",
            "the highest",
        }  # fmt: skip
    else:
        value = tomllib.loads(f"value = {said.strip('`')}")["value"]
        assert (frozenset(value) if isinstance(value, list) else value) == (
            str(default) if isinstance(default, Path) else default
        )


WHERE_COHERE_IS = {"cohere.base_url", "cohere.vaults", "cohere.sandbox"}


def test_what_a_reload_refuses_is_what_needs_a_restart() -> None:
    needs_restart = {path for path, (_, _, change) in documented_settings().items() if change == "restart"}
    fixed = (
        "server.",
        "metrics.",
        "tracing.",
        "cohere.",
        "books.database",
        "books.ballast_mib",
        "books.strict",
        "audit.",
        "secrets.",
    )

    assert needs_restart == {
        path for path, _ in SETTINGS if path.startswith(fixed) and not path.startswith("cohere.pacing.")
    } - {"server.in_flight_max", *WHERE_COHERE_IS}


def test_the_example_is_a_config_that_loads() -> None:
    loaded = config.load(ROOT / "cohort.example.toml", {})

    assert len(loaded.config.teams) == 2


def test_the_configs_default_place_is_the_documented_one() -> None:
    assert str(config.config_file({})) in text("configuration.md")


# Metrics and limits


def exported() -> dict[str, tuple[str, str]]:
    """Name as Prometheus sees it → (type, labels)."""
    found = {}
    for collector in Metrics().registry._collector_to_names:
        (metric,) = collector.collect()
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # type: ignore[attr-defined]
        found[name] = (metric.type, labels)
    return found


def test_every_metric_has_its_line_with_type_and_labels() -> None:
    documented = {
        row[0].strip("`"): (row[1], row[2]) for row in rows(text("operating.md")) if row[0].startswith("`cohort_")
    }

    assert documented == exported()


def test_the_limits_are_those_in_force() -> None:
    server, cohere = ServerConfig(), config.CohereConfig()
    limits = {row[0]: row[1] for row in rows(text("operating.md")) if len(row) == 3}

    assert limits["request message"] == f"{server.message_bytes_max // 2**20} MiB"
    assert limits["request metadata"] == f"{transport_options.METADATA_BYTES_MAX // 2**10} KiB"
    assert limits["streams on one connection"] == f"{transport_options.STREAMS_PER_CONNECTION_MAX}"
    assert limits["TLS and HTTP/2 handshake"] == f"{transport_options.HANDSHAKE_TIMEOUT_MS // 1000} s"
    assert limits["time to send the message after the headers"] == f"{server.body_timeout_seconds:g} s"
    assert limits["deadline of a call"] == (
        f"{transport_options.UNARY_DEADLINE_DEFAULT_S:g} s if it sets none, "
        f"at most {transport_options.UNARY_DEADLINE_MAX_S:g} s"
    )
    stream_s = f"{transport_options.STREAM_DEADLINE_MAX_S:g} s"
    assert limits["deadline of a ChatStream"] == f"{stream_s} if it sets none, at most {stream_s}"
    assert limits["age of a connection"].startswith(f"{transport_options.CONNECTION_AGE_MS_MAX // 3_600_000} h, ")
    assert limits["pings of a caller"] == f"one each {transport_options.PING_INTERVAL_MS_MIN // 1000} s"
    assert limits["attempts of a call"] == f"{attempts.ATTEMPTS_MAX}"
    assert limits["wait that a 429 may ask for and still be retried"] == f"{attempt_ends.RETRY_AFTER_MAX_S:g} s"
    assert limits["requests to Cohere at once"] == f"{cohere.connections_max}"
    assert limits["silence of Cohere"] == f"{cohere.silence_timeout_seconds:g} s"
    assert limits["answer of Cohere, whole stream"] == f"{cohere.answer_bytes_max // 2**20} MiB"
    assert limits["violations in one refusal"] == f"{VIOLATIONS_MAX}"
    assert limits["nesting of a request's free-form JSON"] == f"{json_text.DEPTH_MAX}"


def test_the_life_of_a_call_names_the_deadlines_in_force() -> None:
    page = text("life-of-a-call.md")

    assert f"gets {transport_options.UNARY_DEADLINE_DEFAULT_S:g} s (ChatStream " in page
    assert f"leaves {ServerConfig().deadline_margin_ms} ms before" in page
    assert f"less than {call.ATTEMPT_TIME_MIN_MS} ms left no attempt begins" in page
    assert f"repeated, at most {('zero', 'once', 'twice')[attempts.ATTEMPTS_MAX - 1]} and" in page


# Links and commands


def links() -> list[tuple[Path, str]]:
    return [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_every_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    linked = page.parent / path if path else page

    assert linked.exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_command_of_the_docs_exists() -> None:
    commands = {command.name for command in (*COMMANDS, *call_command.COMMANDS, *keys_command.COMMANDS)}
    used = {
        word
        for page in PAGES
        for line in re.findall(r"(?:\$ |`|bin/)cohort ([a-z-]+(?: [a-z]+)?)", page.read_text(encoding="utf-8"))
        for word in line.split()[: 2 if line.startswith(("keys", "call")) else 1]
    }

    assert {"serve", "check", "create", "chat"} <= used
    assert used <= commands


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [page.name for page in DOCS.glob("*.md") if f"(docs/{page.name})" not in readme] == []


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 60
