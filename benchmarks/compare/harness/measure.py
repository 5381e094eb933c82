"""Runs one contestant in one cell: starts it, loads it, reads its costs, ends it by its id."""

import json
import os
import select
import signal
import subprocess
import tempfile
import time


class RunError(Exception):
    """A contestant that did not start, did not answer or answered wrongly."""


class Activity:
    """CPU time that processes other than the given ones spend, from two looks at /proc.

    Times of children that have been waited for are part of each sum, so that a process which ends
    in between (a compiler, say) is found in its parent's figure. Kernel threads are left out: they
    work for the contestants.
    """

    def __init__(self, excluded):
        self.excluded = set(excluded)
        self.begin = time.monotonic()
        self.before = self._sum()

    def _sum(self):
        total = 0
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in self.excluded:
                continue
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    fields = file.read().rpartition(b") ")[2].split()
            except OSError:
                continue
            if fields[1] != b"2":
                total += sum(int(value) for value in fields[11:15])
        return total / os.sysconf("SC_CLK_TCK")

    def share_of_a_core(self):
        elapsed = max(time.monotonic() - self.begin, 1e-3)
        return max(0.0, self._sum() - self.before) / elapsed


class Cores:
    """The server's and the load generator's core, and what "not pinned" means."""

    def __init__(self):
        self.all = sorted(os.sched_getaffinity(0))
        if len(self.all) < 2:
            raise RunError(
                "two cores are needed: one for the server and one for the load generator"
            )
        self.server, self.load = self.all[:2]


def _child_setup(cores):
    def prepare():
        os.sched_setaffinity(0, cores)
        # A shell starts background jobs with SIGINT ignored, and children would inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return prepare


class Server:
    """A running server: `with Server(...) as server: server.port`."""

    def __init__(self, command, cores, environment):
        # A file, because nobody reads while the server runs and a full pipe would stop it.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, **environment},
            preexec_fn=_child_setup(cores),
        )
        self.command = command
        self.port = None

    def __enter__(self):
        try:
            self.port = self._read_port()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()
        self.process.stdout.close()
        self.errors.close()

    def _read_port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        line = self.process.stdout.readline().decode(errors="replace").strip() if ready else ""
        prefix = "listening on 127.0.0.1:"
        if not line.startswith(prefix):
            self._end()
            self.errors.seek(0)
            reason = self.errors.read(2000).decode(errors="replace").strip()
            raise RunError(f"{self.command[0]}: first line was {line!r}; {reason}")
        return int(line[len(prefix) :])

    def _end(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(5)
                except subprocess.TimeoutExpired:
                    continue
        self.process.wait()

    def peak_memory_kib(self):
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
                return next((int(line.split()[1]) for line in file if line.startswith("VmHWM:")), 0)
        except OSError:
            return 0


class Run:
    """A program that prints JSON lines and ends. lines() must be called, it ends the process."""

    def __init__(self, command, cores, excluded=(), environment=None):
        self.command = command
        self.activity = Activity([os.getpid(), *excluded])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=_child_setup(cores),
        )
        self.activity.excluded.add(self.process.pid)

    def exclude(self, pids):
        """Processes whose CPU time is not a disturbance."""
        self.activity.excluded.update(pids)

    def lines(self, seconds_max):
        """(parsed lines, share of a core that others took); RunError unless it ends with 0."""
        name = os.path.basename(self.command[0])
        try:
            out, err = self.process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise RunError(f"{name} did not end within {seconds_max:.0f} s") from None
        others = self.activity.share_of_a_core()
        if self.process.returncode != 0:
            raise RunError(
                f"{name} ended with {self.process.returncode}: {err.strip()} {out.strip()}"
            )
        try:
            return [json.loads(line) for line in out.splitlines()], others
        except ValueError:
            raise RunError(f"{name} printed no JSON: {out[:200]!r}") from None


def _json_lines(command, cores, seconds_max, excluded=()):
    return Run(command, cores, excluded).lines(seconds_max)


