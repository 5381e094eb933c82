#!/usr/bin/env python3
"""The example programs beside the tools that they rival, each on the same input, in interleaved rounds:

    grep_tree       ripgrep -F and grep -rnF, over a tree of 1.1 GiB that is made for it
    par_gzip        pigz, at levels 1, 6 and 9
    hash_tree       find | xargs sha256sum, and openssl dgst, over that tree
    log_analytics   lines per second from four senders, with awk's count of the same lines for scale

    tools_demo.py FOLDER_OF_PROGRAMS [--rounds N] [--only NAME]... [--work FOLDER] [--json FILE]

Outputs are compared first: exit code 1 when one differs, whatever the times are.
"""

import argparse
import collections
import datetime
import hashlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import threading
import time

import hash_tree_demo
import tools_tree
from machine import describe_machine

GNU_TIME = "/usr/bin/time"
C_LOCALE = {**os.environ, "LC_ALL": "C"}
GZIP_BYTES = 96 << 20
LOG_LINES = 1_000_000
SENDERS = 4

Bar = collections.namedtuple("Bar", "what ratio most")


class Measurements:
    """Runs of several commands, one after the other in each round."""

    def __init__(self, work, rounds):
        self.work = pathlib.Path(work)
        self.rounds = rounds
        self.cells = {}
        self.bars = []
        self.wrong = []

    def time(self, command, output, codes=(0,)):
        """Returns (seconds, processor seconds, peak resident KiB)."""
        told = self.work / "time"
        with open(output, "wb") as out:
            started = time.perf_counter()
            ended = subprocess.run([GNU_TIME, "-q", "-f", "%U %S %M", "-o", told, *command], stdout=out,
                                   stderr=subprocess.PIPE, env=C_LOCALE, check=False)
            seconds = time.perf_counter() - started
        if ended.returncode not in codes:
            raise RuntimeError(f"{command} ended with {ended.returncode}: {ended.stderr.decode(errors='replace')[-500:]}")
        user, system, peak = told.read_text(encoding="ascii").split()
        return seconds, float(user) + float(system), int(peak)

    def compare(self, cell, commands):
        """commands: name -> list, or a function that returns what time() does. One round unmeasured, so that all
        read from memory. Returns the names of the outputs."""
        runs = {name: [] for name in commands}
        outputs = {name: self.work / f"{name.replace(' ', '_')}.out" for name in commands}
        for number in range(self.rounds + 1):
            for name, command in commands.items():
                run = command() if callable(command) else self.time(command, outputs[name])
                if number != 0:
                    runs[name].append(run)
        print(f"\n{cell}")
        for name, measured in runs.items():
            seconds, processor, peaks = zip(*measured)
            print(f"  {name:28} {statistics.median(seconds):8.3f} s  ({min(seconds):.3f} to {max(seconds):.3f})   "
                  f"processor {statistics.median(processor):7.3f} s   peak {max(peaks) / 1024:7.1f} MiB", flush=True)
        self.cells[cell] = {name: {"seconds": [run[0] for run in measured], "processor": [run[1] for run in measured],
                                   "peak_kib": [run[2] for run in measured]} for name, measured in runs.items()}
        return outputs

    def median(self, cell, name):
        return statistics.median(self.cells[cell][name]["seconds"])

    def judge(self, cell, ours, theirs, most):
        ratio = self.median(cell, ours) / self.median(cell, theirs)
        self.bars.append(Bar(f"{cell}: {ours} beside {theirs}", ratio, most))
        print(f"  {ours} takes {ratio:.2f} of the time of {theirs}; "
              + (f"the bar is {most}: {'met' if ratio <= most else 'NOT MET'}" if most else "there is no bar"))

    def expect(self, good, sentence):
        if not good:
            self.wrong.append(sentence)
            print(f"  WRONG: {sentence}")


