#!/usr/bin/env python3
"""Has what examples/par_gzip writes read by gzip, and looks at what becomes of the files.

    par_gzip_test.py FOLDER_OF_PROGRAMS
"""

import gzip
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = ""


def program():
    return os.path.join(PROGRAMS, "par_gzip")


def run(*arguments, **more):
    return subprocess.run([program(), *arguments], capture_output=True, timeout=120, check=False, **more)


def text_of(length, seed=1):
    """Something that can be compressed, but not to nothing."""
    source = random.Random(seed)
    words = [bytes(source.choices(range(97, 123), k=source.randint(2, 9))) for _ in range(500)]
    made = bytearray()
    while len(made) < length:
        made += source.choice(words) + b" "
    return bytes(made[:length])


class Files(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="par_gzip_")
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, name, data):
        path = os.path.join(self.root, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_stdin_to_stdout_of_every_size(self):
        block = 64 * 1024
        for size in (0, 1, block - 1, block, block + 1, 5 * block, 5 * block + 7):
            data = text_of(size, size)
            ended = run("-b", "64", "-p", "2", input=data)
            self.assertEqual(ended.returncode, 0, ended.stderr)
            self.assertEqual(gzip.decompress(ended.stdout), data)
            checked = subprocess.run(["gzip", "-dc"], input=ended.stdout, capture_output=True, check=False)
            self.assertEqual((checked.returncode, checked.stdout), (0, data))

    def test_levels_and_what_cannot_be_compressed(self):
        data = text_of(700_000) + random.Random(3).randbytes(700_000)
        sizes = []
        for level in range(1, 10):
            ended = run(f"-{level}p3", "-c", self.write("data", data))
            self.assertEqual(gzip.decompress(ended.stdout), data)
            sizes.append(len(ended.stdout))
        self.assertLess(sizes[8], sizes[0])
        self.assertLess(sizes[0], len(data))

    def test_threads_do_not_change_the_output(self):
        data = text_of(3_000_000)
        self.assertEqual(run("-p1", input=data).stdout, run("-p8", input=data).stdout)

    def test_a_file_is_replaced_by_its_compressed_one(self):
        data = text_of(2_000_000)
        path = self.write("some file", data)
        os.chmod(path, 0o640)
        os.utime(path, ns=(0, 1_234_567_890_123_456_789))
        ended = run(path)
        self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, b"", b""))
        self.assertEqual(os.listdir(self.root), ["some file.gz"])
        status = os.stat(path + ".gz")
        self.assertEqual(status.st_mode & 0o7777, 0o640)
        self.assertEqual(status.st_mtime_ns, 1_234_567_890_123_456_789)
        # gunzip restores the name and the time from the first member.
        os.rename(path + ".gz", os.path.join(self.root, "other.gz"))
        subprocess.run(["gzip", "-dN", os.path.join(self.root, "other.gz")], check=True)
        self.assertEqual(os.listdir(self.root), ["some file"])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), data)
        self.assertEqual(os.stat(path).st_mtime, 1_234_567_890)

    def test_keep_stdout_and_no_name(self):
        first, second = self.write("a", b"first "), self.write("b", b"second")
        ended = run("-c", first, second)
        self.assertEqual(gzip.decompress(ended.stdout), b"first second")
        self.assertEqual(sorted(os.listdir(self.root)), ["a", "b"])
        self.assertNotEqual(run("-cn", first).stdout, run("-c", first).stdout)
        self.assertEqual(run("-kvY", first).returncode, 0)
        self.assertEqual(sorted(os.listdir(self.root)), ["a", "a.gz", "b"])

    def test_what_is_left_alone(self):
        there = self.write("there", b"new")
        self.write("there.gz", b"old")
        link = os.path.join(self.root, "link")
        os.symlink("there", link)
        fifo = os.path.join(self.root, "fifo")
        os.mkfifo(fifo)
        good = self.write("good", b"good")
        missing = os.path.join(self.root, "missing")
        ended = run(there, there + ".gz", link, fifo, self.root, missing, good)
        self.assertEqual(ended.returncode, 1)
        complaints = ended.stderr.decode().splitlines()
        self.assertEqual(len(complaints), 6, complaints)
        for line, name in zip(complaints, (there + ".gz", there + ".gz", link, fifo, self.root, missing)):
            self.assertIn(name, line)
        self.assertEqual(sorted(os.listdir(self.root)), ["fifo", "good.gz", "link", "there", "there.gz"])
        self.assertEqual(run("-f", there).returncode, 0)
        with gzip.open(there + ".gz") as file:
            self.assertEqual(file.read(), b"new")

    def test_command_lines(self):
        for wrong, named in ((["-p", "0"], b"'0'"), (["-p"], b"-p"), (["-x"], b"-x"), (["-b", "1k"], b"'1k'"),
                             (["--fast"], b"--fast"), (["-p256"], b"'256'")):
            ended = run(*wrong)
            self.assertEqual(ended.returncode, 2)
            self.assertIn(named, ended.stderr)
        self.assertIn(b"usage", run("--help").stdout)

    def test_a_full_disk_leaves_the_file(self):
        path = self.write("data", random.Random(5).randbytes(3_000_000))

        def little_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

        ended = run(path, preexec_fn=little_room)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(path.encode() + b".gz", ended.stderr)
        self.assertEqual(os.listdir(self.root), ["data"])
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([program(), "-c", path], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(b"<stdout>", ended.stderr)

    def test_an_interrupt_leaves_no_unfinished_file(self):
        path = self.write("data", text_of(1_000_000) * 200)
        started = subprocess.Popen([program(), "-9", "-p1", path], stderr=subprocess.DEVNULL)
        while len(os.listdir(self.root)) < 2 and started.poll() is None:
            time.sleep(0.001)
        started.send_signal(signal.SIGINT)
        self.assertEqual(started.wait(20), 130)
        self.assertEqual([name for name in os.listdir(self.root) if name.endswith(".gz")], [])
        self.assertTrue(os.path.exists(path))

    def test_memory_is_bounded(self):
        path = self.write("large", b"")
        os.truncate(path, 400_000_000)
        ended = run("-1kv", "-p", "2", path)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        mebibytes = float(ended.stderr.split(b"in flight, ")[1].split()[0])
        self.assertLess(mebibytes, 64)


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main()
