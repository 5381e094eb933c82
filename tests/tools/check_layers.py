#!/usr/bin/env python3
"""Holds every module to the dependency direction of the design, and its tests to what GCC compiles rightly.

    check_layers.py ROOT        scan the modules under ROOT; exit code 1 and one line per broken rule
    check_layers.py --self-test show that each rule can fail

Rules:
  1. A module includes headers of itself and of the modules named in ALLOWED only.
  2. compute includes of io nothing but the headers named in COMPUTE_OF_IO.
  3. oneTBB is included by compute and bridge only; liburing by the io_uring driver only.
  4. A public header includes no platform header.
  5. A test does not await inside a Catch2 check: name the result first. The check names its expression again in
     `while (false && expression)`, and GCC 13 and 14 run the await there, too (a value is received twice).
"""

import pathlib
import re
import sys
import tempfile

ALLOWED = {
    "io": set(),
    "sync": {"io"},
    "net": {"io", "sync"},
    "fs": {"io"},
    "compute": {"io"},
    "bridge": {"io", "sync", "compute"},
}
# Headers of io that carry vocabulary or a protocol and no scheduler, by file name.
COMPUTE_OF_IO = {
    *("stop_token.hpp", "result.hpp", "error.hpp", "processors.hpp"),
    *("atomics.hpp", "idle_set.hpp", "inbox.hpp", "runnable.hpp", "spin_lock.hpp"),
}
# The umbrella header names every module; it lies in bridge because nothing depends on bridge.
UMBRELLA = "bridge/include/blitzio/blitzio.hpp"
PLATFORM = re.compile(
    r"^(sys/|linux/|netinet/|arpa/|net/|asm/|mach/|bits/"
    r"|(unistd|fcntl|liburing|poll|netdb|pthread|sched|dirent|signal|dlfcn|termios|syslog"
    r"|winsock2|ws2tcpip|mswsock|windows)\.h$)"
)
INCLUDE = re.compile(r'^\s*#\s*(?:include|include_next)\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


CHECK_MACRO = re.compile(r"\b(?:CHECK|REQUIRE)\w*\s*\(")


def without_comments(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    return COMMENT.sub(lambda match: "\n" * match.group(0).count("\n"), text)


def awaiting_checks(path):
    """Yields the line number of each check that awaits, other than in a lambda of its own."""
    text = without_comments(path)
    for match in CHECK_MACRO.finditer(text):
        parentheses, braces, argument = 0, 0, ""
        for character in text[match.end() - 1 :]:
            parentheses += {"(": 1, ")": -1}.get(character, 0)
            braces += {"{": 1, "}": -1}.get(character, 0)
            argument += character if braces == 0 else ""
            if parentheses == 0:
                break
        if "co_await" in argument:
            yield text.count("\n", 0, match.start()) + 1


def included(path):
    """Yields (line number, spelled path) of each include outside comments."""
    text = without_comments(path)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(2)


def breaches_of(root, module, path):
    relative = path.relative_to(root).as_posix()
    public = relative.startswith(f"{module}/include/")
    in_tests = relative.startswith(f"{module}/tests/")
    for line, spelled in included(path):
        def breach(why):
            return f"{relative}:{line}: <{spelled}>: {why}"

        match = re.match(r"blitzio/(\w+)(?:\.hpp$|/(.*))", spelled)
        other = match.group(1) if match else None
        if other in ALLOWED and relative != UMBRELLA:
            if other != module and other not in ALLOWED[module]:
                yield breach(f"{module} may not depend on {other}")
            elif module == "compute" and other == "io" and not in_tests:
                name = (match.group(2) or "").split("/")[-1]
                if name not in COMPUTE_OF_IO:
                    yield breach("compute takes of io only " + ", ".join(sorted(COMPUTE_OF_IO)))
        elif spelled == "blitzio/blitzio.hpp" and module != "bridge":
            yield breach("the umbrella header is for users")
        if re.match(r"(tbb|oneapi)/", spelled) and module not in ("compute", "bridge"):
            yield breach("oneTBB belongs to compute and bridge")
        if re.match(r"liburing(\.h$|/)", spelled) and not (
            in_tests or relative.startswith("io/src/driver/uring/")
        ):
            yield breach("liburing belongs to the io_uring driver")
        if public and PLATFORM.match(spelled):
            yield breach("a public header includes no platform header")
    if in_tests:
        for line in awaiting_checks(path):
            yield f"{relative}:{line}: a check that awaits: name the result first"


def scan(root):
    """Returns (number of files read, list of breaches)."""
    root = pathlib.Path(root)
    files, breaches = 0, []
    for module in ALLOWED:
        for path in sorted((root / module).rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".h", ".c") and path.is_file():
                files += 1
                breaches.extend(breaches_of(root, module, path))
    return files, breaches


# Each case: file, its text, and whether it must be refused.
CASES = [
    ("io/include/blitzio/io/a.hpp", "#include <blitzio/io/b.hpp>\n#include <vector>\n", False),
    ("io/src/a.cpp", "#include <blitzio/sync/mutex.hpp>\n", True),
    ("io/src/b.cpp", "#include <tbb/task_arena.h>\n", True),
    ("io/src/c.cpp", "#include <liburing.h>\n", True),
    ("io/src/driver/uring/ring.cpp", "#include <liburing.h>\n", False),
    ("io/src/d.cpp", "#include <unistd.h>\n", False),
    ("io/include/blitzio/io/c.hpp", "#include <sys/socket.h>\n", True),
    ("io/include/blitzio/io/d.hpp", "  #  include <unistd.h>\n", True),
    ("io/include/blitzio/io/e.hpp", "// #include <unistd.h>\n/*\n#include <poll.h>\n*/\n", False),
    ("sync/src/a.cpp", "#include <blitzio/io/task.hpp>\n", False),
    ("sync/src/b.cpp", "#include <blitzio/net/address.hpp>\n", True),
    ("net/src/a.cpp", "#include <blitzio/sync/event.hpp>\n", False),
    ("net/src/b.cpp", '#include "blitzio/fs/file.hpp"\n', True),
    ("fs/src/a.cpp", "#include <blitzio/sync.hpp>\n", True),
    ("compute/src/a.cpp", "#include <blitzio/io/result.hpp>\n#include <tbb/task_arena.h>\n", False),
    ("compute/src/b.cpp", "#include <blitzio/io/runtime.hpp>\n", True),
    ("compute/src/c.cpp", "#include <blitzio/io.hpp>\n", True),
    ("bridge/src/a.cpp", "#include <blitzio/compute/pool.hpp>\n#include <oneapi/tbb.h>\n", False),
    ("bridge/src/b.cpp", "#include <blitzio/fs/file.hpp>\n", True),
    (UMBRELLA, "#include <blitzio/fs.hpp>\n#include <blitzio/net.hpp>\n", False),
    ("net/src/c.cpp", "#include <blitzio/blitzio.hpp>\n", True),
    ("net/tests/a.cpp", "CHECK((co_await read(f(1))) == 2);\n", True),
    ("net/tests/b.cpp", "REQUIRE_FALSE(\n  co_await read());\n", True),
    ("net/tests/c.cpp", "const auto got = co_await read();\nCHECK(got);\n", False),
    ("net/tests/d.cpp", "REQUIRE(run([]() -> task<> { co_await read(); }));\n", False),
    ("net/tests/e.cpp", "// CHECK(co_await read());\n", False),
]


def self_test():
    wrong = 0
    for name, text, refused in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True)
            path.write_text(text)
            files, breaches = scan(folder)
        if files != 1 or bool(breaches) != refused:
            wrong += 1
            print(f"self-test: {name}: expected {'a breach' if refused else 'none'}, got {breaches}")
    print(f"self-test: {len(CASES) - wrong} of {len(CASES)} cases judged rightly")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    files, breaches = scan(sys.argv[1])
    print("\n".join(breaches + [f"{files} files scanned, {len(breaches)} broken rules"]))
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
