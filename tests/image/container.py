"""The built image as a running container, by buildah, with what an engine would read from its config."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BUILD = Path(__file__).with_name("build")
BUILD_S_MAX, START_S_MAX, STOP_S_MAX = 600, 60, 30
IMPOSSIBLE = 77


@dataclass(frozen=True, slots=True)
class Image:
    """A built image."""

    storage: Path

    def buildah(self, *arguments: str) -> list[str]:
        """The words of a buildah command on the image's storage."""
        folders = ("--root", str(self.storage / "images"), "--runroot", str(self.storage / "run"))
        return ["buildah", *folders, "--storage-driver", "vfs", *arguments]

    def output(self, *arguments: str) -> str:
        """What a buildah command prints."""
        return subprocess.run(self.buildah(*arguments), check=True, capture_output=True, text=True).stdout

    @property
    def config(self) -> dict[str, object]:
        """The image's own config (OCI image specification, `config`)."""
        inspected = json.loads(self.output("inspect", "--type", "image", "localhost/cohort"))
        config: dict[str, object] = inspected["OCIv1"]["config"]
        return config

    def run(self, *words: str, mounted: Path | None = None) -> list[str]:
        """The words that run *words* in a container of the image; *mounted* is its /etc/cohort."""
        mount = ("--volume", f"{mounted}:/etc/cohort:ro") if mounted else ()
        return self.buildah("run", "--isolation", "chroot", "--network", "host", *mount, "cohort", "--", *words)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that serves."""

    buildah: subprocess.Popen[bytes]
    pid: int
    port: int
    uids: frozenset[int]

    def stop(self) -> int:
        """Asks the service to stop, as an engine does, and gives its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.buildah.wait(timeout=STOP_S_MAX)


@contextlib.contextmanager
def built(storage: Path) -> Iterator[Image]:
    """Builds the image, and removes what was built."""
    try:
        build = subprocess.run([BUILD, storage], check=False, timeout=BUILD_S_MAX, capture_output=True, text=True)
        if build.returncode == IMPOSSIBLE:
            pytest.fail(build.stderr, pytrace=False)
        assert build.returncode == 0, build.stdout + build.stderr
        yield Image(storage)
    finally:
        shutil.rmtree(storage)


@contextlib.contextmanager
def started(image: Image, mounted: Path, log: Path) -> Iterator[Container]:
    """Runs what the image says that it runs, and waits until it serves."""
    config = image.config
    entrypoint, command = config["Entrypoint"], config["Cmd"]
    assert isinstance(entrypoint, list)
    assert isinstance(command, list)
    with log.open("wb") as output:
        buildah = subprocess.Popen(image.run(*entrypoint, *command, mounted=mounted), stdout=output)
    try:
        port = _port(buildah, log)
        service = _descendants(buildah.pid)[-1]
        yield Container(buildah, service, port, _uids(service))
    finally:
        for pid in (*reversed(_descendants(buildah.pid)), buildah.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        buildah.wait()


def _port(buildah: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the service logs once it serves."""
    end = time.monotonic() + START_S_MAX
    while time.monotonic() < end and buildah.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("}\n") and (entry := json.loads(line))["event"] == "serving":
                return int(entry["port"])
        time.sleep(0.05)
    pytest.fail(f"the container does not serve:\n{log.read_text()}")


def _descendants(pid: int) -> list[int]:
    """Children, grandchildren and so on of a process, the youngest generation last."""
    pids = [pid]
    for each in pids:
        with contextlib.suppress(FileNotFoundError):
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                pids += map(int, children.read_text().split())
    return pids[1:]


def _uids(pid: int) -> frozenset[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return frozenset(int(uid) for line in lines if line.startswith("Uid:") for uid in line.split()[1:])
