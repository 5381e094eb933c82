"""Builds the load generator, the peers and blitzio's side, all outside the source tree."""

import os
import pathlib
import re
import shutil
import subprocess

COMPARE = pathlib.Path(__file__).resolve().parent.parent
CHECKOUT = COMPARE.parent.parent

# Nothing of TooManyCooks is part of this repository: who wants to compare with it says where it is.
TMC_VARIABLE = "BLITZIO_TMC_DIR"


class BuildError(Exception):
    """A program that cannot be had; the text says why."""


class Missing(BuildError):
    """A tool chain that is not installed: a reason to leave a peer out, not a failure."""


def find_compilers():
    """CC and CXX when set, else the newest Clang, else the system's."""
    cc, cxx = os.environ.get("CC"), os.environ.get("CXX")
    if cc and cxx:
        return cc, cxx
    for version in range(30, 16, -1):
        if shutil.which(f"clang++-{version}") and shutil.which(f"clang-{version}"):
            return f"clang-{version}", f"clang++-{version}"
    if shutil.which("clang++"):
        return "clang", "clang++"
    return "cc", "c++"


class Builder:
    """Programs by name, each built when it is first asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.logs = folder / "logs"
        self.done = {}

    def program(self, name):
        """The path of `name`, "group/program"; raises BuildError."""
        group, program = name.split("/")
        if group not in self.done:
            try:
                self.done[group] = getattr(self, f"_build_{group}")()
            except BuildError as error:
                self.done[group] = error
        outcome = self.done[group]
        if isinstance(outcome, BuildError):
            raise outcome
        path = outcome / program
        if not path.exists():
            raise BuildError(f"{path} was not built")
        return path

    def _run(self, log_name, command, cwd=None, environment=None):
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{log_name}.log"
        with log.open("a") as out:
            out.write(f"$ {' '.join(map(str, command))}\n")
            out.flush()
            merged = {**os.environ, **(environment or {})}
            outcome = subprocess.run(
                command, cwd=cwd, env=merged, stdout=out, stderr=out, check=False
            )
        if outcome.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise BuildError(f"building {log_name} failed, see {log}\n{tail}")

    def _cmake(self, name, arguments, targets):
        build = self.folder / name
        log = self.logs / f"{name}.log"
        log.unlink(missing_ok=True)
        print(f"building {name} ...", flush=True)
        cc, cxx = find_compilers()
        command = ["cmake", "-S", COMPARE, "-B", build, *arguments]
        if not (build / "CMakeCache.txt").exists():
            command += [f"-DCMAKE_C_COMPILER={cc}", f"-DCMAKE_CXX_COMPILER={cxx}"]
            if shutil.which("ninja"):
                command += ["-G", "Ninja"]
        prefix = os.environ.get("CMAKE_PREFIX_PATH", "")
        self._run(
            name, command, environment={"CMAKE_PREFIX_PATH": f"{CHECKOUT}/.deps/prefix:{prefix}"}
        )
        jobs = str(len(os.sched_getaffinity(0)))
        self._run(name, ["cmake", "--build", build, "--parallel", jobs, "--target", *targets])
        return build / "bin"

    def _build_native(self):
        return self._cmake("native", [], ["loadgen", "uring_echo", "tbb_micro", "tbb_parallel"])

    def _build_blitzio(self):
        examples = [
            name for name in ("echo_server", "mixed_workload") if self._example(name).exists()
        ]
        programs = ["blitzio_micro", "blitzio_core", "blitzio_parallel"]
        targets = [*programs, *(f"example_{name}" for name in examples)]
        return self._cmake("blitzio", ["-DBLITZIO_COMPARE_WITH_BLITZIO=ON"], targets)

    def _build_tmc(self):
        if not os.environ.get(TMC_VARIABLE):
            raise Missing(f"{TMC_VARIABLE} names no checkout of TooManyCooks")
        checkout = pathlib.Path(os.environ[TMC_VARIABLE]).resolve()
        if not (checkout / "include/tmc/version.hpp").exists():
            raise BuildError(f"{TMC_VARIABLE}: there is no TooManyCooks in {checkout}")
        return self._cmake("tmc", [f"-DBLITZIO_COMPARE_TMC_DIR={checkout}"], ["tmc_core"])

    @staticmethod
    def _example(name):
        return CHECKOUT / "examples" / f"{name}.cpp"

    def _build_tokio(self):
        if not shutil.which("cargo"):
            raise Missing("cargo is not installed")
        print("building tokio ...", flush=True)
        (self.logs / "tokio.log").unlink(missing_ok=True)
        environment = {"CARGO_TARGET_DIR": str(self.folder / "tokio")}
        if os.uname().machine == "x86_64":
            environment["RUSTFLAGS"] = "-C target-cpu=x86-64-v3"
        self._run(
            "tokio",
            ["cargo", "build", "--release", "--locked"],
            COMPARE / "peers/tokio",
            environment,
        )
        return self.folder / "tokio/release"

    def _build_go(self):
        if not shutil.which("go"):
            raise Missing("go is not installed")
        print("building go ...", flush=True)
        (self.logs / "go.log").unlink(missing_ok=True)
        output = self.folder / "go"
        output.mkdir(parents=True, exist_ok=True)
        environment = {"GOAMD64": "v3", "GOFLAGS": "-mod=readonly -buildvcs=false"}
        self._run(
            "go", ["go", "build", "-o", f"{output}/", "./..."], COMPARE / "peers/go", environment
        )
        return output


def _first_line(command):
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    return text.splitlines()[0].strip() if text.strip() else None


def _tmc_version(folder):
    """Version of the TooManyCooks that was built, its commit if it is a clone, and its allocator."""
    cache = folder / "tmc/CMakeCache.txt"
    if not os.environ.get(TMC_VARIABLE) or not cache.exists():
        return None
    checkout = pathlib.Path(os.environ[TMC_VARIABLE]).resolve()
    header = (checkout / "include/tmc/version.hpp").read_text(encoding="utf-8")
    numbers = re.findall(r"^#define TMC_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header, re.MULTILINE)
    parts = [".".join(numbers)]
    if (checkout / ".git").exists():
        parts.append(_first_line(["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]))
    malloc = re.search(
        r"^BLITZIO_COMPARE_MALLOC:FILEPATH=(.*)$", cache.read_text(), re.MULTILINE
    )
    if malloc and not malloc.group(1).endswith("NOTFOUND"):
        parts.append(f"with {pathlib.Path(malloc.group(1)).name}")
    return " ".join(part for part in parts if part)


def versions(folder):
    """What was compared: compilers, libraries, the commit."""
    found = {
        "cxx": _first_line([find_compilers()[1], "--version"]),
        "rustc": _first_line(["rustc", "--version"]),
        "go": _first_line(["go", "version"]),
        "commit": _first_line(["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]),
        "uncommitted_changes": _first_line(["git", "-C", str(CHECKOUT), "status", "--porcelain"])
        is not None,
    }
    lock = (COMPARE / "peers/tokio/Cargo.lock").read_text()
    for crate in ("tokio", "rayon", "async-channel"):
        match = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', lock)
        found[crate] = match.group(1) if match else None
    header = CHECKOUT / ".deps/prefix/include/liburing/io_uring_version.h"
    if header.exists():
        numbers = re.findall(r"IO_URING_VERSION_(?:MAJOR|MINOR)\s+(\d+)", header.read_text())
        found["liburing"] = ".".join(numbers[:2])
    found["tmc"] = _tmc_version(folder)
    cache = folder / "blitzio/CMakeCache.txt"
    if cache.exists():
        match = re.search(r"^TBB_DIR:PATH=.*$", cache.read_text(), re.MULTILINE)
        config = (
            pathlib.Path(match.group(0).split("=", 1)[1]) / "TBBConfigVersion.cmake"
            if match
            else None
        )
        if config and config.exists():
            version = re.search(r'PACKAGE_VERSION\s+"?([0-9.]+)', config.read_text())
            found["onetbb"] = version.group(1) if version else None
    return found
