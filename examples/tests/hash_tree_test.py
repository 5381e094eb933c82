#!/usr/bin/env python3
"""Compares examples/hash_tree with sha256sum and hashlib on nasty trees, and interrupts it.

    hash_tree_test.py FOLDER_OF_PROGRAMS
"""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import pty
import random
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

PROGRAMS = ""


def program():
    return os.path.join(PROGRAMS, "hash_tree")


def run(*arguments, **more):
    return subprocess.run([program(), *arguments], capture_output=True, timeout=120, **more)


def line_of(path, data):
    """What sha256sum prints for a file."""
    name = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if name != path else b""
    return mark + hashlib.sha256(data).hexdigest().encode() + b"  " + name + b"\n"


def without_privileges():
    """Runs where file modes count for root, too, and still as the user who may enter the checkout."""
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    libc = ctypes.CDLL(None)
    for capability in (dac_override, dac_read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


class Trees(unittest.TestCase):
    def setUp(self):
        self.root = os.fsencode(tempfile.mkdtemp(prefix="hash_tree_"))
        os.chmod(self.root, 0o755)
        self.addCleanup(shutil.rmtree, self.root)
        self.files = {}

    def write(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.files[path] = data
        return path

    def expected(self):
        return b"".join(line_of(path, self.files[path]) for path in sorted(self.files))

    def check(self, ended, code=0):
        self.assertEqual(ended.stdout, self.expected())
        self.assertEqual(ended.returncode, code, ended.stderr)

    def test_nasty_names(self):
        names = [b"plain", b"with space", b" leading", b"trailing ", b"back\\slash", b"new\nline", b"carriage\rreturn",
                 b"\\", b"tab\tand\x01", b"\xff\xfe not utf-8", "grüße".encode(), b"-n", b"--quiet", b"*", b"a.txt",
                 b"a/b", b"a-b", b"a/c/d", b"x" * 255, b"sub dir/in\nner\\dir/file"]
        for number, name in enumerate(names):
            self.write(name, bytes([number]) * number)
        ended = run(self.root)
        self.check(ended)
        self.assertEqual(ended.stderr, b"")
        checked = subprocess.run(["sha256sum", "-c", "--quiet"], input=ended.stdout, capture_output=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        listed = b"\0".join(sorted(self.files)) + b"\0"
        theirs = subprocess.run(["xargs", "-0", "sha256sum", "--"], input=listed, capture_output=True, check=True)
        if b"carriage\\rreturn" in theirs.stdout:  # older ones leave it as it is
            self.assertEqual(ended.stdout, theirs.stdout)

    def test_sizes_around_every_boundary(self):
        choose = random.Random(11)
        sizes = {0, 1, 63, 64, 65, 4095, 4096, 4097}
        for edge in (8 << 10, 256 << 10, 512 << 10):
            sizes |= {edge - 4097, edge - 4096, edge - 1, edge, edge + 1, 2 * edge + 3}
        for number, size in enumerate(sorted(sizes)):
            self.write(b"%02d" % number, choose.randbytes(size))
        for options in ([], ["--max-bytes", "16K"], ["--max-bytes", "64K", "--jobs", "1"],
                        ["--threads", "1", "--jobs", "1"], ["--threads", "8", "--jobs", "32"]):
            self.check(run(*options, self.root))

    def test_many_small_files_and_some_large(self):
        choose = random.Random(3)
        for number in range(3000):
            size = choose.choice([0, 10, 500, 3000, 20000])
            self.write(b"d%d/e%d/f%d" % (number % 7, number % 31, number), choose.randbytes(size))
        for number in range(6):
            self.write(b"d3/large%d" % number, choose.randbytes(3_000_000 + number))
        self.check(run(self.root))
        self.check(run("--jobs", "3", "--threads", "3", self.root))

    def test_several_roots_come_out_sorted(self):
        paths = [self.write(name, name) for name in (b"b/x", b"a/y", b"a.txt", b"a-dir/z")]
        roots = [os.path.join(self.root, name) for name in (b"b", b"a.txt", b"a", b"a-dir")]
        self.assertEqual(len(paths), len(roots))
        self.check(run(*roots))
        self.check(run(os.path.join(self.root, b"b/x"), roots[1], roots[2], roots[3]))

    def test_unreadable_and_missing_are_reported_and_the_rest_goes_on(self):
        for number in range(200):
            self.write(b"file%03d" % number, b"%d" % number)
        secret = self.write(b"file100", b"secret")
        os.chmod(secret, 0)
        hidden = os.path.join(self.root, b"hidden")
        os.mkdir(hidden, 0)
        self.addCleanup(os.chmod, hidden, 0o700)
        del self.files[secret]
        missing = os.path.join(self.root, b"missing")
        ended = run(self.root, missing, preexec_fn=without_privileges)
        self.check(ended, code=1)
        messages = ended.stderr.splitlines()
        self.assertEqual(messages, [
            b"hash_tree: " + secret + b": Permission denied",
            b"hash_tree: " + hidden + b": Permission denied",
            b"hash_tree: " + missing + b": No such file or directory"])

    def test_vanishing_files_are_reported_and_the_rest_goes_on(self):
        stays = {}
        for number in range(4000):
            path = self.write(b"%04d" % number, b"%d" % number)
            if number % 2 == 0:
                stays[path] = self.files[path]
        with subprocess.Popen([program(), "--jobs", "1", self.root], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            for path in sorted(self.files, reverse=True):
                if path not in stays:
                    os.unlink(path)
            output, errors = process.communicate(timeout=60)
        lines = output.splitlines(keepends=True)
        self.assertLessEqual({line_of(path, data) for path, data in stays.items()}, set(lines))
        self.assertLessEqual(set(lines), {line_of(path, data) for path, data in self.files.items()})
        gone = len(errors.splitlines())
        self.assertEqual(gone, errors.count(b": No such file or directory\n"))
        self.assertEqual(process.returncode, 1 if gone else 0)

    def test_special_files_are_skipped_with_a_notice(self):
        self.write(b"file", b"x")
        fifo = os.path.join(self.root, b"fifo")
        os.mkfifo(fifo)
        address = os.path.join(self.root, b"socket")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(address)
            ended = run(self.root, "/dev/null")
        self.check(ended)
        self.assertEqual(ended.stderr.splitlines(), [
            b"hash_tree: /dev/null: skipped, it is a character device",
            b"hash_tree: " + fifo + b": skipped, it is a FIFO",
            b"hash_tree: " + address + b": skipped, it is a socket"])
        quiet = run("--quiet", self.root)
        self.check(quiet)
        self.assertEqual(quiet.stderr, b"")

    def test_symbolic_links(self):
        target = self.write(b"dir/file", b"x")
        link = os.path.join(self.root, b"link")
        os.symlink(b"dir/file", link)
        tree = os.path.join(self.root, b"tree")
        os.symlink(b"dir", tree)
        self.check(run(self.root))
        self.files[link] = self.files[os.path.join(tree, b"file")] = self.files[target]
        self.check(run("--follow", self.root))
        broken = os.path.join(self.root, b"broken")
        os.symlink(b"nowhere", broken)
        self.check(run("--follow", self.root), code=1)
        self.files = {link: b"x"}
        self.check(run(link))  # named on the command line, it is followed

    def test_memory_is_bounded(self):
        idle = self.peak_bytes("--help")
        for number in range(2000):
            self.write(b"small%d" % number, b"x" * 5000)
        sparse = os.path.join(self.root, b"sparse")
        with open(sparse, "wb") as file:
            file.truncate(1 << 30)
        used = self.peak_bytes(self.root)
        self.assertLess(used - idle, 64 << 20)

    def peak_bytes(self, *arguments):
        """Of a process of its own: what a child inherits from Python before exec would count, too."""
        code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)")
        ended = subprocess.run([sys.executable, "-c", code, program(), *arguments], capture_output=True, check=True)
        return int(ended.stdout)

    def test_output_that_cannot_be_written(self):
        self.write(b"file", b"x")
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([program(), self.root], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"No space left on device", ended.stderr)


class Interrupt(unittest.TestCase):
    def setUp(self):
        with open(program(), "rb") as file:
            if b"__tsan_init" in file.read():
                self.skipTest("the thread sanitizer makes the program too slow for these times")
        folder = tempfile.mkdtemp(prefix="hash_tree_")
        self.addCleanup(shutil.rmtree, folder)
        self.sparse = os.path.join(folder, "sparse")
        with open(self.sparse, "wb") as file:
            file.truncate(64 << 30)  # half a minute of hashing

    def milliseconds_to_end(self, process):
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(30)
        return 1000 * (time.monotonic() - started)

    def wait_until_reading(self, process):
        """Until the process has used some processor time: it is hashing then."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            if int(fields[11]) + int(fields[12]) >= 10:  # ticks of 10 ms
                return
            select.select([], [], [], 0.01)
        process.kill()  # or its context would wait for it
        self.fail("it does not begin")

    def wait_until_its_output_is_stuck(self, process):
        """Until what nobody reads has not become more for a while."""
        deadline = time.monotonic() + 30
        before, same = 0, 0
        while time.monotonic() < deadline:
            waiting = struct.unpack("i", fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)))[0]
            same = same + 1 if waiting == before and waiting > 0 else 0
            if same == 10:
                return
            before = waiting
            select.select([], [], [], 0.02)
        process.kill()
        self.fail("its output does not fill the pipe")

    def test_ctrl_c_stops_at_once(self):
        times = []
        for _ in range(3):
            with subprocess.Popen([program(), self.sparse], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                self.wait_until_reading(process)
                times.append(self.milliseconds_to_end(process))
                self.assertEqual(process.returncode, 130)
                self.assertEqual(process.stderr.read(), b"hash_tree: interrupted after 0 files\n")
                self.assertEqual(process.stdout.read(), b"")
        self.assertLess(min(times), 100, times)

    def test_ctrl_c_with_a_reader_that_does_not_read(self):
        folder = os.path.join(os.path.dirname(self.sparse), "many")
        os.mkdir(folder)
        for number in range(3000):
            with open(os.path.join(folder, str(number)), "wb"):
                pass
        with subprocess.Popen([program(), folder, self.sparse], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            self.wait_until_its_output_is_stuck(process)
            took = self.milliseconds_to_end(process)
            self.assertEqual(process.returncode, 130)
            self.assertIn(b"interrupted", process.stderr.read())
            for line in process.stdout.read().splitlines(keepends=True):
                self.assertRegex(line, rb"^[0-9a-f]{64}  [^\n]+\n$|^[^\n]*$")
        self.assertLess(took, 1000)

    def test_progress_on_a_terminal(self):
        master, terminal = pty.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen([program(), self.sparse], stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = b""
        wanted = re.compile(rb"\[#*\.*\] +\d+% \d+ files, [\d.]+ MiB of 64\.0 GiB, [\d.]+ [KMG]iB/s, ETA \d+:\d\d|"
                            rb"\[#*\.*\] +\d+% \d+ files, [\d.]+ GiB of 64\.0 GiB, [\d.]+ [KMG]iB/s, ETA \d+:\d\d")
        deadline = time.monotonic() + 30
        while not wanted.search(shown) and time.monotonic() < deadline:
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 4096)
        self.assertRegex(shown, wanted)
        self.milliseconds_to_end(process)
        process.stdout.close()
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(master, 4096):
                shown += part
        self.assertTrue(shown.endswith(b"\r\x1b[Khash_tree: interrupted after 0 files\r\n"), shown[-200:])


class CommandLine(unittest.TestCase):
    def test_bad_options_name_the_input(self):
        for given, named in ((["--tread", "."], b"--tread"), (["--threads", "0", "."], b"'0'"),
                             (["--jobs", "x", "."], b"'x'"), (["--max-bytes", "1", "."], b"'1'"),
                             (["--max-bytes", "99999999G", "."], b"99999999G"), (["--jobs"], b"--jobs"),
                             ([], b"no PATH")):
            ended = run(*given)
            self.assertEqual(ended.returncode, 2, given)
            self.assertIn(named, ended.stderr)
            self.assertEqual(ended.stdout, b"")

    def test_a_missing_path_is_an_error(self):
        ended = run("/no/such/path")
        self.assertEqual(ended.returncode, 1)
        self.assertEqual(ended.stderr, b"hash_tree: /no/such/path: No such file or directory\n")


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
