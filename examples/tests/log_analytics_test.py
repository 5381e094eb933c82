#!/usr/bin/env python3
"""Drives examples/log_analytics over loopback and compares its sums with those of a simple count.

    log_analytics_test.py FOLDER_OF_PROGRAMS
"""

import collections
import math
import os
import random
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

PROGRAMS = ""
LINE = re.compile(r'(\S+) (\S+) (\S+) \[[^]]*\] "((?:[^"\\]|\\.)*)" ([1-5]\d\d) (\d+|-)'
                  r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?(?: (\d+)\.(\d+))?')


def program():
    return os.path.join(PROGRAMS, "log_analytics")


def make_lines(seed, count):
    choose = random.Random(seed)
    lines = []
    for number in range(count):
        path = f"/p{int(choose.expovariate(0.1))}" + choose.choice(["", "?q=1&x=2", "/a/b.html"])
        line = f'10.0.{seed}.{number % 256} - {choose.choice(["-", "frank"])} [10/Oct/2000:13:55:36 -0700] '
        line += f'"{choose.choice(["GET", "POST"])} {path} HTTP/1.1" '
        line += f'{choose.choice([200, 200, 200, 304, 404, 500, 101])} {choose.choice(["-", "0", "5120", "987654321012"])}'
        if choose.random() < 0.5:
            line += choose.choice([' "-" "Mozilla \\"5.0\\" \\\\"', ' "http://x/" "a b c"'])
            if choose.random() < 0.9:
                line += f" {choose.randrange(3)}.{choose.randrange(1000):03d}"
        lines.append(line)
    return lines


def count(lines, top=10):
    """The sums, one line after the other."""
    sums, paths, times = collections.Counter(), collections.Counter(), []
    for line in lines:
        found = LINE.fullmatch(line)
        if not found:
            sums["malformed"] += 1
            continue
        sums["requests"] += 1
        sums["bytes"] += 0 if found[6] == "-" else int(found[6])
        sums[f"status_{found[5][0]}xx"] += 1
        request = found[4].split(" ")
        paths[request[1].split("?")[0] if len(request) > 1 else "-"] += 1
        if found[7]:
            times.append(int(found[7]) * 1000 + int(found[8].ljust(3, "0")[:3]))
    ordered = sorted(paths.items(), key=lambda item: (-item[1], item[0].encode()))
    return sums, ordered[:top], sorted(times)


class Service(unittest.TestCase):
    def start(self, *options, port="0"):
        server = subprocess.Popen([program(), "--port", port, *options], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        first = server.stdout.readline()
        self.assertRegex(first, r"^listening on (127\.0\.0\.1|0\.0\.0\.0):\d+\n$")
        return server, int(first.rsplit(":", 1)[1])

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.addCleanup(connection.close)
        return connection

    def final(self, output):
        """The last summary: its numbers, and its paths."""
        summary = output.split("final", 1)[1].splitlines()[1:]
        numbers = dict(line.rsplit(" ", 1) for line in summary if line and not line.startswith("path "))
        paths = [line.split(" ", 2)[1:] for line in summary if line.startswith("path ")]
        return numbers, [(path, int(number)) for number, path in paths]

    def check(self, output, lines, top=10):
        numbers, paths = self.final(output)
        sums, wanted_paths, times = count(lines, top)
        for name in ("requests", "bytes", "malformed", *(f"status_{digit}xx" for digit in range(1, 6))):
            self.assertEqual(int(numbers[name]), sums[name], name)
        self.assertEqual(paths, wanted_paths)
        if times:
            self.assertEqual(int(numbers["timed"]), len(times))
            for name, share in (("p50", 0.5), ("p99", 0.99)):
                exact = times[max(math.ceil(share * len(times)), 1) - 1]
                self.assertGreaterEqual(float(numbers["time_ms_" + name]), exact)
                self.assertLessEqual(float(numbers["time_ms_" + name]), exact * (1 + 1 / 64) + 0.001)
        return numbers

    def test_many_senders_at_once(self):
        server, port = self.start("--once", "--interval", "50", "--top", "25")
        lines = [make_lines(seed, 4000) for seed in range(12)]
        connections = [self.connect(port) for _ in lines]

        def send(connection, own, choose):
            data = "".join(line + "\n" for line in own).encode()
            while data:
                size = choose.choice([1, 7, 100, 1460, 40_000, 200_000])
                connection.sendall(data[:size])
                data = data[size:]
            connection.close()

        threads = [threading.Thread(target=send, args=(connection, own, random.Random(number)))
                   for number, (connection, own) in enumerate(zip(connections, lines))]
        for thread in threads:
            thread.start()
        output, errors = server.communicate(timeout=120)
        for thread in threads:
            thread.join()
        self.assertEqual(server.returncode, 0, errors)
        self.assertEqual(errors, "")
        numbers = self.check(output, sum(lines, []), top=25)
        self.assertEqual((numbers["senders"], numbers["connected"], numbers["unfinished"]), ("12", "0", "0"))

    def test_lines_in_pieces_and_without_an_end(self):
        server, port = self.start("--once", "--interval", "0")
        line = make_lines(1, 1)[0]
        connection = self.connect(port)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (line + "\r\n" + line + "\n" + line).encode():
            connection.sendall(bytes([byte]))
        connection.close()
        output, _ = server.communicate(timeout=60)
        self.check(output, [line] * 3)

    def test_malformed_lines_are_counted_and_the_first_ones_told(self):
        good = make_lines(2, 50)
        bad = ["", "nonsense", good[0][:30], good[0].replace("[", "("), good[0].replace("HTTP/1.1\"", "HTTP/1.1"),
               good[0] + " x", 'h - - [t] "GET / X" 99 1', 'h - - [t] "GET / X" 600 1', 'h - - [t] "GET / X" 200 x',
               'h - - [t] "GET / X" 200', 'h - - [t] "GET / X" 200 1 "a"', 'h - - [t] "GET / X" 200 1 "a" "b" 1',
               'h  - [t] "GET / X" 200 1', 'h - - [t] "GET / X"200 1', 'h - - [t] "GET / X" 200 99999999999999999999',
               "\x1b[31mred\x00"]
        odd = ['h - - [t] "-" 400 0', 'h - - [t] "" 408 -', 'h - - [t] "GET" 200 1', 'h - - [t] "GET ? X" 200 1',
               'h - - [t] "GET /\\"x\\\\ X" 200 1 "\\\\" "b" 0.000001']
        server, port = self.start("--once", "--interval", "0")
        connection = self.connect(port)
        lines = good + odd
        connection.sendall("".join(line + "\n" for line in good + bad + odd).encode())
        connection.close()
        output, errors = server.communicate(timeout=60)
        numbers, _ = self.final(output)
        self.assertEqual(int(numbers["malformed"]), len(bad))
        self.assertEqual(int(numbers["requests"]), len(lines))
        told = errors.splitlines()
        self.assertEqual(len(told), 5)
        for each in told:
            self.assertRegex(each, r"^log_analytics: malformed line of 127\.0\.0\.1:\d+: .+: .*$")
        self.assertIn("no host, identity and user: nonsense", errors)

    def test_lines_longer_than_allowed(self):
        line = make_lines(3, 1)[0]
        server, port = self.start("--once", "--interval", "0", "--max-line", "1000")
        connection = self.connect(port)
        for length in (1000, 1001, 65_535, 65_536, 65_537, 300_000):
            connection.sendall(line.replace("/1.1", "/" + "1" * (length - len(line) + 3)).encode() + b"\n")
            connection.sendall(line.encode() + b"\n")
        connection.sendall(b"x" * 200_000)
        connection.close()
        numbers, _ = self.final(server.communicate(timeout=60)[0])
        self.assertEqual(int(numbers["requests"]), 7)
        self.assertEqual(int(numbers["malformed"]), 6)

    def test_live_summaries_and_a_stop_while_senders_send(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                server, port = self.start("--interval", "20")
                line = make_lines(4, 1)[0]
                connections = [self.connect(port) for _ in range(5)]
                for connection in connections:
                    connection.sendall((line + "\n").encode() * 1000 + line.encode()[:20])
                seen = ""
                while "\nrequests 5000\n" not in seen:
                    seen += server.stdout.readline()
                self.assertIn("live ", seen)
                server.send_signal(number)
                output, errors = server.communicate(timeout=60)
                self.assertEqual(server.returncode, 0, errors)
                numbers = self.check("final" + output.split("final", 1)[1], [line] * 5000)
                self.assertEqual((numbers["senders"], numbers["unfinished"]), ("5", "5"))
                self.assertEqual(connections[0].recv(1), b"")

    def test_a_stop_in_full_flood_counts_whole_lines(self):
        server, port = self.start("--interval", "0", "--threads", "1")
        line = (make_lines(5, 1)[0] + "\n").encode()
        ended = threading.Event()

        def flood(connection):
            try:
                while not ended.is_set():
                    connection.sendall(line * 1000)
            except OSError:
                pass

        threads = [threading.Thread(target=flood, args=(self.connect(port),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        select.select([], [], [], 0.5)  # of flood
        server.send_signal(signal.SIGINT)
        output, errors = server.communicate(timeout=60)
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual((server.returncode, errors), (0, ""))
        numbers, paths = self.final(output)
        self.assertGreater(int(numbers["requests"]), 0)
        self.assertEqual(numbers["malformed"], "0")
        self.assertEqual(paths[0][1], int(numbers["requests"]))

    def test_a_connection_that_is_lost_does_not_matter_to_others(self):
        server, port = self.start("--interval", "20")
        line = make_lines(6, 1)[0]
        lost, kept = self.connect(port), self.connect(port)
        lost.sendall((line + "\n" + line[:10]).encode())
        seen = ""
        while "\nrequests 1\n" not in seen:
            seen += server.stdout.readline()
        lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lost.close()  # a reset
        kept.sendall((line + "\n").encode() * 10)
        kept.close()
        while "\nconnected 0\nrequests 11\n" not in seen:
            seen += server.stdout.readline()
        server.send_signal(signal.SIGINT)
        numbers = self.check(server.communicate(timeout=60)[0], [line] * 11)
        self.assertEqual(numbers["unfinished"], "1")

    def test_it_ends_when_nothing_comes(self):
        server, port = self.start("--exit-after-idle", "300", "--interval", "0")
        line = make_lines(7, 1)[0]
        connection = self.connect(port)
        connection.sendall((line + "\n").encode())
        started = time.monotonic()
        output, _ = server.communicate(timeout=60)
        self.assertGreater(time.monotonic() - started, 0.25)
        self.assertEqual(server.returncode, 0)
        self.check(output, [line])

    def test_a_reader_of_summaries_that_is_gone(self):
        server, port = self.start("--interval", "20")
        server.stdout.close()
        self.connect(port)
        self.assertNotEqual(server.wait(60), 0)


class CommandLine(unittest.TestCase):
    def run_it(self, *options):
        return subprocess.run([program(), *options], capture_output=True, text=True, timeout=60, check=False)

    def test_bad_options_name_the_input(self):
        for given, named in ((["--prot", "1"], "--prot"), (["--port", "70000"], "70000"), (["--port"], "--port"),
                             ([], "--port"), (["--port", "0", "--threads", "0"], "'0'"),
                             (["--port", "0", "--max-line", "65536"], "65536"),
                             (["--port", "0", "--interval", "x"], "'x'"), (["80"], "80")):
            refused = self.run_it(*given)
            self.assertEqual(refused.returncode, 2, given)
            self.assertIn(named, refused.stderr)
            self.assertEqual(refused.stdout, "")

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            second = self.run_it("--port", str(port))
        self.assertEqual(second.returncode, 1)
        self.assertEqual(second.stderr, f"127.0.0.1:{port}: Address already in use\n")


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
