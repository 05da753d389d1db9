"""`cohort audit`: the audit trail, read, searched, exported and verified."""

import argparse

from service.cli.commands import Command, add_commands

COMMANDS = (
    Command("list", "service.cli.audit_list", "List records, oldest first."),
    Command("tail", "service.cli.audit_tail", "Show the newest records, and those to come."),
    Command("hash", "service.cli.audit_hash", "Compute what stands in the records for content, to search for it."),
    Command("verify", "service.cli.audit_verify", "Check that nothing in the books was changed, added or removed."),
    Command("export", "service.cli.audit_export", "Write the books, or a part, as lines of JSON to verify elsewhere."),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands."""
    add_commands(parser, COMMANDS)
