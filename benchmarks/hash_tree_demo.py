#!/usr/bin/env python3
"""The main job on real input: hashes a tree with examples/hash_tree, has every line checked by `sha256sum -c`, and
shows its time beside the same job done by find and xargs, with sha256sum and with openssl, in interleaved rounds.

    hash_tree_demo.py HASH_TREE [--rounds N] [--json FILE] [PATH...]

Without PATH: the system's include, library and documentation folders, and more of /usr until there are 20,000 files.
Exit code 1 when the output differs from sha256sum's or a line does not check.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from machine import describe_machine

FILES_MIN = 20_000
DEFAULT_PATHS = ("/usr/include", "/usr/lib", "/usr/share/doc")
MORE_PATHS = ("/usr/share", "/usr/src", "/usr/bin", "/opt", "/var/lib")
GNU_TIME = "/usr/bin/time"


def count(paths):
    """Regular files below the paths: how many, and how many bytes."""
    answer = subprocess.run(["find", *paths, "-type", "f", "-printf", "%s\n"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    sizes = [int(size) for size in answer.split()]
    return len(sizes), sum(sizes)


def default_paths():
    paths = [path for path in DEFAULT_PATHS if os.path.isdir(path)]
    for path in MORE_PATHS:
        if count(paths)[0] >= FILES_MIN:
            break
        if os.path.isdir(path):
            # No folder is hashed twice: what lies below the new one gives way to it.
            paths = [kept for kept in paths if not kept.startswith(path + "/")] + [path]
    return paths


def run_hash_tree(program, paths, output):
    """Returns (seconds, peak resident KiB, exit code, what it said)."""
    with tempfile.NamedTemporaryFile("r") as measured, open(output, "wb") as out:
        command = [program, "--quiet", *paths]
        if os.path.exists(GNU_TIME):
            command = [GNU_TIME, "-f", "%M", "-q", "-o", measured.name, *command]
        started = time.perf_counter()
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        seconds = time.perf_counter() - started
        peak = measured.read().split()
    return seconds, int(peak[-1]) if peak else 0, done.returncode, done.stderr.decode(errors="replace")


def run_xargs(tool, paths, output):
    """The same job by find and xargs; returns seconds."""
    with open(output, "wb") as out:
        started = time.perf_counter()
        find = subprocess.Popen(["find", *paths, "-type", "f", "-print0"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        xargs = subprocess.Popen(["xargs", "-0", "-n", "64", f"-P{os.cpu_count()}", *tool],
                                 stdin=find.stdout, stdout=out, stderr=subprocess.DEVNULL)
        find.stdout.close()
        xargs.wait()
        find.wait()
        return time.perf_counter() - started


def lines_of(path):
    return pathlib.Path(path).read_bytes().splitlines()


def check(ours, theirs):
    """Returns what is wrong with our lines, as a list of sentences."""
    wrong = []
    checked = subprocess.run(["sha256sum", "-c", "--strict", ours], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**os.environ, "LC_ALL": "C"}, check=False)
    good = sum(line.endswith(b": OK") for line in checked.stdout.splitlines())
    lines = lines_of(ours)
    if checked.returncode != 0 or good != len(lines):
        wrong.append(f"sha256sum -c accepted {good} of {len(lines)} lines: {checked.stderr.decode()[:300]}")
    if sorted(lines) != sorted(lines_of(theirs)):
        only_ours, only_theirs = set(lines) - set(lines_of(theirs)), set(lines_of(theirs)) - set(lines)
        wrong.append(f"{len(only_ours)} lines are only ours, {len(only_theirs)} only sha256sum's, for example "
                     f"{next(iter(only_ours | only_theirs), b'a repeated line')!r}")
    return good, wrong


def spread(seconds):
    return f"{statistics.median(seconds):8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hash_tree")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    parser.add_argument("paths", nargs="*")
    options = parser.parse_intermixed_args()
    for path in options.paths:
        if not os.path.exists(path):
            sys.exit(f"demo: {path}: there is no such file or folder")
    if options.rounds < 1:
        sys.exit("demo: --rounds must be at least 1")
    # Absolute, so that sha256sum -c finds the files from anywhere.
    paths = [os.path.abspath(path) for path in options.paths] or default_paths()
    files, size = count(paths)
    print(f"tree       {' '.join(paths)}")
    print(f"           {files:,} files, {size:,} bytes", flush=True)

    tools = {"sha256sum": ["sha256sum"], "openssl": ["openssl", "dgst", "-sha256", "-r"]}
    seconds = {name: [] for name in ("hash_tree", *tools)}
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        output = {name: os.path.join(folder, name) for name in seconds}
        empty = os.path.join(folder, "empty")
        os.mkdir(empty)
        start_kib = run_hash_tree(options.hash_tree, [empty], os.devnull)[1]
        # One round unmeasured, so that all three read from memory.
        for number in range(options.rounds + 1):
            took, peak, code, said = run_hash_tree(options.hash_tree, paths, output["hash_tree"])
            others = {name: run_xargs(tool, paths, output[name]) for name, tool in tools.items()}
            if number == 0:
                continue
            seconds["hash_tree"].append(took)
            peaks.append(peak)
            for name, value in others.items():
                seconds[name].append(value)
        good, wrong = check(output["hash_tree"], output["sha256sum"])

    ours = statistics.median(seconds["hash_tree"])
    faster = min(tools, key=lambda name: statistics.median(seconds[name]))
    ratio = ours / statistics.median(seconds[faster])
    print(f"checked    {good:,} lines by sha256sum -c, equal to sha256sum's own: {'no' if wrong else 'yes'}")
    print(f"hash_tree  {spread(seconds['hash_tree'])}   {size / ours / 1e6:,.0f} MB/s, {files / ours:,.0f} files/s")
    print(f"           peak memory {max(peaks) / 1024:.1f} MiB, of which {start_kib / 1024:.1f} MiB with nothing to do")
    for name, tool in tools.items():
        print(f"{name:9}  {spread(seconds[name])}   find | xargs -n 64 -P{os.cpu_count()} {' '.join(tool)}")
    print(f"hash_tree takes {ratio:.2f} of the time of the faster one ({faster}); "
          f"medians of {options.rounds} interleaved rounds, files in memory")
    if code != 0:
        print(f"hash_tree ended with exit code {code}; it said:\n{said[-1000:]}")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    if options.json:
        now = datetime.datetime.now(datetime.timezone.utc)
        figures = {
            "date": now.isoformat(timespec="seconds"), "machine": describe_machine(),
            "paths": paths, "files": files, "bytes": size, "checked": good, "wrong": wrong, "exit_code": code,
            "seconds": seconds, "peak_kib": peaks, "start_kib": start_kib, "ratio": ratio,
        }
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
