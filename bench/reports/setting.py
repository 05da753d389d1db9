"""Two configs with the same access keys: one for the filled books, one for empty ones."""

import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.reports.history import TEAMS, zone_of
from bench.setting import Setting, setting_in
from bench.upstream import Upstream
from service.identity import access_keys


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
    """Writes the configs into folders of their own.

    Args:
        folder: A folder for both.
        upstream: What answers in the place of Cohere.
        full_url: The filled books.
        empty_url: The empty ones.
    """
    first = folder / "full"
    first.mkdir()
    setting = setting_in(first, upstream)
    key_id, access_key = access_keys.create("bench")
    digest = access_keys.digest_of(access_key, (first / "pepper").read_bytes()).hex()
    expires_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    lines = [
        f'[teams.{team}]\ncohere_key = "file:cohere_key"\nmodels = ["command-a-03-2025"]\nmax_tokens_per_call = 4096\n'
        f'daily_budget_usd = 1_000\ntime_zone = "{zone_of(team).key}"'
        for team in TEAMS
    ]
    lines.append(
        f'[[access_keys]]\nid = "{key_id}"\nhash = "1:{digest}"\nteam = "{TEAMS[0]}"\nname = "operator"\n'
        f'scopes = ["admin"]\nexpires_at = {expires_at.isoformat()}'
    )
    shared = setting.config.read_text() + "\n".join(lines)
    second = folder / "empty"
    shutil.copytree(first, second)
    for place, url in ((first, full_url), (second, empty_url)):
        (place / setting.config.name).write_text(f'{shared}\n[books]\ndatabase = "{url}"\n')
    empty = Setting(second / setting.config.name, setting.access_keys)
    return ReportSetting(setting, empty, access_key)
