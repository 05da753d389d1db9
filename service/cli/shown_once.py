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
    if not close_to_others(sys.stdout.fileno()):
        show("Others on this machine can read the file that it goes to: chmod 600 it.\n", sys.stderr)
    show(secret)


def close_to_others(descriptor: int) -> bool:
    """Takes a file, where a shell has made it as open as all others, from everybody but its owner.

    Returns:
        Whether nobody else can open it now; true for what is no file.
    """
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRWXG | stat.S_IRWXO):
        return True
    try:
        os.fchmod(descriptor, stat.S_IMODE(mode) & stat.S_IRWXU)
    except OSError:  # it is somebody else's, or of a file system without modes
        return False
    return True
