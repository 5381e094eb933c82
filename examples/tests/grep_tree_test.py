#!/usr/bin/env python3
"""Compares examples/grep_tree with GNU grep, byte for byte, on nasty trees, and interrupts it.

    grep_tree_test.py FOLDER_OF_PROGRAMS
"""

import ctypes
import itertools
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = ""
C_LOCALE = {**os.environ, "LC_ALL": "C"}
BLOCK = 96 * 1024


def program():
    return os.path.join(PROGRAMS, "grep_tree")


def run(*arguments, **more):
    return subprocess.run([program(), *arguments], capture_output=True, timeout=120, **more)


def grep(options, pattern, *paths, **more):
    return subprocess.run(["grep", *options, "--", pattern, *paths], capture_output=True, timeout=120, env=C_LOCALE,
                          check=False, **more)


def without_privileges():
    """Runs where file modes count for root, too, and still as the user who may enter the checkout."""
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    libc = ctypes.CDLL(None)
    for capability in (dac_override, dac_read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


def by_path(output):
    """What grep -Z printed, in the order of the paths; within a file as it is."""
    lines = [line.partition(b"\0") for line in output.split(b"\n")[:-1]]
    return b"".join(path + b":" + rest + b"\n" for path, _, rest in sorted(lines, key=lambda line: line[0]))


class Trees(unittest.TestCase):
    def setUp(self):
        self.root = os.fsencode(tempfile.mkdtemp(prefix="grep_tree_"))
        os.chmod(self.root, 0o755)
        self.addCleanup(shutil.rmtree, self.root)
        self.files = []

    def write(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.files.append(path)
        return path

    def check(self, pattern, ours=(), theirs=(), roots=None, **more):
        """One call of each; the same lines, the same in each file, sorted by path; the same code."""
        roots = roots or [self.root]
        mine = run(*ours, "--", pattern, *roots, **more)
        sorts = roots == [self.root]
        other = grep(["-rnF", *(["-Z"] if sorts else []), *theirs], pattern, *roots, **more)
        wanted = by_path(other.stdout) if sorts else other.stdout
        if mine.stdout != wanted:
            self.fail((pattern, ours, *self.first_difference(mine.stdout, wanted)))
        said = mine.stderr.replace(b"grep_tree: ", b"grep: ")
        self.assertEqual(sorted(said.splitlines()), sorted(other.stderr.splitlines()), (pattern, ours))
        self.assertEqual(mine.returncode, other.returncode, (pattern, ours))
        return mine

    def first_difference(self, mine, other):
        pairs = itertools.zip_longest(mine.split(b"\n"), other.split(b"\n"))
        return next((number, *pair) for number, pair in enumerate(pairs) if pair[0] != pair[1])

    def check_all(self, *patterns):
        for pattern in patterns:
            self.check(pattern)
            self.check(pattern, ["-c"], ["-c"])
            self.check(pattern, ["-i"], ["-i"])
            self.check(pattern, ["-ci", "--threads", "1"], ["-ci"])

    def test_lines_of_many_kinds(self):
        self.write(b"plain", b"abc\nxyz\nABC abc\n\nabcabc\n")
        self.write(b"no newline at the end", b"first\nabc")
        self.write(b"only it", b"abc")
        self.write(b"empty", b"")
        self.write(b"empty lines", b"\n\n\n")
        self.write(b"carriage", b"abc\r\nx\ry abc\r\n")
        self.write(b"dir/deep/er", b"x abc y\n" * 5)
        self.write(b"dir-a", b"abc\n")
        self.write(b"dir.txt", b"abc\n")
        self.write(b"\xff\xfe not utf-8", b"\xe4bc abc\n\xff\n")
        self.write("grüße".encode(), "Grüße ABC GRÜSSE\n".encode())
        self.write(b"with space:12:x", b"abc\n")
        self.write(b"long", b"x" * 3_000_000 + b"abc" + b"y" * 3_000_000 + b"\nabc\n" + b"z" * 2_000_000)
        self.check_all(b"abc", b"c", b"", b"\n", b"abc\nxyz", b"abc\n", b"not there", b"\xe4", b"\xff", "ü".encode(),
                       "Ü".encode(), b"-c", b"bc a", b"\r", b"a" * 5000, b"[x]", b"first\nabc\nZ")

    def test_binary_files(self):
        self.write(b"early", b"a\0b\nneedle\nneedle\n")
        self.write(b"behind the match", b"needle\n\0")
        self.write(b"no match", b"\0\0\0\n")
        self.write(b"last", b"x\nneedle\0")
        self.write(b"nulls as line ends", b"needle\0needle\0x\0needle\nneedle")
        self.write(b"only nulls", b"\0" * 10)
        line = b"some needle in a line %d\n"
        for number, at in enumerate((BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17, 12 * BLOCK)):
            text = b"".join(line % index for index in range(at // 20))[:at]
            self.write(b"late%d" % number, text + b"\0" + b"needle again\n" * 10)
            self.write(b"late and quiet%d" % number, text + b"\0" + b"nothing\n" * 10)
        hole = self.write(b"hole", b"needle\n" + b"x\n" * BLOCK)
        with open(hole, "ab") as file:
            file.seek(20 * BLOCK)
            file.write(b"needle\n")
        self.check_all(b"needle", b"", b"again", b"NEEDLE")
        for threads in ("1", "4"):
            self.check(b"needle", ["--threads", threads, "--max-bytes", "4M"])

    def test_binary_files_with_long_lines(self):
        self.write(b"nulls", b"\0" + b"x" * 10 * BLOCK + b"needle" + b"\0y" * BLOCK)
        self.write(b"nothing", b"\0" * 30 * BLOCK)
        self.write(b"one line", b"needle" + b"x" * 10 * BLOCK + b"\0")
        self.check_all(b"needle", b"", b"y")

    def test_random_trees(self):
        for seed in range(4):
            choose = random.Random(seed)
            letters = b"ab\n" if seed % 2 else b"abcAB \n\n"
            for number in range(60):
                size = choose.choice([0, 1, 7, 100, 5000, 70_000, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 500_000])
                data = bytes(choose.choices(letters, k=min(size, 3000))) * (1 + size // 3000)
                name = b"%d/d%d/e%d/f%d" % (seed, number % 5, number % 3, number)
                self.write(name, data[:size] + (b"\0" if number % 17 == 0 else b""))
        self.check_all(b"ab", b"aaaa", b"b" * 9, b"aB a", b"abababab\nbbbbb")

    def test_a_pattern_that_fits_nearly_everywhere_takes_no_longer(self):
        self.write(b"same", b"a" * 2_000_000)
        self.write(b"pairs", b"ab" * 1_000_000 + b"\n")
        for pattern in (b"a" * 3000 + b"b", b"b" + b"a" * 3000, b"a" * 1500 + b"b" + b"a" * 1500, b"ab" * 1000 + b"b"):
            started = time.monotonic()
            self.check(pattern)
            self.check(pattern.upper(), ["-i"], ["-i"])
            self.assertLess(time.monotonic() - started, 60)

    def test_files_larger_than_one_job(self):
        lines = b"".join(b"line %d of a large file\n" % number for number in range(200_000))
        self.write(b"a/large", lines * 8 + b"the end")
        self.write(b"a/small", b"line 1\n")
        self.write(b"b/large", lines[:3_000_000] + b"x" * 700_000 + b" line 77777\n" + lines)
        self.write(b"c", b"line 123456\n")
        for options in ([], ["--threads", "1"], ["--threads", "4", "--max-bytes", "4M"]):
            self.check(b"line 123456", options)
            self.check(b"77777", [*options, "-c"], ["-c"])
        self.check(b"")  # more to print than is kept in memory

    def test_files_that_are_not_in_memory(self):
        for number in range(400):
            self.write(b"d%d/file%d" % (number % 7, number), b"abc %d\n" % number + b"x y z\n" * (number * number % 30_000))
        self.write(b"d3/large", b"abc\n" + b"some text\n" * 4_000_000 + b"abc")
        for _ in range(3):
            for path in self.files:
                with open(path, "rb") as file:
                    os.fdatasync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            mine = run("abc", self.root)
            other = grep(["-rnFZ"], b"abc", self.root)
            self.assertEqual(mine.stdout, by_path(other.stdout))
            self.assertEqual((mine.returncode, mine.stderr), (0, b""))

    def test_roots(self):
        one = self.write(b"one", b"abc\n")
        two = self.write(b"two", b"abc\n")
        inner = self.write(b"dir/inner", b"abc\n")
        folder = os.path.dirname(inner)
        link, tree_link = os.path.join(self.root, b"link"), os.path.join(self.root, b"tree")
        os.symlink(b"one", link)
        os.symlink(b"dir", tree_link)
        os.symlink(b"nowhere", os.path.join(self.root, b"broken"))
        self.check(b"abc")  # links are not followed
        for roots in ([one], [two, one], [link], [tree_link], [folder + b"/"], [folder, one, folder],
                      [one, os.path.join(self.root, b"missing"), two], [os.path.join(self.root, b"missing")]):
            self.check(b"abc", roots=roots)
            self.check(b"abc", ["-c"], ["-c"], roots=roots)
        self.check(b"abc", roots=[b"dir", b"one"], cwd=self.root)
        self.check(b"abc", roots=[b"."], cwd=folder)

    def test_what_is_no_regular_file(self):
        self.write(b"file", b"abc\n")
        fifo = os.path.join(self.root, b"fifo")
        os.mkfifo(fifo)
        self.check(b"abc")  # and does not wait for the other end
        self.check(b"", roots=["/dev/null"])
        for roots in (["-"], ["-", self.root]):
            self.check(b"abc", roots=roots, input=b"x\nabc\n" * 100_000)
        with subprocess.Popen([program(), "abc", fifo, self.root], stdout=subprocess.PIPE) as process:
            with open(fifo, "wb") as writer:
                writer.write(b"1\n2 abc")
            self.assertEqual(process.communicate(timeout=60)[0],
                             fifo + b":2:2 abc\n" + os.path.join(self.root, b"file") + b":1:abc\n")

    def test_unreadable_files_are_named_and_the_rest_goes_on(self):
        for number in range(50):
            self.write(b"file%02d" % number, b"abc %d\n" % number)
        os.chmod(self.files[20], 0)
        hidden = os.path.join(self.root, b"hidden")
        os.mkdir(hidden, 0)
        self.addCleanup(os.chmod, hidden, 0o700)
        ended = self.check(b"abc", preexec_fn=without_privileges)
        self.assertEqual(ended.returncode, 2)
        self.assertIn(b"grep_tree: " + self.files[20] + b": Permission denied\n", ended.stderr)
        self.assertIn(b"grep_tree: " + hidden + b": Permission denied\n", ended.stderr)

    def test_the_output_is_not_searched(self):
        self.write(b"file", b"abc\n")
        where = os.path.join(self.root, b"output")
        with open(where, "wb") as out:
            ended = subprocess.run([program(), "abc", self.root], stdout=out, stderr=subprocess.PIPE, timeout=60,
                                   check=False)
        self.assertEqual(ended.stderr, b"grep_tree: " + where + b": input file is also the output\n")
        self.assertEqual(ended.returncode, 2)
        with open(where, "rb") as file:
            self.assertEqual(file.read(), os.path.join(self.root, b"file") + b":1:abc\n")

    def test_output_that_cannot_be_written(self):
        self.write(b"file", b"abc\n" * 100_000)
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([program(), "abc", self.root], stdout=full, stderr=subprocess.PIPE, timeout=60,
                                   check=False)
        self.assertEqual(ended.returncode, 2)
        self.assertIn(b"No space left on device", ended.stderr)

    def test_memory_is_bounded(self):
        with open(program(), "rb") as file:
            if b"__asan_init" in (contents := file.read()) or b"__tsan_init" in contents:
                self.skipTest("sanitizers need memory of their own")
        idle = self.peak_bytes("x", "/dev/null")
        large = self.write(b"large", b"a line with abc in it\n" * 1000)
        with open(large, "ab") as file:
            file.truncate(1 << 30)
        for number in range(300):
            self.write(b"file%d" % number, b"another line\n" * 20_000)
        for options in ([], ["-c"]):
            for pattern in ("not there", "line"):
                self.assertLess(self.peak_bytes(*options, pattern, self.root) - idle, 48 << 20)

    def peak_bytes(self, *arguments):
        """Of a process of its own: what a child inherits from Python before exec would count, too."""
        code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
                "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)")
        ended = subprocess.run([sys.executable, "-c", code, program(), *arguments], capture_output=True, check=True)
        return int(ended.stdout)


class Interrupt(unittest.TestCase):
    def test_ctrl_c_stops_at_once(self):
        with open(program(), "rb") as file:
            if b"__tsan_init" in file.read():
                self.skipTest("the thread sanitizer makes the program too slow for these times")
        folder = tempfile.mkdtemp(prefix="grep_tree_")
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, "sparse"), "wb") as file:
            file.truncate(64 << 30)
        times = []
        for _ in range(3):
            with subprocess.Popen([program(), "x", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                deadline = time.monotonic() + 30
                while self.ticks(process.pid) < 10 and time.monotonic() < deadline:
                    select.select([], [], [], 0.01)
                started = time.monotonic()
                process.send_signal(signal.SIGINT)
                process.wait(30)
                times.append(1000 * (time.monotonic() - started))
                self.assertEqual(process.returncode, 130)
                self.assertEqual(process.stderr.read(), b"grep_tree: interrupted\n")
                self.assertEqual(process.stdout.read(), b"")
        self.assertLess(min(times), 100, times)

    def ticks(self, pid):
        """Of 10 ms, of processor time: the search has begun when there are some."""
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


class CommandLine(unittest.TestCase):
    def test_bad_options_name_the_input(self):
        for given, named in ((["--tread", "x", "."], b"--tread"), (["--threads", "0", "x", "."], b"'0'"),
                             (["-x", "x", "."], b"-x"), (["--max-bytes", "1", "x", "."], b"'1'"),
                             (["--max-bytes"], b"--max-bytes"), (["x"], b"no PATH"), ([], b"no PATTERN")):
            ended = run(*given)
            self.assertEqual(ended.returncode, 2, given)
            self.assertIn(named, ended.stderr)
            self.assertEqual(ended.stdout, b"")

    def test_stats_say_what_was_done(self):
        with tempfile.TemporaryDirectory() as folder:
            for number in range(3):
                with open(os.path.join(folder, str(number)), "wb") as file:
                    file.write(b"abc\nx\n")
            ended = run("--stats", "abc", folder)
        self.assertEqual(ended.returncode, 0)
        self.assertRegex(ended.stderr, rb"^grep_tree: 3 files, 18 bytes, 3 lines match; [\d.]+ s, [\d.]+ GB/s; "
                                       rb"peak memory [\d.]+ MiB\n$")


if __name__ == "__main__":
    PROGRAMS = os.path.abspath(sys.argv.pop(1))
    # The thread sanitizer has every program sleep for a second at its end; these are hundreds.
    os.environ["TSAN_OPTIONS"] = os.environ.get("TSAN_OPTIONS", "") + ":atexit_sleep_ms=0"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unittest.main()