def measure_grep(to, programs, tree, size):
    cells = (("rare text", tools_tree.NEEDLE, [], 1.5), ("rare text, -i", tools_tree.NEEDLE.upper(), ["-i"], 1.5),
             ("frequent text", "seat", [], None), ("frequent text, -c", "seat", ["-c"], None))
    for title, pattern, options, bar in cells:
        cell = f"grep_tree, {title}"
        theirs = ["--include-zero"] if "-c" in options else []
        outputs = to.compare(cell, {
            "grep_tree": [os.path.join(programs, "grep_tree"), *options, pattern, tree],
            "ripgrep": ["rg", "-F", "-n", "-uu", "--no-heading", "--color=never", *options, *theirs, pattern, tree],
            "grep": ["grep", "-rnF", *options, pattern, tree]})
        ours = outputs["grep_tree"].read_bytes().splitlines()
        to.expect(sorted(ours) == sorted(outputs["grep"].read_bytes().splitlines()),
                  f"{cell}: the lines differ from grep's")
        paths = [line.split(b":", 1)[0] for line in ours]
        to.expect(paths == sorted(paths), f"{cell}: the paths are not in order")
        print(f"  {len(ours):,} lines, {size / to.median(cell, 'grep_tree') / 1e9:.2f} GB/s")
        to.judge(cell, "grep_tree", "ripgrep", bar)


def measure_gzip(to, programs, tree):
    source = to.work / "text"
    if not source.exists() or source.stat().st_size != GZIP_BYTES:
        with open(source, "wb") as out:
            left = GZIP_BYTES
            for where, folders, names in os.walk(tree):
                folders.sort()
                for name in sorted(names):
                    data = pathlib.Path(where, name).read_bytes()[:left]
                    left -= out.write(data)
                if left == 0:
                    break
    wanted = hashlib.sha256(source.read_bytes()).digest()
    threads = str(len(os.sched_getaffinity(0)))
    for level in (1, 6, 9):
        cell = f"par_gzip, level {level}"
        outputs = to.compare(cell, {
            "par_gzip": [os.path.join(programs, "par_gzip"), f"-{level}", "-p", threads, "-c", str(source)],
            "pigz": ["pigz", f"-{level}", "-p", threads, "-c", str(source)]})
        unpacked = subprocess.run(["gunzip", "-c"], stdin=open(outputs["par_gzip"], "rb"), stdout=subprocess.PIPE,
                                  check=False)
        to.expect(unpacked.returncode == 0 and hashlib.sha256(unpacked.stdout).digest() == wanted,
                  f"{cell}: gunzip does not give the input back")
        sizes = {name: path.stat().st_size for name, path in outputs.items()}
        to.cells[cell]["bytes"] = sizes
        print(f"  {GZIP_BYTES:,} bytes become " + ", ".join(f"{size:,} ({name})" for name, size in sizes.items()))
        to.judge(cell, "par_gzip", "pigz", 1.1)


def measure_hash(to, programs, tree):
    cell = "hash_tree"
    cores = str(os.cpu_count())
    find = "find \"$0\" -type f -print0 | xargs -0 -n 64 -P" + cores
    outputs = to.compare(cell, {
        "hash_tree": [os.path.join(programs, "hash_tree"), "--quiet", tree],
        "sha256sum": ["sh", "-c", f"{find} sha256sum", tree],
        "openssl": ["sh", "-c", f"{find} openssl dgst -sha256 -r", tree]})
    _, wrong = hash_tree_demo.check(outputs["hash_tree"], outputs["sha256sum"])
    for sentence in wrong:
        to.expect(False, f"{cell}: {sentence}")
    to.judge(cell, "hash_tree", min(("sha256sum", "openssl"), key=lambda name: to.median(cell, name)), 0.5)


