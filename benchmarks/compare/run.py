#!/usr/bin/env python3
"""Compares blitzio with Tokio, Go and bare liburing: builds, measures interleaved, reports.

Exit status: 0 all measured and every answer right; 1 a contestant failed or answered wrongly;
2 the comparison cannot run.
"""

import argparse
import datetime
import functools
import json
import pathlib
import sys
import time

from harness import build, cells, core, core_report, measure, report

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from machine import describe_machine  # noqa: E402

DISTURBED_SHARE = 0.12


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer cells and shorter runs, within 2.5 minutes"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME,...",
        help="peers, cells, kinds of them (echo, mixed, micro, core, parallel) and shapes of the latter two",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="runs of every contestant in every cell (default 5; quick 3, and 1 in core cells)",
    )
    parser.add_argument("--build-dir", type=pathlib.Path, default=build.CHECKOUT / "build/compare")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE.json",
        help="default: results/ in the build folder",
    )
    parser.add_argument(
        "--show", type=pathlib.Path, metavar="FILE.json", help="print the tables of an earlier run"
    )
    return parser.parse_args()


class Session:
    """One invocation: what can be built, the interleaved rounds, the problems met."""

    def __init__(self, arguments):
        self.quick = arguments.quick
        self.rounds = arguments.rounds or (3 if arguments.quick else 5)
        self.core_rounds = arguments.rounds or (1 if arguments.quick else 5)
        self.bars = core_report.load_bars()
        self.builder = build.Builder(arguments.build_dir.resolve())
        seconds = (
            {"echo": 0.4, "mixed": 1.0, "micro": 0.08, "core": 0.03, "parallel": 0.1, "idle": 2.0}
            if self.quick
            else {"echo": 0.8, "mixed": 2.0, "micro": 0.3, "core": 0.06, "parallel": 0.4, "idle": 10.0}
        )
        self.settings = {
            "seconds": seconds,
            "warmup": 0.15 if self.quick else 0.3,
            "rounds": self.rounds,
            "core_rounds": self.core_rounds,
        }
        self.bench = measure.Bench(self.builder, measure.Cores(), seconds, self.settings["warmup"])
        self.problems = []
        self.notices = []
        self.deadline = None

    def build(self, chosen, peer_names):
        """The contestants of each cell that can run, the others named with their reason."""
        self.builder.program("native/loadgen")
        contestants = {}
        reported = set()
        for cell in chosen:
            contestants[cell] = []
            for peer in cell.peers():
                if peer_names is not None and peer.name not in peer_names:
                    continue
                try:
                    self.builder.program(peer.program)
                    contestants[cell].append(peer)
                except build.BuildError as error:
                    if str(error) not in reported:
                        reported.add(str(error))
                        target = self.notices if isinstance(error, build.Missing) else self.problems
                        target.append(f"{peer.name} is left out: {error}")
        # Compiling is over: the time limit of the quick run is for measuring. Core cells come last
        # and run at least once whatever the time is, for half a minute both.
        if self.quick:
            with_core = any(cell.kind in core.KINDS for cell in chosen)
            self.deadline = time.monotonic() + (95 if with_core else 140)
        return contestants

    def out_of_time(self):
        return self.deadline is not None and time.monotonic() > self.deadline

    def sample(self, run, attempts, pause):
        """The least disturbed outcome of a few tries of `run`, (sample, share of others)."""
        best = None
        for attempt in range(attempts):
            if attempt > 0:
                if self.out_of_time():
                    break
                time.sleep(pause * attempt)
            sample, others = run()
            if best is None or others < best[1]:
                best = (sample, others)
            if others <= DISTURBED_SHARE:
                break
        return best

    def measure_cell(self, cell, peers):
        entries = {peer.name: {"samples": [], "disturbed": 0} for peer in peers}
        for peer in list(peers):
            try:
                self.bench.verify(cell, peer)
            except measure.RunError as error:
                self.problems.append(f"{cell.name}, {peer.name}: {error}")
                peers = [other for other in peers if other != peer]
        for number in range(self.rounds):
            if number > 0 and self.out_of_time():
                self.notices.append(
                    f"{cell.name}: only {number} of {self.rounds} rounds within the time limit"
                )
                break
            for peer in list(peers):
                try:
                    run = functools.partial(self.bench.run, cell, peer)
                    sample, others = self.sample(run, attempts=2 if self.quick else 4, pause=0.5)
                except measure.RunError as error:
                    self.problems.append(f"{cell.name}, {peer.name}, round {number + 1}: {error}")
                    peers = [other for other in peers if other != peer]
                    continue
                entries[peer.name]["samples"].append(sample | {"others_share": others})
                entries[peer.name]["disturbed"] += others > DISTURBED_SHARE
        return measured_cell(cell, entries)

    def core_step(self, cell, peers, shape, number):
        """One shape in each of the contestants, one after the other or all at once."""
        if number > 0 and self.out_of_time():
            return []
        if shape.together:
            return core.run_together(self.bench, cell, peers, shape)
        outcomes = []
        for peer in peers:
            try:
                run = functools.partial(core.run_shape, self.bench, cell, peer, shape)
                # There are hundreds of these: a busy machine must not make it last for hours.
                outcomes.append((peer, self.sample(run, attempts=2, pause=0.1)))
            except measure.RunError as error:
                outcomes.append((peer, error))
        return outcomes

    def measure_core(self, cell, peers):
        rounds = {peer.name: {} for peer in peers}
        entries = {peer.name: {"runs": 0, "disturbed": 0} for peer in peers}
        outcomes = core.measure_rounds(cell, peers, self.core_rounds, self.core_step)
        for number, peer, shape, outcome in outcomes:
            if isinstance(outcome, measure.RunError):
                self.problems.append(
                    f"{cell.name}, {peer.name}, {shape.name}, round {number + 1}: {outcome}"
                )
                continue
            sample, others = outcome
            whole = rounds[peer.name].setdefault(number, {"others_share": 0.0})
            whole |= sample | {"others_share": max(others, whole["others_share"])}
            entries[peer.name]["runs"] += 1
            entries[peer.name]["disturbed"] += others > DISTURBED_SHARE
        for name, entry in entries.items():
            entry["samples"] = list(rounds[name].values())
        if self.core_rounds > 1 and self.out_of_time():
            self.notices.append(f"{cell.name}: the time limit may have cut its rounds short")
        return measured_cell(cell, entries)


