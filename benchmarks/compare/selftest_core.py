"""Shows that the core cells' part of the harness does what it says, with programs and a runner that
are made up: parsing, interleaving, failures, bars, tables. Called by selftest.py."""

import json
import os
import pathlib
import stat
import tempfile
import time

import run as program
from harness import build, cells, core, core_report, measure, report

PROGRAM = "#!/bin/sh\n{}\n"


class Refused(Exception):
    """What expect() raises."""


def expect(condition, what):
    if not condition:
        raise Refused(what)


def refuses(kind, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        return str(error)
    raise Refused(f"{call.__name__}{arguments} should fail")


class FakeBuilder:
    """Programs that are shell scripts; "t/NAME" is NAME in its folder."""

    def __init__(self, folder, scripts):
        self.folder = pathlib.Path(folder)
        for name, text in scripts.items():
            path = self.folder / name
            path.write_text(PROGRAM.format(text))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def program(self, name):
        return self.folder / name.split("/")[1]


def bench_of(folder, scripts):
    seconds = {"core": 0.01, "idle": 0.2}
    return measure.Bench(FakeBuilder(folder, scripts), measure.Cores(), seconds, 0)


def shape_named(name):
    return next(shape for shape in core.SHAPES if shape.name == name)


def line(name, **figures):
    return "echo '" + json.dumps({"name": name, **figures}) + "'"


T1 = next(cell for cell in cells.ALL if cell.name == "core_t1")
T2 = next(cell for cell in cells.ALL if cell.name == "core_t2")
MUTEX = shape_named("mutex")


def check_parsing():
    good = line("mutex", ns_per_op=5.0, cpu_ns_per_op=4.5)
    scripts = {
        "good": good,
        "echoes": 'echo "{\\"name\\": \\"mutex\\", \\"ns_per_op\\": $4}"; test "$6 $2" = "mutex 1"',
        "fails": f"{good}; echo broken >&2; exit 3",
        "silent": "exit 0",
        "twice": f"{good}; {good}",
        "other": line("yield", ns_per_op=1.0),
        "lacking": line("mutex", cpu_ns_per_op=1.0),
        "negative": line("mutex", ns_per_op=-1.0),
        "infinite": "echo '{\"name\": \"mutex\", \"ns_per_op\": NaN}'",
        "babble": "echo not JSON",
        "cores": 'echo "{\\"name\\": \\"mutex\\", \\"ns_per_op\\": $(nproc)}"',
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = bench_of(folder, scripts)
        sample, others = core.run_shape(bench, T1, cells.Peer("a", "t/good"), MUTEX)
        expect(sample == {"mutex.ns": 5.0, "mutex.cpu_ns": 4.5}, f"parsed {sample}")
        expect(others >= 0, "a share of others")
        sample, _ = core.run_shape(bench, T1, cells.Peer("a", "t/echoes"), MUTEX)
        expect(sample == {"mutex.ns": 0.01}, f"the command line arrived as {sample}")
        for cell, cores in ((T1, 1.0), (T2, 2.0)):
            sample, _ = core.run_shape(bench, cell, cells.Peer("a", "t/cores"), MUTEX)
            expect(sample == {"mutex.ns": cores}, f"{cell.name} has {sample} cores")
        for name in ("silent", "twice", "other", "lacking", "negative", "infinite", "babble"):
            peer = cells.Peer(name, f"t/{name}")
            refuses(measure.RunError, core.run_shape, bench, T1, peer, MUTEX)
        peer = cells.Peer("fails", "t/fails")
        text = refuses(measure.RunError, core.run_shape, bench, T1, peer, MUTEX)
        expect("3" in text and "broken" in text, f"status and reason are told: {text}")


def check_together():
    idle = shape_named("idle")
    scripts = {
        "calm": "sleep 0.4; " + line("idle", cpu_percent=0.0, voluntary=1, involuntary=0),
        "fails": "exit 1",
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = bench_of(folder, scripts)
        peers = [cells.Peer("a", "t/calm"), cells.Peer("b", "t/fails"), cells.Peer("c", "t/calm")]
        begin = time.monotonic()
        outcomes = dict(core.run_together(bench, T1, peers, idle))
        elapsed = time.monotonic() - begin
    by_name = {peer.name: outcome for peer, outcome in outcomes.items()}
    expect(by_name["a"][0]["idle.cpu_percent"] == 0, "one contestant's figure")
    expect(isinstance(by_name["b"], measure.RunError), "a failure is that contestant's alone")
    expect("c" in by_name and elapsed < 0.79, f"all at once, in {elapsed:.2f} s")


def check_interleaving():
    rare = core.Shape("rare", (core.Metric("ns", "ns"),), lacks=("go",), rounds_max=1)
    cell = cells.Cell("core_t1", "core", "T1", shapes=(MUTEX, rare))
    peers = [cells.Peer(name, f"t/{name}") for name in ("blitzio", "tokio_multi", "go")]
    calls = []

    def step(_, takers, shape, number):
        for peer in takers:
            calls.append((number, shape.name, peer.name))
            broken = (peer.name, shape.name, number) == ("go", "mutex", 0)
            yield peer, measure.RunError("broken") if broken else ({f"{shape.name}.ns": 1.0}, 0.0)

    outcomes = list(core.measure_rounds(cell, peers, 3, step))
    b, t, g = "blitzio", "tokio_multi", "go"
    expect(
        calls
        == [
            *((0, "mutex", name) for name in (b, t, g)),
            *((0, "rare", name) for name in (b, t)),
            *((1, "mutex", name) for name in (t, b)),
            *((2, "mutex", name) for name in (b, t)),
        ],
        f"the order was {calls}",
    )
    expect(len(outcomes) == len(calls), "every outcome is told")


class FakeSession(program.Session):
    """A session without anything to build."""

    def __init__(self, step, rounds):
        self.core_rounds = rounds
        self.core_step = step
        self.problems, self.notices = [], []
        self.deadline = None


def measured_with(values, shape=MUTEX, topology="T1"):
    """A measured cell: {peer: [first metric by round]}, a RunError for a failure."""
    cell = cells.Cell(f"core_{topology.lower()}", "core", topology, shapes=(shape,))
    metric = f"{shape.name}.{shape.metrics[0].name}"

    def step(_, takers, __, number):
        for peer in takers:
            value = values[peer.name][number]
            failed = isinstance(value, measure.RunError)
            yield peer, value if failed else ({metric: value}, 0.5 if number == 1 else 0.0)

    session = FakeSession(step, len(next(iter(values.values()))))
    return session.measure_core(cell, [cells.Peer(name, "t/x") for name in values]), session


def check_summary():
    broken = measure.RunError("broken")
    cell, session = measured_with(
        {"blitzio": [4.0, 9.0, 5.0], "tokio_multi": [20.0, broken, 1.0], "go": [broken, 1.0, 1.0]}
    )
    summary = cell["peers"]["blitzio"]["summary"]["mutex.ns"]
    expect(summary == {"median": 5.0, "min": 4.0, "max": 9.0}, f"summary {summary}")
    expect(cell["peers"]["blitzio"]["disturbed"] == 1, "disturbed runs are counted")
    expect(cell["peers"]["tokio_multi"]["runs"] == 1, "who failed is not asked again")
    expect(cell["peers"]["go"]["samples"] == [], "no sample of who failed at once")
    expect(len(session.problems) == 2, f"problems {session.problems}")


def check_bars():
    cell, _ = measured_with({"blitzio": [8.0], "tokio_multi": [20.0], "go": [4.0]})
    met, missed = {"T1": {"mutex.ns": 8}}, {"T1": {"mutex.ns": 7.9, "yield.ns": 1}}
    other = {"T2": {"mutex.ns": 1}}
    (verdict,) = core_report.evaluate_bars([cell], met)
    expect(verdict["met"] and verdict["best_peer"] == "go", f"equal is met: {verdict}")
    (verdict,) = core_report.evaluate_bars([cell], missed)
    expect(not verdict["met"], "above is missed, and what was not measured has no verdict")
    expect(core_report.evaluate_bars([cell], other) == [], "a bar belongs to its setup")
    text = report.cell_text(cell, [verdict])
    row = next(row for row in text.splitlines() if row.startswith("| mutex, ns"))
    fields = [field.strip() for field in row.strip("|").split("|")]
    expected = ["mutex, ns", "7.9", "MISSED", "2.00 go", "8.0", "20.0", "4.0"]
    expect(fields == expected, f"row {fields}")
    expect("0 met, 1 missed" in core_report.bars_text([verdict]), "the list of bars counts")
    alone, _ = measured_with({"blitzio": [8.0, 6.0]})
    (verdict,) = core_report.evaluate_bars([alone], met)
    expect(verdict["best_peer"] is None and verdict["value"] == 7.0, f"without a peer: {verdict}")
    expect("7.0 (6.0-8.0)" in report.cell_text(alone, []), "the spread is shown")


def check_bars_file():
    bars = core_report.load_bars()
    expect(set(bars) == {"T1", "T2"}, "both setups have bars")
    for text in ({"T1": {"no.such": 1}}, {"T3": {"mutex.ns": 1}}, {"T1": {"mutex.such": 1}}):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(text))
            file.flush()
            refuses(ValueError, core_report.load_bars, pathlib.Path(file.name))


def check_selection():
    names = lambda chosen: [cell.name for cell in chosen]  # noqa: E731
    chosen, peers = cells.select(["core"], False)
    expect((names(chosen), peers) == (["core_t1", "core_t2"], None), "--only core")
    chosen, peers = cells.select(["mutex", "core_t2", "go"], False)
    expect((names(chosen), peers) == (["core_t2"], {"go"}), "a cell, a shape and a peer")
    expect([shape.name for shape in chosen[0].shapes] == ["mutex"], "only that shape")
    expect(names(cells.select(["mutex"], False)[0]) == ["core_t1", "core_t2"], "a shape alone")
    expect("core_t1" in names(cells.select([], True)[0]), "the quick run has the core cells")
    refuses(ValueError, cells.select, ["no_such_shape"], False)


def check_optional_checkout():
    """A peer that is built from elsewhere: without its folder left out, with a wrong one a failure."""
    known = os.environ.pop(build.TMC_VARIABLE, None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            text = refuses(build.Missing, build.Builder(path).program, "tmc/tmc_core")
            expect(build.TMC_VARIABLE in text, f"the notice names the variable: {text}")
            os.environ[build.TMC_VARIABLE] = folder
            builder = build.Builder(path)
            text = refuses(build.BuildError, builder.program, "tmc/tmc_core")
            expect(folder in text, f"the folder is named: {text}")
            expect(not isinstance(builder.done["tmc"], build.Missing), "a wrong folder is no lack")
            expect(build.versions(path)["tmc"] is None, "nothing was built")
            include = path / "include/tmc"
            include.mkdir(parents=True)
            numbers = "#define TMC_VERSION_MAJOR 1\n#define TMC_VERSION_MINOR 7\n"
            (include / "version.hpp").write_text(numbers + "#define TMC_VERSION_PATCH 2\n")
            (path / "tmc").mkdir()
            cache = path / "tmc/CMakeCache.txt"
            for line_of_cache, expected in (
                ("BLITZIO_COMPARE_MALLOC:FILEPATH=/x/libtcmalloc.so", "1.7.2 with libtcmalloc.so"),
                ("BLITZIO_COMPARE_MALLOC:FILEPATH=BLITZIO_COMPARE_MALLOC-NOTFOUND", "1.7.2"),
            ):
                cache.write_text(line_of_cache + "\n")
                found = build.versions(path)["tmc"]
                expect(found == expected, f"version {found}")
    finally:
        os.environ.pop(build.TMC_VARIABLE, None)
        if known is not None:
            os.environ[build.TMC_VARIABLE] = known


def check_what_peers_lack():
    alone = {shape.name for shape in core.SHAPES if shape.taken_by(cells.Peer("tmc_st", "t/x"))}
    expect({"spawn_join", "mpmc_4p4c", "parked"} <= alone, f"shapes of tmc_st: {alone}")
    expect(not {"oneshot", "sleeps", "idle", "shutdown"} & alone, f"shapes of tmc_st: {alone}")
    names = [peer.name for peer in T2.peers()]
    expect("tmc" in names and "tmc_st" not in names, f"two threads: {names}")


def check_old_results():
    old = pathlib.Path(__file__).resolve().parent.parent / "results/compare.json"
    text = report.full_text(json.loads(old.read_text(encoding="utf-8")))
    expect("## micro_t1" in text, "results of before the core cells can be shown")


CASES = (
    check_parsing,
    check_together,
    check_interleaving,
    check_summary,
    check_bars,
    check_bars_file,
    check_selection,
    check_optional_checkout,
    check_what_peers_lack,
    check_old_results,
)


def run_cases():
    """The number of failures."""
    failed = 0
    for case in CASES:
        try:
            case()
            print(f"ok     {case.__name__}")
        except Refused as reason:
            failed += 1
            print(f"FAILED {case.__name__}: {reason}")
    return failed
