"""`cohort --version`, looked up only when it is asked for."""

import argparse
import importlib.metadata
import tomllib
from pathlib import Path


def version() -> str:
    """The version of this installation; of the checkout, where the service runs from one."""
    try:
        return importlib.metadata.version("cohort")
    except importlib.metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


class PrintVersion(argparse.Action):
    """Prints the version and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        """See `argparse.Action`."""
        print(f"cohort {version()}")
        parser.exit()
