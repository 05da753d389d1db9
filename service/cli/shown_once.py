"""A secret that is shown once: alone on stdout, so that it can go into a file, with all about it on stderr."""

import os
import stat
import sys

from service.cli.printing import show


def show_once(secret: str, about: str) -> None:
    """Shows a secret.

    Args:
        secret: What stdout gets, with its line end.
        about: What stderr gets before, in sentences.
    """
    show(f"{about}\n", sys.stderr)
    if _others_can_read(sys.stdout.fileno()):
        show("Others on this machine can read the file that it goes to: chmod 600 it.\n", sys.stderr)
    show(secret)


def _others_can_read(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