def make_log(path):
    """Lines in the combined format with times; returns how many there are."""
    if not path.exists():
        with open(path.with_suffix(".part"), "w", encoding="ascii") as out:
            for number in range(LOG_LINES):
                page = (number * 7919) % 1000 * ((number * 31) % 7 + 1)
                out.write(f'10.1.{number % 250}.{number % 199} - - [10/Oct/2000:13:55:36 -0700] "GET /page/{page}?n={number}'
                          f' HTTP/1.1" {(200, 200, 200, 304, 404)[number % 5]} {number % 90_000} "-" "Mozilla/5.0 (X11)"'
                          f' 0.{number % 1000:03d}\n')
        path.with_suffix(".part").rename(path)
    return LOG_LINES


def measure_log(to, programs):
    cell = "log_analytics"
    log = to.work / "access.log"
    lines = make_log(log)
    told = to.work / "time"

    def send(port):
        with socket.create_connection(("127.0.0.1", port)) as connection, open(log, "rb") as source:
            connection.sendfile(source)

    def serve():
        """Until everything of all senders is counted."""
        command = [GNU_TIME, "-q", "-f", "%U %S %M", "-o", told, os.path.join(programs, "log_analytics"),
                   "--port", "0", "--interval", "0", "--exit-after-idle", "2000", "--once"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            port = int(server.stdout.readline().rsplit(":", 1)[1])
            started = time.perf_counter()
            senders = [threading.Thread(target=send, args=(port,)) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            output = server.communicate()[0]
            seconds = time.perf_counter() - started
            for sender in senders:
                sender.join()
        to.expect(f"\nrequests {SENDERS * lines}\n" in output and "\nmalformed 0\n" in output,
                  f"{cell}: not all lines were counted: {output[:300]}")
        user, system, peak = told.read_text(encoding="ascii").split()
        return seconds, float(user) + float(system), int(peak)

    count = "{ requests++; bytes += $10; status[substr($9, 1, 1)]++; sub(/\\?.*/, \"\", $7); path[$7]++ }"
    to.compare(cell, {"log_analytics": serve, "awk, a quarter of the lines": ["awk", count, str(log)]})
    rate = SENDERS * lines / to.median(cell, "log_analytics")
    to.cells[cell]["lines_per_second"] = rate
    print(f"  {SENDERS} senders, {SENDERS * lines:,} lines, {rate:,.0f} lines/s, "
          f"{SENDERS * log.stat().st_size / to.median(cell, 'log_analytics') / 1e6:,.0f} MB/s")


def versions():
    found = {}
    for name, command in (("grep", ["grep", "--version"]), ("ripgrep", ["rg", "--version"]),
                          ("pigz", ["pigz", "--version"]), ("openssl", ["openssl", "version"])):
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        found[name] = ended.stdout.splitlines()[0] if ended.stdout else "unknown"
    return found


def main():
    names = ("grep", "gzip", "hash", "log")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=names)
    parser.add_argument("--work", default="/tmp/blitzio-tools", help="where input is made and kept")
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.rounds < 1:
        sys.exit("tools_demo: --rounds must be at least 1")
    os.makedirs(options.work, exist_ok=True)
    tree, files, size = tools_tree.make_tree(options.work)
    print(f"tree {tree}: {files:,} files, {size:,} bytes; medians of {options.rounds} interleaved rounds")
    to = Measurements(options.work, options.rounds)
    for name in options.only or names:
        if name == "grep":
            measure_grep(to, options.programs, tree, size)
        elif name == "gzip":
            measure_gzip(to, options.programs, tree)
        elif name == "hash":
            measure_hash(to, options.programs, tree)
        else:
            measure_log(to, options.programs)
    print("\nbars")
    for bar in to.bars:
        if bar.most:
            print(f"  {'met    ' if bar.ratio <= bar.most else 'NOT MET'}  {bar.ratio:5.2f} of at most {bar.most}  {bar.what}")
    if options.json:
        now = datetime.datetime.now(datetime.timezone.utc)
        figures = {"date": now.isoformat(timespec="seconds"), "machine": describe_machine(), "versions": versions(),
                   "files": files, "bytes": size, "rounds": options.rounds, "cells": to.cells,
                   "bars": [bar._asdict() for bar in to.bars], "wrong": to.wrong}
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if to.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