def measured_cell(cell, entries):
    """A cell's part of the result file."""
    for entry in entries.values():
        entry["summary"] = report.summarise(entry["samples"])
    return {
        "name": cell.name,
        "kind": cell.kind,
        "topology": cell.topology,
        "load": cell.load,
        "peers": entries,
    }


def write_result(arguments, result):
    out = arguments.out
    if out is None:
        stamp = result["date"].replace(":", "").replace("-", "")
        out = arguments.build_dir / "results" / f"compare-{stamp}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {out}")


def main():
    arguments = parse_arguments()
    if arguments.show:
        print(report.full_text(json.loads(arguments.show.read_text(encoding="utf-8"))))
        return 0
    try:
        chosen, peer_names = cells.select(
            [name for name in arguments.only.split(",") if name], arguments.quick
        )
        session = Session(arguments)
        contestants = session.build(chosen, peer_names)
    except (ValueError, build.BuildError, measure.RunError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    for notice in session.notices + session.problems:
        print(notice, flush=True)
    measured = []
    for cell in chosen:
        print(f"measuring {cell.name} ...", flush=True)
        run = session.measure_core if cell.kind in core.KINDS else session.measure_cell
        measured.append(run(cell, contestants[cell]))
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "quick": arguments.quick,
        "machine": describe_machine(),
        "versions": build.versions(session.builder.folder),
        "settings": session.settings,
        "cells": measured,
        "targets": report.evaluate_targets(measured),
        "bars": core_report.evaluate_bars(measured, session.bars),
        "notices": session.notices,
        "problems": session.problems,
    }
    print("\n" + report.full_text(result))
    write_result(arguments, result)
    return 1 if session.problems else 0


if __name__ == "__main__":
    sys.exit(main())
