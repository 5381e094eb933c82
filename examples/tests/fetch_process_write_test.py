#!/usr/bin/env python3
"""Runs examples/fetch_process_write against a server of its own and checks the file it writes.

    fetch_process_write_test.py FOLDER_OF_PROGRAMS
"""

import hashlib
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAMS = ""


def document(number):
    """Sizes from nothing to some hundred kilobytes, different contents."""
    return (f"document {number}\n".encode() * (number * number * 7 % 20_011))[: number * 997 % 300_007]


class Documents(socketserver.StreamRequestHandler):
    def handle(self):
        number = int(self.rfile.readline())
        if number == self.server.broken:
            self.server.hang_up(self.connection)
            return
        self.wfile.write(document(number))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True
    broken = None

    def hang_up(self, connection):
        """Closes with a reset instead of an end."""
        import socket
        import struct

        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def shutdown_request(self, request):
        if request.fileno() >= 0:
            super().shutdown_request(request)


def run(*arguments):
    return subprocess.run([os.path.join(PROGRAMS, "fetch_process_write"), *arguments],
                          capture_output=True, text=True, timeout=120)


class FetchProcessWrite(unittest.TestCase):
    def setUp(self):
        self.server = Server(("127.0.0.1", 0), Documents)
        self.endpoint = "127.0.0.1:%d" % self.server.server_address[1]
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.output = os.path.join(self.folder, "hashes")

    def test_every_document_is_hashed_in_order(self):
        done = run(self.endpoint, "300", self.output)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.output) as hashes:
            lines = hashes.read().splitlines()
        self.assertEqual(lines, [f"{number} {hashlib.sha256(document(number)).hexdigest()}"
                                 for number in range(300)])
        self.assertEqual(os.listdir(self.folder), ["hashes"])

    def test_nothing_to_fetch_writes_an_empty_file(self):
        self.assertEqual(run(self.endpoint, "0", self.output).returncode, 0)
        self.assertEqual(os.path.getsize(self.output), 0)

    def test_a_failed_fetch_leaves_the_old_file(self):
        with open(self.output, "w") as old:
            old.write("old\n")
        self.server.broken = 77
        failed = run(self.endpoint, "300", self.output)
        self.assertEqual(failed.returncode, 1)
        self.assertEqual(failed.stderr, self.endpoint + ": Connection reset by peer\n")
        with open(self.output) as kept:
            self.assertEqual(kept.read(), "old\n")
        self.assertEqual(os.listdir(self.folder), ["hashes"])

    def test_a_file_that_cannot_be_written_is_named(self):
        output = os.path.join(self.folder, "missing", "hashes")
        failed = run(self.endpoint, "3", output)
        self.assertEqual(failed.returncode, 1)
        self.assertEqual(failed.stderr, output + ": No such file or directory\n")

    def test_wrong_calls_are_refused_with_what_was_given(self):
        for arguments, named in ((["localhost:80", "3", self.output], "localhost:80"),
                                 (["127.0.0.1:99999", "3", self.output], "127.0.0.1:99999"),
                                 ([self.endpoint, "three", self.output], "'three'"),
                                 ([self.endpoint, "-1", self.output], "'-1'"),
                                 ([self.endpoint, "9" * 30, self.output], "'999"),
                                 ([self.endpoint, "1000001", self.output], "'1000001'"),
                                 ([self.endpoint], "usage")):
            with self.subTest(arguments=arguments):
                refused = run(*arguments)
                self.assertEqual(refused.returncode, 2)
                self.assertIn(named, refused.stderr)
                self.assertFalse(os.path.exists(self.output))


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main(verbosity=2)
