"""`cohort keys create`: makes an access key and prints it, this once, with its lines for the config."""

import argparse
import datetime

from service import config
from service.cli.access_key import created
from service.cli.configs import add_config, problems_told
from service.config import ACCESS_KEY_LIFETIME_MAX


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--team", required=True, help="who pays")
    parser.add_argument("--name", required=True, help="who calls, within the team; stands in the log")
    parser.add_argument("--scopes", required=True, help="what it may do, e.g. chat,embed,rerank")
    parser.add_argument(
        "--expires-in-days",
        type=_days,
        default=ACCESS_KEY_LIFETIME_MAX.days,
        metavar="DAYS",
        help="1 to 365 (default: 365)",
    )
    add_config(parser)
    parser.set_defaults(run=_run)


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= ACCESS_KEY_LIFETIME_MAX.days:
        raise argparse.ArgumentTypeError(f"an access key lives 1 to {ACCESS_KEY_LIFETIME_MAX.days} days")
    return days


def _run(arguments: argparse.Namespace) -> int:
    with problems_told():
        made = created(
            config.load(arguments.config),
            team=arguments.team,
            name=arguments.name,
            scopes=[scope.strip() for scope in arguments.scopes.split(",")],
            expires_at=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=arguments.expires_in_days),
        )
    print(f"# The access key, shown this once and stored nowhere; give it to the caller:\n#\n#   {made.access_key}\n#")
    print(f"# What lets it in; append these lines to {arguments.config}:\n")
    print(made.toml())
    return 0
