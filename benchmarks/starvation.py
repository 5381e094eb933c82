#!/usr/bin/env python3
"""What cheap work feels of heavy work beside it: measures, or shows what was measured.

    python3 benchmarks/starvation.py --build build/release --json benchmarks/results/starvation.json
    python3 benchmarks/starvation.py --show benchmarks/results/starvation.json --svg docs/images

Runs the program starvation (a build with BLITZIO_BUILD_BENCHMARKS=ON) once per mode and round, the modes in turns;
prints the table of docs/starvation.md and draws its plots. A mode that the build does not have is left out."""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys

from machine import describe_machine
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--json", type=pathlib.Path, help="where to put the measurements")
    parser.add_argument("--show", type=pathlib.Path, help="a file of measurements, instead of measuring")
    parser.add_argument("--svg", type=pathlib.Path, help="a folder for the plots")
    options = parser.parse_args()
    if options.show:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        program = options.build / "bin" / "starvation"
        if not program.exists():
            sys.exit(f"{program}: not there; configure with -DBLITZIO_BUILD_BENCHMARKS=ON and build it")
        result = measure(program, options.rounds, options.seconds)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(result, options.svg)


if __name__ == "__main__":
    main()
