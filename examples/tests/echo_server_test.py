#!/usr/bin/env python3
"""Drives examples/echo_server over loopback: echoes, half-closes, and how it ends.

    echo_server_test.py FOLDER_OF_PROGRAMS
"""

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
import unittest

PROGRAMS = ""


def start(*options):
    return subprocess.Popen([os.path.join(PROGRAMS, "echo_server"), *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*options):
    return subprocess.run([os.path.join(PROGRAMS, "echo_server"), *options],
                          capture_output=True, text=True, timeout=30)


def receive(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError(f"{len(data)} of {count} bytes")
        data += part
    return data


class EchoServer(unittest.TestCase):
    def start(self, *options):
        server = start("--port", "0", *options)
        self.addCleanup(server.stderr.close)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        line = server.stdout.readline()
        self.assertRegex(line, r"^listening on 127\.0\.0\.1:\d+\n$")
        return server, int(line.rsplit(":", 1)[1])

    def connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.addCleanup(connection.close)
        return connection

    def test_many_clients_get_their_own_bytes(self):
        _, port = self.start("--threads", "2")

        def talk(number):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                for round_number in range(20):
                    sent = f"{number}/{round_number}/".encode() * (1 + 100 * (round_number % 7))
                    connection.sendall(sent)
                    if receive(connection, len(sent)) != sent:
                        return False
            return True

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            self.assertTrue(all(pool.map(talk, range(100))))

    def test_half_close_gets_the_rest_and_then_the_end(self):
        _, port = self.start("--threads", "1")
        connection = self.connect(port)
        data = os.urandom(50_000)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(connection, len(data)), data)
        self.assertEqual(connection.recv(1), b"")

    def test_signals_end_it_while_clients_are_connected(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                server, port = self.start()
                connections = [self.connect(port) for _ in range(10)]
                for connection in connections:
                    connection.sendall(b"x")
                    self.assertEqual(receive(connection, 1), b"x")
                server.send_signal(number)
                self.assertEqual(server.wait(10), 0)
                self.assertEqual(connections[0].recv(1), b"")
                self.assertEqual(server.stderr.read(), "")

    def test_a_port_in_use_is_named(self):
        _, port = self.start()
        second = run("--port", str(port))
        self.assertEqual(second.returncode, 1)
        self.assertEqual(second.stderr, f"127.0.0.1:{port}: Address already in use\n")

    def test_wrong_calls_are_refused_with_what_was_given(self):
        for options, named in ((["--port", "70000"], "70000"), (["--port", "x"], "x"),
                               (["--port", ""], "''"), (["--threads", "-1"], "-1"),
                               (["--prot", "1"], "--prot"), (["--port"], "--port"),
                               (["80"], "80")):
            with self.subTest(options=options):
                refused = run(*options)
                self.assertEqual(refused.returncode, 2)
                self.assertIn(named, refused.stderr)
                self.assertEqual(refused.stdout, "")


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main(verbosity=2)
