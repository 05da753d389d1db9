"""The sandbox as a process of its own, with its bill in a file: `python -m tests.torture.sandbox_process PORT FILE`."""

import asyncio
import sys
from pathlib import Path

import uvloop

from clients.sandbox import Sandbox


async def serve(port: int, bill_file: Path) -> None:
    async with Sandbox(bill_file=bill_file).serve(port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
