"""The `cohort` command: each command is a module with a function that calls the domain."""

from service.cli.main import main

__all__ = ["main"]
