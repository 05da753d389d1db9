"""`cohort service-accounts list`: which service accounts there are, and when each was last used."""

import argparse

from cohort.v1.service_account_pb2 import ListServiceAccountsRequest, ServiceAccount
from service.cli import calling
from service.cli.printing import show
from service.cli.requests import as_json_line
from service.cli.table import table
from service.cli.times import told

PAGE_ACCOUNTS = 1_000

_COLUMNS = ("TEAM", "NAME", "ID", "STATE", "SCOPES", "MODELS", "OUTPUT TOKENS", "KEY", "LAST USED", "MADE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--team", default="", help="only this team's (default: all)")
    parser.add_argument("--json", action="store_true", help="print each ServiceAccount as JSON, one a line")
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with calling.caller(arguments) as caller:
        accounts = _all(caller, arguments.team)
    if arguments.json:
        show("".join(f"{as_json_line(account)}\n" for account in accounts))
    else:
        show(f"{table(_COLUMNS, map(_row, accounts), right=('OUTPUT TOKENS',))}\n")
    return 0


def _all(caller: calling.Caller, team: str) -> list[ServiceAccount]:
    request = ListServiceAccountsRequest(team=team, page_size=PAGE_ACCOUNTS)
    accounts: list[ServiceAccount] = []
    while True:
        page = caller.call(caller.admin.ListServiceAccounts, request)
        accounts.extend(page.service_accounts)
        if not page.next_page_token:
            return accounts
        request.page_token = page.next_page_token


def _row(account: ServiceAccount) -> list[list[str]]:
    revoked = account.HasField("revoke_time")
    return [
        [account.team],
        [account.name],
        [account.id],
        [f"revoked {told(account.revoke_time)}" if revoked else "active"],
        [*account.scopes],
        [*account.models] or ["the team's"],
        [f"{account.max_tokens_per_call:,}" if account.HasField("max_tokens_per_call") else "the team's"],
        [account.algorithm],
        [account.last_used_day or "never"],
        [told(account.create_time), f"by {account.created_by}"],
    ]
