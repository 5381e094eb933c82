#!/usr/bin/env python3
"""When handing a computation to the pool pays: measures, or shows what was measured.

    python3 benchmarks/offload_pays.py --build build/release --json benchmarks/results/offload.json
    python3 benchmarks/offload_pays.py --show benchmarks/results/offload.json --svg docs/images

The first runs the program offload_pays (a build with BLITZIO_BUILD_BENCHMARKS=ON); the second prints the tables of
docs/when-to-offload.md and draws its plots. Medians over the rounds, each of which measures everything once."""

import collections
import datetime
import json
import statistics
import subprocess

from machine import describe_machine, run_or_show
from svg_plot import duration, line_plot


def measure(program, rounds):
    output = subprocess.run([program, str(rounds)], check=True, capture_output=True, text=True)
    cells = collections.defaultdict(list)
    for line in output.stdout.splitlines():
        sample = json.loads(line)
        value = sample.pop("ns_per_job" if sample["kind"] == "job" else "ns_per_element")
        cells[tuple(sorted(sample.items()))].append(value)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rounds": rounds,
        "call_sites": output.stderr.splitlines(),
        "cells": [dict(key) | {"ns": samples} for key, samples in sorted(cells.items())],
    }


def jobs_of(result, in_flight):
    table = collections.defaultdict(dict)
    for cell in result["cells"]:
        if cell["kind"] == "job" and cell["in_flight"] == in_flight:
            table[cell["length_ns"]][cell["mode"]] = statistics.median(cell["ns"])
    return dict(sorted(table.items()))


def crossover(table):
    """The job length from which on the pool is not slower, between the two measured ones around it; None: never."""
    previous = None
    for length, modes in table.items():
        gain = modes["inline"] / modes["pool"]
        if gain >= 1:
            if previous is None:
                return length
            low, low_gain = previous
            return low * (length / low) ** ((1 - low_gain) / (gain - low_gain))
        previous = (length, gain)
    return None


def regret(table):
    """How much longer automatic takes than the best fixed threshold, summed over the
    lengths from 1 us on, each in units of the better side."""
    lengths = [length for length in table if length >= 1000]

    def cost(choose):
        return statistics.mean(choose(length) / min(table[length]["inline"], table[length]["pool"])
                               for length in lengths)
    fixed = min(cost(lambda length, t=t: table[length]["inline" if length < t else "pool"])
                for t in lengths + [float("inf")])
    return cost(lambda length: table[length]["automatic"]) / fixed


def loops_of(result):
    table = collections.defaultdict(dict)
    for cell in result["cells"]:
        if cell["kind"] == "loop":
            table[cell["element_ns"]][cell["grain"]] = statistics.median(cell["ns"])
    return dict(sorted(table.items()))


def best_grain(by_grain):
    """The smallest grain that is within 5 % of the fastest, and its speed-up."""
    parallel = {grain: ns for grain, ns in by_grain.items() if grain}
    fastest = min(parallel.values())
    grain = min(g for g, ns in parallel.items() if ns <= fastest * 1.05)
    return grain, by_grain[0] / parallel[grain]


def show(result, svg):
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, kernel {machine['kernel']}, {result['date']}, "
          f"median of {result['rounds']} rounds\n")
    for in_flight in (1, 64):
        table = jobs_of(result, in_flight)
        print(f"| job | inline | pool | automatic | ({in_flight} in flight)\n|---|---|---|---|")
        for length, modes in table.items():
            print(f"| {duration(length)} | " + " | ".join(duration(modes[m]) for m in ("inline", "pool", "automatic"))
                  + " |")
        at = crossover(table)
        print(f"crossover: {duration(at) if at else 'none'}; automatic / best fixed threshold: {regret(table):.2f}\n")
        if svg:
            series = {m: [(length, modes[m]) for length, modes in table.items()]
                      for m in ("inline", "pool", "automatic")}
            text = line_plot(f"Time per job, {in_flight} in flight", "computing in the job", "time per job", series,
                             duration, duration, [(at, "crossover")] if at else [])
            (svg / f"when-to-offload-{in_flight}.svg").write_text(text, encoding="utf-8")
    print("| element | one thread | best grain | work in a chunk | speed-up |\n|---|---|---|---|---|")
    loops = loops_of(result)
    for element, by_grain in loops.items():
        grain, gain = best_grain(by_grain)
        print(f"| {duration(element)} | {duration(by_grain[0])} | {grain} | {duration(by_grain[0] * grain)} | "
              f"{gain:.2f} |")
    if svg:
        series = {f"elements of {duration(element)}":
                  [(by_grain[0] * grain, by_grain[0] / ns) for grain, ns in by_grain.items() if grain]
                  for element, by_grain in loops.items()}
        text = line_plot("Speed-up of parallel_map by the work in a chunk", "computing in a chunk",
                         "one thread / two threads", series, duration, lambda value: f"{value:.3g}")
        (svg / "when-to-offload-grain.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_or_show(__doc__, "offload_pays", measure, show, rounds=5)
