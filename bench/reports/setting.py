"""Two configs with the same access keys: one for the filled books, one for empty ones."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.reports.history import TEAMS, zone_of
from bench.setting import Setting, let_in, new_key, write_setting
from bench.upstream import Upstream


@dataclass(frozen=True, slots=True)
class ReportSetting:
    """What the servers are started with, and who may ask for reports.

    Attributes:
        full: With the filled books.
        empty: With empty ones.
        access_key: Of an operator.
    """

    full: Setting
    empty: Setting
    access_key: str


def report_setting_in(folder: Path, upstream: Upstream, full_url: str, empty_url: str) -> ReportSetting:
    """Writes the configs into folders of their own, and lets their callers in.

    Args:
        folder: A folder for both.
        upstream: What answers in the place of Cohere.
        full_url: The filled books.
        empty_url: The empty ones.
    """
    first = folder / "full"
    first.mkdir()
    file, keys = write_setting(first, upstream)
    access_key, operator = new_key(TEAMS[0], "operator", ["admin"])
    lines = [
        f'[teams.{team}]\ncohere_key = "file:cohere_key"\nmodels = ["command-a-03-2025"]\nmax_tokens_per_call = 4096\n'
        f'daily_budget_usd = 1_000\ntime_zone = "{zone_of(team).key}"'
        for team in TEAMS
    ]
    shared = file.read_text() + "\n".join(lines)
    second = folder / "empty"
    shutil.copytree(first, second)
    for place, url in ((first, full_url), (second, empty_url)):
        (place / file.name).write_text(f'{shared}\n[books]\ndatabase = "{url}"\n')
        let_in(place / file.name, [operator, *(key for _, key in keys.values())])
    access_keys = {team: each for team, (each, _) in keys.items()}
    return ReportSetting(Setting(file, access_keys), Setting(second / file.name, access_keys), access_key)
