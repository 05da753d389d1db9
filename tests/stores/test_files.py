"""A key in a file: what lies there may be no file at all, and nothing else waits for it."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.file import FileKeySource
from clients.secrets.reference import reference_of
from clients.secrets.source import FileSource

READ_S_MAX = 2


def source_at(path: Path) -> FileKeySource:
    return FileKeySource(reference_of(f"file:{path.name}"), path.parent)


async def test_a_pipe_that_nobody_writes_to_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    async with asyncio.timeout(READ_S_MAX):
        for _ in range(50):  # more than there are threads for all that the loop does beside
            with pytest.raises(SourceUnavailable, match=r"^file:key: not a regular file$"):
                await source_at(tmp_path / "key").read()
        await asyncio.get_running_loop().getaddrinfo("localhost", 1)


def test_nor_does_any_other_secret_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pepper")
    for read in (FileSource(tmp_path / "pepper").read, FileSource(tmp_path / "pepper").read_block):
        with pytest.raises(SecretMissing, match=r"/pepper: not a regular file$"):
            read()


async def test_a_folder_a_device_and_a_socket_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("folder", "device", "socket"):
            with pytest.raises(SourceUnavailable, match=rf"^file:{name}: not a regular file$"):
                await source_at(tmp_path / name).read()
