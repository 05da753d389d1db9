"""Making an access key, and the lines of the config that let it in."""

import datetime
import json
from dataclasses import dataclass

from pydantic import ValidationError

from clients.errors import SecretMissing
from service.config import AccessKeyConfig, ConfigError, LoadedConfig
from service.identity import access_keys


@dataclass(frozen=True, slots=True, repr=False)
class CreatedKey:
    """An access key and what is kept of it. The key itself is shown once and stored nowhere."""

    access_key: str
    record: AccessKeyConfig

    def toml(self) -> str:
        """The record as lines for the config file."""
        record = self.record
        return "\n".join(
            (
                "[[access_keys]]",
                f'id = "{record.id}"',
                f'hash = "{record.hash}"',
                f'team = "{record.team}"',
                f'name = "{record.name}"',
                f"scopes = {json.dumps(sorted(record.scopes))}",
                f"expires_at = {record.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        )


def created(
    loaded: LoadedConfig, *, team: str, name: str, scopes: list[str], expires_at: datetime.datetime
) -> CreatedKey:
    """Makes an access key under the newest pepper of a config.

    Args:
        loaded: The config that is to let the key in.
        team: Who pays; a team of the config.
        name: Who calls, within the team.
        scopes: What the key may do.
        expires_at: When it stops to be accepted, UTC.

    Raises:
        ConfigError: With every reason why there cannot be such a key.
    """
    problems = [] if team in loaded.config.teams else [f"--team: no team of the config is named {team}"]
    if not loaded.config.peppers:
        raise ConfigError([*problems, "peppers: the config names none, so no access key can be checked"])
    version = max(loaded.config.peppers, key=int)
    key_id, access_key = access_keys.create(loaded.config.environment)
    try:
        pepper = loaded.secret(loaded.config.peppers[version]).read().encode()
        record = AccessKeyConfig.model_validate(
            {
                "id": key_id,
                "hash": f"{version}:{access_keys.digest_of(access_key, pepper).hex()}",
                "team": team,
                "name": name,
                "scopes": scopes,
                "expires_at": expires_at,
            }
        )
    except SecretMissing as missing:
        problems.append(f"peppers.{version}: {missing}")
    except ValidationError as error:
        problems += [
            f"--{finding['loc'][0]}: {finding['msg'].removeprefix('Value error, ')}" for finding in error.errors()
        ]
    else:
        if not problems:
            return CreatedKey(access_key, record)
    raise ConfigError(problems)
