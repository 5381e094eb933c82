#!/usr/bin/env python3
"""Drives examples/mixed_workload over loopback and checks every answer against an own implementation.

    mixed_workload_test.py FOLDER_OF_PROGRAMS
"""

import concurrent.futures
import os
import random
import socket
import struct
import subprocess
import sys
import unittest

PROGRAMS = ""
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def expected(payload, rounds):
    """The answer as the protocol's text defines it."""
    h = GOLDEN ^ len(payload)
    padded = payload + b"\0" * (-len(payload) % 8)
    words = struct.unpack(f"<{len(padded) // 8}Q", padded)
    for r in range(rounds + 1):
        for x in words:
            h = ((h ^ ((x + r) & MASK)) + GOLDEN) & MASK
            h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & MASK
            h ^= h >> 31
    return h


def request(payload, rounds):
    return struct.pack("<II", len(payload) + 4, rounds) + payload


def receive(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError(f"{len(data)} of {count} bytes")
        data += part
    return data


def answers(connection, count):
    return list(struct.unpack(f"<{count}Q", receive(connection, 8 * count)))


class MixedWorkload(unittest.TestCase):
    def setUp(self):
        self.server = subprocess.Popen(
            [os.path.join(PROGRAMS, "mixed_workload"), "--port", "0", "--threads", "2", "--compute", "2"],
            stdout=subprocess.PIPE, text=True)
        line = self.server.stdout.readline()
        self.assertRegex(line, r"^listening on 127\.0\.0\.1:\d+\n$")
        self.port = int(line.rsplit(":", 1)[1])

    def tearDown(self):
        self.assertIsNone(self.server.poll(), "the server has ended")
        self.server.terminate()
        self.server.wait(10)
        self.server.stdout.close()

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.addCleanup(connection.close)
        return connection

    def test_known_answers(self):
        connection = self.connect()
        cases = [(b"", 0), (b"", 3), (b"a", 0), (b"12345678", 0), (b"123456789", 2), (b"x" * 1024, 40)]
        for payload, rounds in cases:
            connection.sendall(request(payload, rounds))
            self.assertEqual(answers(connection, 1), [expected(payload, rounds)])

    def test_pipelined_answers_keep_the_order(self):
        choose = random.Random(5)
        cases = [(choose.randbytes(choose.randrange(300)), choose.choice([0, 0, 0, 1, 50])) for _ in range(400)]
        data = b"".join(request(*case) for case in cases)
        connection = self.connect()
        with concurrent.futures.ThreadPoolExecutor(1) as sender:
            def send():
                position = 0
                while position < len(data):  # in pieces that end anywhere
                    size = choose.choice([1, 3, 7, 100, 5000])
                    connection.sendall(data[position:position + size])
                    position += size
            sending = sender.submit(send)
            self.assertEqual(answers(connection, len(cases)), [expected(*case) for case in cases])
            sending.result()

    def test_many_connections(self):
        def talk(seed):
            choose = random.Random(seed)
            connection = self.connect()
            for _ in range(20):
                case = (choose.randbytes(choose.randrange(2000)), choose.choice([0, 0, 20]))
                connection.sendall(request(*case))
                if answers(connection, 1) != [expected(*case)]:
                    return False
            return True

        with concurrent.futures.ThreadPoolExecutor(16) as clients:
            self.assertTrue(all(clients.map(talk, range(48))))

    def test_largest_request(self):
        payload = random.Random(9).randbytes(1024 * 1024 - 4)
        connection = self.connect()
        connection.sendall(request(payload, 0))
        self.assertEqual(answers(connection, 1), [expected(payload, 0)])

    def test_bad_lengths_close_that_connection_only(self):
        good = self.connect()
        for length in (0, 3, 1024 * 1024 + 1, 0xFFFFFFFF):
            bad = self.connect()
            bad.sendall(request(b"before", 0) + struct.pack("<II", length, 0))
            try:
                received = bad.recv(8)
                while len(received) < 8 and (more := bad.recv(8 - len(received))):
                    received += more
                self.assertEqual(bad.recv(1), b"")
                self.assertEqual(received, struct.pack("<Q", expected(b"before", 0)))
            except ConnectionResetError:
                pass  # closed with unread bytes in it
            good.sendall(request(b"still here", 1))
            self.assertEqual(answers(good, 1), [expected(b"still here", 1)])

    def test_cut_off_requests(self):
        for cut in (1, 3, 4, 6, 8, 10):
            connection = self.connect()
            connection.sendall(request(b"cut off", 0)[:cut])
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(connection.recv(1), b"")


class CommandLine(unittest.TestCase):
    def run_with(self, *arguments):
        program = os.path.join(PROGRAMS, "mixed_workload")
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30)

    def test_bad_options_name_the_input(self):
        for given, named in ((["--prot", "1"], "--prot"), (["--port", "65536"], "65536"),
                             (["--threads", "many"], "many"), (["--port"], "--port")):
            ended = self.run_with(*given)
            self.assertEqual(ended.returncode, 2, given)
            self.assertIn(named, ended.stderr)

    def test_it_shows_what_courtesy_does(self):
        ended = self.run_with("--show", "800", "--threads", "1", "--compute", "1")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        lines = ended.stdout.splitlines()
        self.assertEqual(lines[0].split()[:3], ["courtesy", "p50", "us"])
        for line, courtesy in zip(lines[1:5], ("on", "off", "on", "off")):
            name, *figures = line.split()
            self.assertEqual(name, courtesy)
            p50, p99, p999, computed = map(int, figures)
            self.assertTrue(0 < p50 <= p99 <= p999, line)
            self.assertGreater(computed, 0, line)
        self.assertIn("courtesy to I/O: on", ended.stdout)

    def test_port_in_use_is_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ended = self.run_with("--port", str(taken.getsockname()[1]))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("in use", ended.stderr)


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main()
