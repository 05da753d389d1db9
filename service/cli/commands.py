"""How commands are found: a command is a module with `configure(parser)`, imported when it is asked for.

So `cohort call` needs nothing of the server, and starts in half the time.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

FAILED, NOT_STARTED, INTERRUPTED = 1, 2, 130
"""Exit codes: the work failed; it could not begin as it was asked for; Ctrl-C ended it. 0 is success."""


class CommandFailed(Exception):
    """A command that ends with words for people on stderr, without a traceback."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Command(NamedTuple):
    """One command of the command line, not imported yet."""

    name: str
    module: str
    """Has `configure(parser)`, which adds the command's arguments and sets `run`, or adds commands of its own.
    `run(arguments)` does the work and returns the exit code."""
    summary: str


class CommandParser(argparse.ArgumentParser):
    """A parser of long flags only, written out in full.

    Args:
        prog: What the command is called with.
        description: What it does.
        module: Configures it at the first use, or None if that is done.
    """

    def __init__(self, prog: str, description: str, module: str | None = None, **options: Any) -> None:
        super().__init__(prog=prog, description=description, add_help=False, allow_abbrev=False, **options)
        self.add_argument("--help", action="help", help="show this and exit")
        self._module = module
        self.first_words: frozenset[str] = frozenset()
        """Commands of a command that does something itself, too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`."""
        if self._module is not None:
            importlib.import_module(self._module).configure(self)
            self._module = None
        # argparse takes such a command at any place, and forgets the values of options before it.
        if args is not None and (late := self.first_words.intersection(args[1:])) and args[0] not in self.first_words:
            self.error(f"{', '.join(late)} comes before every option")
        return super().parse_known_args(args, namespace)


def add_commands(parser: argparse.ArgumentParser, commands: Sequence[Command], *, optional: bool = False) -> None:
    """Lets *parser* take one of *commands*; if they are *optional*, as its first word, or do without one."""
    choices = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=not optional, parser_class=CommandParser, prog=parser.prog
    )
    if optional and isinstance(parser, CommandParser):
        parser.first_words = frozenset(command.name for command in commands)
    for command in commands:
        choices.add_parser(command.name, help=command.summary, description=command.summary, module=command.module)
