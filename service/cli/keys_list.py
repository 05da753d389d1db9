"""`cohort keys list`: which access keys there are, how they stand, and when each was last used."""

import argparse

from cohort.v1.access_key_pb2 import AccessKey, AccessKeyState, ListAccessKeysRequest
from service.cli import calling
from service.cli.keys_table import STATES, keys_table
from service.cli.printing import show
from service.cli.requests import as_json_line

PAGE_KEYS = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--team", default="", help="only this team's (default: all)")
    parser.add_argument("--state", choices=STATES, help="only those in this state (default: all)")
    parser.add_argument("--json", action="store_true", help="print each AccessKey as JSON, one a line")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    state = STATES[arguments.state] if arguments.state else AccessKeyState.ACCESS_KEY_STATE_UNSPECIFIED
    with calling.caller(arguments) as caller:
        keys = _all(caller, ListAccessKeysRequest(team=arguments.team, state=state, page_size=PAGE_KEYS))
    if arguments.json:
        show("".join(f"{as_json_line(key)}\n" for key in keys))
    else:
        show(f"{keys_table(keys)}\n")
    return 0


def _all(caller: calling.Caller, request: ListAccessKeysRequest) -> list[AccessKey]:
    keys: list[AccessKey] = []
    while True:
        page = caller.call(caller.admin.ListAccessKeys, request)
        keys.extend(page.access_keys)
        if not page.next_page_token:
            return keys
        request.page_token = page.next_page_token