class Bench:
    """Measures contestants with programs that have been built."""

    def __init__(self, builder, cores, seconds, warmup):
        self.builder = builder
        self.cores = cores
        self.seconds = seconds
        self.warmup = warmup

    def _cores_of(self, cell):
        pinned = cell.topology == "T1"
        return [self.cores.server] if pinned else self.cores.all

    def _server(self, cell, peer):
        command = [
            str(self.builder.program(peer.program)),
            "--port",
            "0",
            "--threads",
            str(cell.threads),
        ]
        if cell.kind == "mixed":
            command += ["--compute", str(cell.threads)]
        return Server([*command, *peer.arguments], self._cores_of(cell), dict(peer.environment))

    def verify(self, cell, peer):
        """Checks the protocol once before anything is measured; raises RunError."""
        if cell.kind != "mixed":
            return
        loadgen = str(self.builder.program("native/loadgen"))
        with self._server(cell, peer) as server:
            _json_lines([loadgen, "verify-mixed", "--port", str(server.port)], self.cores.all, 60)

    def run(self, cell, peer):
        """One sample: {metric: value} and the share of a core that other processes took."""
        if cell.kind == "micro":
            return self._run_micro(cell, peer)
        loadgen = str(self.builder.program("native/loadgen"))
        seconds = self.seconds[cell.kind]
        command = [
            loadgen,
            cell.kind,
            *cell.load,
            "--seconds",
            str(seconds),
            "--warmup",
            str(self.warmup),
        ]
        load_cores = self.cores.all
        if cell.topology == "T1":
            load_cores = [self.cores.load]
            command += ["--calibrate-core", str(self.cores.server)]
            if cell.kind == "mixed":
                command += ["--spin", "1"]
        with self._server(cell, peer) as server:
            pid = server.process.pid
            command += ["--port", str(server.port), "--server-pid", str(pid)]
            if load_cores == [self.cores.load]:
                command += ["--core", str(self.cores.load)]
                # Its calibration thread must be able to go to the server's core.
                load_cores = self.cores.all
            lines, others = _json_lines(command, load_cores, seconds + 30, [pid])
            peak_kib = server.peak_memory_kib()
        sample = _echo_sample(lines[0]) if cell.kind == "echo" else _mixed_sample(lines[0])
        sample["server_peak_mib"] = peak_kib / 1024
        return sample, others

    def _run_micro(self, cell, peer):
        command = [str(self.builder.program(peer.program)), "--threads", str(cell.threads)]
        command += [
            "--compute",
            str(cell.threads),
            "--seconds",
            str(self.seconds["micro"]),
            *peer.arguments,
        ]
        lines, others = _json_lines(command, self._cores_of(cell), 120)
        sample = {}
        for line in lines:
            sample[f"{line['name']}.ns"] = line["ns_per_op"]
            sample[f"{line['name']}.cpu_ns"] = line["cpu_ns_per_op"]
        return sample, others


def _echo_sample(line):
    cpu_ns = line["server_cpu_ns_per_op"]
    sample = {
        "cpu_us_per_op": cpu_ns / 1000,
        "cpu_per_calibration": cpu_ns / line["calibration_ns"] if line["calibration_ns"] else 0,
        "thousand_per_s": line["rate"] / 1000,
        "calibration_ns": line["calibration_ns"],
        "requests": line["requests"],
        "verified_bytes": line["verified_bytes"],
    }
    return sample | {f"{name}_us": value for name, value in line["latency_us"].items()}


def _mixed_sample(line):
    sample = {
        "heavy_per_s": line["heavy"]["rate"],
        "cpu_seconds_per_s": line["server_cpu_seconds"] / line["seconds"],
        "calibration_ns": line["calibration_ns"],
        "requests": line["requests"],
    }
    return sample | {
        f"cheap_{name}_us": value for name, value in line["cheap"]["latency_us"].items()
    }
