#!/usr/bin/env python3
"""What cheap work feels of heavy work beside it: measures, or shows what was measured.

    python3 benchmarks/starvation.py --build build/release --json benchmarks/results/starvation.json
    python3 benchmarks/starvation.py --show benchmarks/results/starvation.json --svg docs/images

Runs the program starvation (a build with BLITZIO_BUILD_BENCHMARKS=ON) once per mode and round, the modes in turns;
prints the table of docs/starvation.md and draws its plots. A mode that the build does not have is left out."""

import datetime
import json
import statistics
import subprocess
import sys

from machine import describe_machine, run_or_show
from svg_plot import bar_plot, duration

MODES = {
    "idle": "nothing beside it",
    "inline": "computing inline",
    "yield": "inline, yielding",
    "pool": "on the pool",
    "courtesy": "pool, courtesy",
}
PARTS = {"p50_us": "p50", "p99_us": "p99", "p999_us": "p99.9"}
UNAVAILABLE = 3


def measure(program, rounds, seconds):
    samples, missing = [], set()
    for index in range(rounds):
        for mode in MODES:
            if mode in missing:
                continue
            run = subprocess.run([program, mode, str(seconds)], capture_output=True, text=True)
            if run.returncode == UNAVAILABLE:
                missing.add(mode)
                continue
            if run.returncode != 0:
                sys.exit(f"{program} {mode}: exit {run.returncode}: {run.stderr}")
            samples.append(json.loads(run.stdout) | {"round": index})
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "rounds": rounds,
        "seconds": seconds,
        "samples": samples,
    }


def median_of(result, mode, key):
    values = [sample[key] for sample in result["samples"] if sample["mode"] == mode]
    return statistics.median(values) if values else None


def spread_of(result, mode, key):
    values = [sample[key] for sample in result["samples"] if sample["mode"] == mode]
    return f"{duration(min(values) * 1e3)}–{duration(max(values) * 1e3)}"


def show(result, svg):
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, kernel {machine['kernel']}, {result['date']}, median of "
          f"{result['rounds']} runs of {result['seconds']} s\n")
    modes = [mode for mode in MODES if median_of(result, mode, "p50_us") is not None]
    print("| heavy work | late by: p50 | p99 | p99 from–to | p99.9 | heavy/s |\n|---|---|---|---|---|---|")
    for mode in modes:
        late = {key: duration(median_of(result, mode, key) * 1e3) for key in PARTS}
        print(f"| {MODES[mode]} | {late['p50_us']} | {late['p99_us']} | {spread_of(result, mode, 'p99_us')} | "
              f"{late['p999_us']} | {median_of(result, mode, 'heavy_per_s'):.0f} |")
    if svg:
        groups = {MODES[mode]: [max(median_of(result, mode, key), 1) * 1e3 for key in PARTS] for mode in modes}
        text = bar_plot("How late cheap tasks run beside heavy ones", "late by", groups, list(PARTS.values()), duration)
        (svg / "starvation.svg").write_text(text, encoding="utf-8")
        groups = {MODES[mode]: [max(median_of(result, mode, "heavy_per_s"), 1)] for mode in modes if mode != "idle"}
        text = bar_plot("Heavy work done meanwhile", "per second", groups, ["1.8 ms each"],
                        lambda value: f"{value:.4g}")
        (svg / "starvation-throughput.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_or_show(__doc__, "starvation", measure, show, rounds=5, seconds=2.0)
