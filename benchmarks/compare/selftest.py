#!/usr/bin/env python3
"""Shows that the harness and the load generator notice what they are there to notice:
`selftest.py [LOADGEN]`.

The harness is given made-up programs and figures (selftest_core.py). For the load generator each
case is a small server on a thread with one fault; it must report that fault, and nothing about the
faultless server. Exit status 0 when all cases behave.
"""

import json
import socket
import struct
import subprocess
import sys
import threading

import selftest_core

GOLDEN = 0x9E3779B97F4A7C15
MASK = 2**64 - 1


def answer(payload, work):
    h = GOLDEN ^ len(payload)
    padded = payload + bytes(-len(payload) % 8)
    for round_number in range(work + 1):
        for (word,) in struct.iter_unpack("<Q", padded):
            h = ((h ^ (word + round_number) & MASK) + GOLDEN) & MASK
            h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
            h ^= h >> 31
    return h


def read_exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data


class Faulty:
    """A server whose `fault` strikes once, at its 20th message."""

    def __init__(self, serve, fault):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.fault = fault
        self.messages = 0
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, args=(serve,), daemon=True).start()

    def _accept(self, serve):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._guard, args=(serve, connection), daemon=True).start()

    def _guard(self, serve, connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                serve(self, connection)
            except OSError:
                pass

    def strikes(self):
        with self.lock:
            self.messages += 1
            return self.messages == 20


def serve_echo(server, connection):
    while data := connection.recv(65536):
        if server.strikes():
            if server.fault == "flip":
                data = data[:-1] + bytes([data[-1] ^ 1])
            elif server.fault == "drop":
                data = data[1:]
            elif server.fault == "repeat":
                data += data[:1]
            elif server.fault == "close":
                return
            elif server.fault == "silence":
                continue
        connection.sendall(data)


def serve_mixed(server, connection):
    held = None
    while True:
        (length,) = struct.unpack("<I", read_exactly(connection, 4))
        if server.fault != "accept_any_length" and not 4 <= length <= 2**20:
            return
        body = read_exactly(connection, min(length, 2**20)).ljust(4, b"\0")
        value = answer(body[4:], struct.unpack("<I", body[:4])[0])
        strikes = server.strikes()
        if strikes and server.fault == "value":
            value ^= 1
        if strikes and server.fault == "swap":
            held = value
            continue
        if strikes and server.fault == "close":
            return
        connection.sendall(struct.pack("<Q", value))
        if held is not None:
            connection.sendall(struct.pack("<Q", held))
            held = None


def run(loadgen, serve, fault, arguments):
    server = Faulty(serve, fault)
    command = [loadgen, *arguments, "--port", str(server.port)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return outcome.returncode, json.loads(outcome.stdout)


def check_loadgen(loadgen):
    """(number of cases, number of failures)."""
    echo = [
        "echo",
        "--connections",
        "3",
        "--payload",
        "64",
        "--depth",
        "4",
        "--seconds",
        "0.6",
        "--warmup",
        "0",
    ]
    mixed = [
        "mixed",
        "--heavy-work",
        "1",
        "--heavy-payload",
        "16",
        "--seconds",
        "0.6",
        "--warmup",
        "0",
    ]
    cases = [
        (serve_echo, None, echo, ()),
        (serve_echo, "flip", echo, ("wrong",)),
        (serve_echo, "drop", echo, ("wrong", "unanswered")),
        (serve_echo, "repeat", echo, ("wrong",)),
        (serve_echo, "close", echo, ("errors", "unanswered")),
        (serve_echo, "silence", echo, ("wrong", "unanswered")),
        (serve_mixed, None, mixed, ()),
        (serve_mixed, "value", mixed, ("wrong",)),
        (serve_mixed, "swap", mixed, ("wrong", "unanswered")),
        (serve_mixed, "close", mixed, ("errors", "unanswered")),
        (serve_mixed, None, ["verify-mixed"], ()),
        (serve_mixed, "value", ["verify-mixed"], ("wrong",)),
        (serve_mixed, "swap", ["verify-mixed"], ("wrong",)),
        (serve_mixed, "accept_any_length", ["verify-mixed"], ("wrong",)),
    ]
    failed = 0
    for serve, fault, arguments, expected in cases:
        status, line = run(loadgen, serve, fault, arguments)
        noticed = [name for name in ("wrong", "errors", "unanswered") if line.get(name, 0) > 0]
        # One of the expected signs is enough: which of them comes first is a matter of timing.
        right = (
            (status == 1 and any(name in noticed for name in expected))
            if expected
            else (status, noticed) == (0, [])
        )
        failed += not right
        print(
            f"{'ok    ' if right else 'FAILED'} {arguments[0]}, fault {fault}: "
            f"status {status}, noticed {noticed}"
        )
    return len(cases), failed


def main():
    count, failed = len(selftest_core.CASES), selftest_core.run_cases()
    if len(sys.argv) > 1:
        more, more_failed = check_loadgen(sys.argv[1])
        count, failed = count + more, failed + more_failed
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
