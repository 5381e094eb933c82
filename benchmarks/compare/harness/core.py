"""The core cells: which shapes there are, and how one of them is run in one contestant.

Every shape runs in a process of its own, so that the contestants take turns shape by shape and a
slow phase of the machine meets all of them.
"""

import dataclasses
import math

from . import measure


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of a shape; less is better. `text` says what it is, with its unit."""

    name: str
    text: str
    decimals: int = 1


@dataclasses.dataclass(frozen=True)
class Shape:
    """`lacks`: beginnings of the names of peers that have no such thing. `rounds_max`: for what
    does not vary. `together`: all contestants at once, for what costs nothing if it is right."""

    name: str
    metrics: tuple
    lacks: tuple = ()
    rounds_max: int = 1_000_000
    together: bool = False

    def taken_by(self, peer):
        return not peer.name.startswith(self.lacks) if self.lacks else True


def _rate(name, lacks=()):
    return Shape(name, (Metric("ns", "ns"), Metric("cpu_ns", "CPU ns")), lacks)


SHAPES = (
    _rate("spawn_join"),
    _rate("fan_out"),
    _rate("fan_out_handles", ("go",)),
    _rate("yield"),
    _rate("await_in_place", ("go",)),
    _rate("ping_pong"),
    _rate("mpmc_1p1c"),
    _rate("mpmc_4p4c"),
    _rate("mpsc_1p1c", ("go",)),
    _rate("oneshot", ("tmc",)),
    _rate("mutex"),
    _rate("select_two", ("tmc",)),
    _rate("timer_cancel", ("tmc",)),
    _rate("timeout_yield", ("tmc",)),
    Shape(
        "sleeps",
        (
            Metric("late_p99_ms", "late p99 ms"),
            Metric("late_p50_ms", "late p50 ms"),
            Metric("cpu_s", "CPU s", 3),
        ),
        ("tmc",),
    ),
    Shape(
        "parked",
        (
            Metric("bytes", "bytes/task", 0),
            Metric("locals_bytes", "of them its locals", 0),
            Metric("beyond_locals_bytes", "beyond its locals", 0),
        ),
        rounds_max=2,
    ),
    Shape(
        "idle",
        (
            Metric("cpu_percent", "CPU %", 4),
            Metric("voluntary", "voluntary switches", 0),
            Metric("involuntary", "involuntary switches", 0),
        ),
        ("tmc",),
        rounds_max=1,
        together=True,
    ),
    Shape("shutdown", (Metric("ms", "ms", 2), Metric("cpu_ms", "CPU ms", 2)), ("go", "tmc")),
    Shape("start_stop", (Metric("ms", "ms", 2), Metric("worst_ms", "worst ms", 2)), ("go", "tmc")),
)

PARALLEL_SHAPES = (
    Shape("parallel_map", (Metric("ms", "ms for 100 M u64", 2),)),
    Shape("parallel_reduce", (Metric("ms", "ms for 100 M u64", 2),)),
    Shape("parallel_sort", (Metric("ms", "ms for 10 M u64", 1),)),
    Shape(
        "loop_handover",
        (Metric("us", "us more than called directly", 2), Metric("loop_us", "loop, us", 1)),
        ("raw_tbb",),
    ),
)

# The kinds of cells that consist of shapes.
KINDS = {"core": SHAPES, "parallel": PARALLEL_SHAPES}

# What the programs call the figures of a rate.
_RENAMED = {"ns_per_op": "ns", "cpu_ns_per_op": "cpu_ns"}


def _command(bench, cell, peer, shape):
    seconds = bench.seconds["idle" if shape.together else cell.kind]
    return [
        str(bench.builder.program(peer.program)),
        *("--threads", str(cell.threads)),
        *("--seconds", str(seconds)),
        *("--only", shape.name),
        *peer.arguments,
    ]


def _cores(bench, cell):
    return [bench.cores.server] if cell.threads == 1 else bench.cores.all[: cell.threads]


def sample_of(lines, peer, shape):
    """{"shape.metric": value} of what a program printed; RunError if it is not that shape."""
    if len(lines) != 1 or lines[0].get("name") != shape.name:
        raise measure.RunError(f"{peer.name} answers {lines!r} when asked for {shape.name}")
    figures = {_RENAMED.get(key, key): value for key, value in lines[0].items() if key != "name"}
    if shape.metrics[0].name not in figures:
        raise measure.RunError(f"{peer.name} tells no {shape.metrics[0].name} of {shape.name}")
    for key, value in figures.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            raise measure.RunError(f"{peer.name}: {shape.name}.{key} is {value!r}")
    return {f"{shape.name}.{key}": value for key, value in figures.items()}


def run_shape(bench, cell, peer, shape):
    """One sample of one contestant, and the share of a core that others took."""
    command = _command(bench, cell, peer, shape)
    run = measure.Run(command, _cores(bench, cell), environment=dict(peer.environment))
    lines, others = run.lines(120)
    return sample_of(lines, peer, shape), others


def run_together(bench, cell, peers, shape):
    """(peer, outcome of run_shape() or a RunError) of all of them at once."""
    runs = []
    for peer in peers:
        command = _command(bench, cell, peer, shape)
        run = measure.Run(command, _cores(bench, cell), environment=dict(peer.environment))
        runs.append((peer, run))
    pids = [run.process.pid for _, run in runs]
    outcomes = []
    for peer, run in runs:
        run.exclude(pids)
        try:
            lines, others = run.lines(bench.seconds["idle"] + 60)
            outcomes.append((peer, (sample_of(lines, peer, shape), others)))
        except measure.RunError as error:
            outcomes.append((peer, error))
    return outcomes


def measure_rounds(cell, peers, rounds, step):
    """Interleaves: for each round and shape every contestant once, beginning with another one each
    round. `step(cell, peers, shape, number)` gives (peer, (sample, others) or RunError) for each;
    who fails at a shape is not asked for it again. Yields (number, peer, shape, outcome)."""
    failed = set()
    for number in range(rounds):
        for shape in cell.shapes:
            if number >= shape.rounds_max:
                continue
            takers = [
                peer
                for peer in peers
                if shape.taken_by(peer) and (peer.name, shape.name) not in failed
            ]
            first = number % len(takers) if takers else 0
            for peer, outcome in step(cell, takers[first:] + takers[:first], shape, number):
                if isinstance(outcome, measure.RunError):
                    failed.add((peer.name, shape.name))
                yield number, peer, shape, outcome
