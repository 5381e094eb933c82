"""What is measured: the peers and the cells (one cell = one kind of load at one size of server)."""

import dataclasses

from . import core


@dataclasses.dataclass(frozen=True)
class Peer:
    """One contestant of one kind of cell. `arguments` follow the common command line."""

    name: str
    program: str
    arguments: tuple = ()
    environment: tuple = ()
    one_thread_only: bool = False


PEERS = {
    "echo": (
        Peer("blitzio", "blitzio/echo_server"),
        Peer("blitzio_epoll", "blitzio/echo_server", environment=(("BLITZIO_BACKEND", "epoll"),)),
        Peer("tokio_multi", "tokio/echo_server", ("--flavor", "multi")),
        Peer("tokio_current", "tokio/echo_server", ("--flavor", "current"), one_thread_only=True),
        Peer("go", "go/echo_server"),
        Peer("raw_uring", "native/uring_echo", one_thread_only=True),
    ),
    "mixed": (
        Peer("blitzio", "blitzio/mixed_workload"),
        Peer(
            "blitzio_epoll", "blitzio/mixed_workload", environment=(("BLITZIO_BACKEND", "epoll"),)
        ),
        Peer("tokio_multi", "tokio/mixed_server", ("--flavor", "multi")),
        Peer("tokio_current", "tokio/mixed_server", ("--flavor", "current"), one_thread_only=True),
        Peer("tokio_multi_nice10", "tokio/mixed_server", ("--flavor", "multi", "--nice", "10")),
        Peer("go", "go/mixed_server"),
        Peer("go_pool", "go/mixed_server", ("--pool",)),
    ),
    "micro": (
        Peer("blitzio", "blitzio/blitzio_micro"),
        Peer("tokio_multi", "tokio/micro", ("--flavor", "multi")),
        Peer("tokio_current", "tokio/micro", ("--flavor", "current"), one_thread_only=True),
        Peer("go", "go/micro"),
        Peer("raw_tbb", "native/tbb_micro"),
    ),
    "core": (
        Peer("blitzio", "blitzio/blitzio_core"),
        Peer("tokio_multi", "tokio/core_shapes", ("--flavor", "multi")),
        Peer(
            "tokio_current", "tokio/core_shapes", ("--flavor", "current"), one_thread_only=True
        ),
        Peer("go", "go/core"),
        Peer("tmc", "tmc/tmc_core", ("--executor", "cpu")),
        Peer("tmc_st", "tmc/tmc_core", ("--executor", "st"), one_thread_only=True),
    ),
    "parallel": (
        Peer("blitzio", "blitzio/blitzio_parallel"),
        Peer("tokio_rayon", "tokio/parallel", ("--flavor", "multi")),
        Peer("raw_tbb", "native/tbb_parallel"),
    ),
}

# The floor that each kind of cell is held against.
FLOORS = {"echo": "raw_uring", "mixed": None, "micro": "raw_tbb", "core": None, "parallel": None}


@dataclasses.dataclass(frozen=True)
class Cell:
    """T1: a program with one core, one I/O and one compute thread. T2: two of each, not pinned.
    `shapes`: what a core cell consists of."""

    name: str
    kind: str
    topology: str
    load: tuple = ()
    shapes: tuple = ()

    @property
    def threads(self):
        return 1 if self.topology == "T1" else 2

    def peers(self):
        return [peer for peer in PEERS[self.kind] if self.threads == 1 or not peer.one_thread_only]


def _echo(connections, payload):
    load = ("--connections", str(connections), "--payload", str(payload))
    return Cell(f"echo_{connections}x{payload}", "echo", "T1", load)


def _mixed(topology, heavy_connections):
    load = (
        "--cheap-rate",
        "2000",
        "--cheap-connections",
        "4",
        "--heavy-connections",
        str(heavy_connections),
    )
    return Cell(f"mixed_{topology.lower()}", "mixed", topology, load)


ALL = (
    *(_echo(connections, payload) for payload in (64, 4096) for connections in (1, 64, 1000)),
    _mixed("T1", 2),
    _mixed("T2", 4),
    Cell("micro_t1", "micro", "T1"),
    Cell("micro_t2", "micro", "T2"),
    Cell("core_t1", "core", "T1", shapes=core.SHAPES),
    Cell("core_t2", "core", "T2", shapes=core.SHAPES),
    Cell("parallel_t1", "parallel", "T1", shapes=core.PARALLEL_SHAPES),
    Cell("parallel_t2", "parallel", "T2", shapes=core.PARALLEL_SHAPES),
)
QUICK = (
    *("echo_1x64", "echo_64x64", "echo_1000x64", "echo_64x4096", "mixed_t1", "micro_t1"),
    *("core_t1", "core_t2"),
)


def _with_shapes(cell, wanted):
    shapes = tuple(shape for shape in cell.shapes if shape.name in wanted)
    return dataclasses.replace(cell, shapes=shapes)


def select(names, quick):
    """(cells, peer names or None) for --only, whose names may be peers, cells, kinds of cells and
    shapes of the core cells."""
    peer_names = {peer.name for peers in PEERS.values() for peer in peers}
    kind_of_shape = {shape.name: kind for kind, shapes in core.KINDS.items() for shape in shapes}
    shape_names = set(kind_of_shape)
    peers = {name for name in names if name in peer_names}
    shapes = {name for name in names if name in shape_names}
    wanted = set(names) - peers - shapes
    unknown = wanted - set(PEERS) - {cell.name for cell in ALL}
    if unknown:
        choices = sorted(peer_names | shape_names | set(PEERS) | {cell.name for cell in ALL})
        raise ValueError(
            f"unknown name {', '.join(sorted(unknown))}; there are {', '.join(choices)}"
        )
    if shapes and not wanted:
        wanted = {kind_of_shape[name] for name in shapes}
    # A cell named outright is measured even if the quick choice would leave it out.
    cells = [
        cell
        for cell in ALL
        if cell.name in wanted
        or ((cell.kind in wanted or not wanted) and (not quick or cell.name in QUICK))
    ]
    if shapes:
        cells = [_with_shapes(cell, shapes) if cell.shapes else cell for cell in cells]
    return cells, peers or None
