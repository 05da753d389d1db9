"""What a new credential is for: the arguments that say whose it is and what it may do."""

import argparse
import datetime
import uuid

from google.protobuf.timestamp_pb2 import Timestamp

from service.cli.times import UTC, timestamp, written

DAYS_MAX = 365


def add_grant(parser: argparse.ArgumentParser, scopes_help: str) -> None:
    """Adds whose a credential is and what it may do."""
    parser.add_argument("--team", required=True, help="who pays, as the config names it")
    parser.add_argument("--name", required=True, help="who calls, within the team; stands in the audit trail")
    parser.add_argument("--scopes", required=True, type=words, help=scopes_help)
    parser.add_argument(
        "--models", type=words, default=[], metavar="MODELS", help="the only models it may use (default: the team's)"
    )
    parser.add_argument(
        "--max-tokens-per-call", type=int, metavar="N", help="its own cap of output tokens (default: the team's)"
    )


def add_end(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds when an access key ends; *default* says when it does if nothing is said."""
    end = parser.add_mutually_exclusive_group()
    end.add_argument(
        "--expires-in-days", type=_days, metavar="DAYS", help=f"1 to {DAYS_MAX} days from now (default: {default})"
    )
    end.add_argument(
        "--expires",
        type=written,
        metavar="TIME",
        help="from this day or time on, in UTC unless it names another zone, such as 2027-06-30",
    )


def add_request_id(parser: argparse.ArgumentParser) -> None:
    """Adds what an access key's request is called."""
    parser.add_argument(
        "--request-id", metavar="ID", help="names the request, so that it makes one key only (default: a fresh name)"
    )


def request_id_of(arguments: argparse.Namespace) -> str:
    """What the request is called."""
    return arguments.request_id or str(uuid.uuid4())


def end_of(arguments: argparse.Namespace, days_default: int | None = None) -> Timestamp | None:
    """When an access key is to end as the arguments of `add_end` say; None if they say nothing."""
    if arguments.expires is not None:
        return timestamp(arguments.expires, UTC)
    days = arguments.expires_in_days or days_default
    if days is None:
        return None
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)  # so that people can write the end once more
    return timestamp(now + datetime.timedelta(days=days), UTC)


def words(text: str) -> list[str]:
    """An argument that is a list of words, separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= DAYS_MAX:
        raise argparse.ArgumentTypeError(f"an access key lives 1 to {DAYS_MAX} days")
    return days
