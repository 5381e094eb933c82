"""A tree of text files that is the same wherever it is made: what tools_demo.py searches.

Thousands of files of source code's sizes, some large ones, some binary ones; 1.1 GiB of lines of words.
"""

import os
import pathlib
import random

SEED = 20
SMALL_FILES = 24_000
LARGE_FILES = 12
LARGE_BYTES = 24 << 20
BINARY_FILES = 200
FILES_PER_FOLDER = 60
# In about one line of 30,000.
NEEDLE = "admission_refused"
STAMP = "made"


def make_lines(choose):
    """A few megabytes of lines, from which all files are cut."""
    letters = "etaoinshrdlucmfwypvbgkjqxz_"
    weights = [120, 90, 80, 75, 70, 67, 63, 61, 60, 43, 40, 28, 28, 24, 22, 24, 20, 19, 10, 15, 20, 8, 2, 2, 1, 1, 12]
    words = ["".join(choose.choices(letters, weights, k=choose.randrange(1, 12))) for _ in range(8000)]
    marks = [" ", " ", " ", " ", ", ", "(", ") ", "; ", " = ", "->", "."]
    lines = []
    size = 0
    while size < 8 << 20:
        line = " " * choose.choice((0, 0, 4, 4, 8)) + "".join(
            choose.choice(words) + choose.choice(marks) for _ in range(choose.randrange(0, 14)))
        if choose.randrange(30_000) == 0:
            line += NEEDLE
        lines.append(line.encode() + b"\n")
        size += len(line) + 1
    return lines


def cut(lines, choose, size):
    """`size` bytes and the rest of a line, from somewhere in the lines."""
    parts, have, position = [], 0, choose.randrange(len(lines))
    while have < size:
        part = lines[position]
        parts.append(part)
        have += len(part)
        position = (position + 1) % len(lines)
    return b"".join(parts)


def make_tree(folder):
    """Makes the tree unless it is there; returns the number of files and of bytes."""
    stamp = pathlib.Path(folder, STAMP)
    tree = pathlib.Path(folder, "tree")
    if not stamp.exists():
        choose = random.Random(SEED)
        lines = make_lines(choose)
        for number in range(SMALL_FILES + LARGE_FILES + BINARY_FILES):
            group = number // FILES_PER_FOLDER
            path = tree / f"module{group % 23:02d}" / f"part{group // 23:02d}" / f"file{number:05d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            if number < SMALL_FILES:
                # Most are some kilobytes, a few are hundreds, as in a source tree.
                data = cut(lines, choose, min(int(choose.lognormvariate(9.7, 1.2)), 1 << 20))
            elif number < SMALL_FILES + LARGE_FILES:
                data = cut(lines, choose, LARGE_BYTES)
            else:
                data = b"\x7fELF\0\0" + cut(lines, choose, 30_000)
            path.write_bytes(data)
        stamp.write_text("complete\n", encoding="ascii")
    files = size = 0
    for where, _, names in os.walk(tree):
        files += len(names)
        size += sum(os.lstat(os.path.join(where, name)).st_size for name in names)
    return str(tree), files, size
