"""`cohort check --keys`: whether Cohere takes each team's key, and what to do where it does not. No key is shown."""

import asyncio
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from yarl import URL

from clients import key_verdict
from clients.errors import SecretMissing, SourceUnavailable
from clients.key_check import KeyChecker
from clients.key_verdict import KeyState, KeyVerdict
from clients.secrets.key_source import Secret
from service.cli.commands import FAILED
from service.cli.read_keys import Found, read_keys
from service.cli.table import table
from service.config import TeamConfig
from service.snapshot import Snapshot

_COLUMNS = ("TEAM", "SOURCE", "PRESENT", "VALID", "ORGANISATION", "MODELS", "KIND", "WHAT TO DO")
_LINE_CHARS = 60


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """What was found out about one team's key.

    Attributes:
        team: Its name.
        source: Where its key lives, by reference.
        present: Whether something was there.
        verdict: What Cohere says.
        models_missing: Models of the team that Cohere does not list for the key.
        shared_with: Other teams with the same key.
    """

    team: str
    source: str
    present: bool
    verdict: KeyVerdict
    models_missing: tuple[str, ...] = ()
    shared_with: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """What does not make the key bad, but some calls fail, or cost otherwise than thought."""
        warnings = []
        if self.shared_with:
            others = ", ".join(self.shared_with)
            warnings.append(f"the key of {others} too: Cohere bills and limits them as one; give each its own")
        if self.models_missing:
            models = ", ".join(self.models_missing)
            warnings.append(f"Cohere does not list {models} for this key: ask for access, or leave it out of `models`")
        return warnings


async def checked_keys(snapshot: Snapshot) -> list[CheckedKey]:
    """Reads every team's key and asks Cohere about it, a few at once.

    Raises:
        ConfigError: A source cannot be made.
    """
    config = snapshot.loaded.config
    teams = sorted(config.teams)
    found = await read_keys(snapshot.loaded)
    checker = KeyChecker()
    try:
        verdicts = await asyncio.gather(
            *(_verdict(checker, found[team], snapshot.clients[team].base_url) for team in teams)
        )
    finally:
        checker.close()
    return [
        CheckedKey(
            team,
            config.teams[team].cohere_key,
            isinstance(found[team], Secret),
            verdict,
            _models_missing(config.teams[team], verdict),
            _sharing(team, found),
        )
        for team, verdict in zip(teams, verdicts, strict=True)
    ]


def keys_table(keys: Sequence[CheckedKey]) -> str:
    """A line for each team; more where there is more to do."""
    rows = [
        (
            [key.team],
            [key.source],
            ["yes" if key.present else "no"],
            [_valid(key.verdict)],
            [key.verdict.organization_id or "-"],
            _models(key.verdict),
            [_kind(key.verdict)],
            [line for text in _to_do(key) for line in textwrap.wrap(text, _LINE_CHARS)] or ["-"],
        )
        for key in keys
    ]
    return table(_COLUMNS, rows)


def keys_json(keys: Sequence[CheckedKey]) -> str:
    """The same as JSON, a team a line."""
    return "".join(
        orjson.dumps(
            {
                "team": key.team,
                "source": key.source,
                "present": key.present,
                "state": key.verdict.state,
                "cause": key.verdict.cause,
                "message": key.verdict.message,
                "advice": key.verdict.advice,
                "organization_id": key.verdict.organization_id,
                "owner_id": key.verdict.owner_id,
                "models": None if key.verdict.models is None else dict(key.verdict.models),
                "models_missing": key.models_missing,
                "trial": key.verdict.trial,
                "shared_with": key.shared_with,
            },
            option=orjson.OPT_APPEND_NEWLINE,
        ).decode()
        for key in keys
    )


def show_keys(snapshot: Snapshot, *, as_json: bool) -> int:
    """Checks and shows every team's key; the exit code is that of success only if every one is good."""
    keys = asyncio.run(checked_keys(snapshot))
    sys.stdout.write(keys_json(keys) if as_json else f"{keys_table(keys)}\n")
    sys.stdout.flush()
    for key in keys:
        for warning in key.warnings:
            print(f"warning: teams.{key.team}: {warning}", file=sys.stderr)
    return 0 if all(key.verdict.state is KeyState.GOOD for key in keys) else FAILED


async def _verdict(checker: KeyChecker, found: Found, base_url: URL) -> KeyVerdict:
    match found:
        case Secret():
            return await checker.check(found, base_url)
        case SecretMissing():
            return key_verdict.not_set(str(found))
        case SourceUnavailable():
            return key_verdict.not_asked(str(found), "see whether the source can be reached and read from here")


def _models_missing(team: TeamConfig, verdict: KeyVerdict) -> tuple[str, ...]:
    if verdict.models is None:
        return ()
    listed = {name for endpoint in team.endpoints for name in verdict.models.get(endpoint, ())}
    return tuple(sorted(team.models - listed))


def _sharing(team: str, found: Mapping[str, Found]) -> tuple[str, ...]:
    own = found[team]
    if not isinstance(own, Secret):
        return ()
    others = ((name, other) for name, other in found.items() if name != team and isinstance(other, Secret))
    return tuple(name for name, other in others if other.reveal() == own.reveal())


def _valid(verdict: KeyVerdict) -> str:
    match verdict.state:
        case KeyState.GOOD:
            return "yes"
        case KeyState.REFUSED:
            return f"no: {(verdict.cause or '').replace('_', ' ')}"
        case KeyState.UNKNOWN:
            return "not known"


def _models(verdict: KeyVerdict) -> list[str]:
    if verdict.models is None:
        return ["-"]
    return [f"{endpoint} {len(names)}" for endpoint, names in sorted(verdict.models.items())]


def _kind(verdict: KeyVerdict) -> str:
    if verdict.trial is None:
        return "-"
    return "trial" if verdict.trial else "production"


def _to_do(key: CheckedKey) -> list[str]:
    verdict = key.verdict
    refused = [] if verdict.state is KeyState.GOOD else [f"{verdict.message}: {verdict.advice}"]
    trial = ["a trial key: 1,000 calls a month; make a production key for real work"] if verdict.trial else []
    return [*refused, *trial, *key.warnings]
