"""What a result file says of the machine it was measured on, and the command line of scripts that measure or show."""

import argparse
import json
import os
import pathlib
import sys


def describe_machine():
    cpu = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = os.uname()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "kernel": system.release,
        "architecture": system.machine,
    }


def run_or_show(description, program, measure, show, **parameters):
    """Measures with `measure(path of the program, **parameters)` or reads what was measured, and shows it with
    `show(result, folder for plots or None)`. `parameters` are numbers with their defaults, each an option as well."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    for name, default in parameters.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--json", type=pathlib.Path, help="where to put the measurements")
    parser.add_argument("--show", type=pathlib.Path, help="a file of measurements, instead of measuring")
    parser.add_argument("--svg", type=pathlib.Path, help="a folder for the plots")
    options = parser.parse_args()
    if options.show:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        path = options.build / "bin" / program
        if not path.exists():
            sys.exit(f"{path}: not there; configure with -DBLITZIO_BUILD_BENCHMARKS=ON and build it")
        result = measure(path, **{name: getattr(options, name) for name in parameters})
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(result, options.svg)
