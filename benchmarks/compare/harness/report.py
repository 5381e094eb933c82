"""Medians, spread, ratios and targets; text for people, JSON for everything else."""

import statistics

from . import cells, core, core_report
from .report_table import number, spread, table

# (metric, heading, decimals); the first one of a kind is the one that ratios are taken of.
COLUMNS = {
    "echo": (
        ("cpu_us_per_op", "CPU us/op", 2),
        ("cpu_per_calibration", "per unit", 2),
        ("thousand_per_s", "k req/s", 1),
        ("p50_us", "p50 us", 0),
        ("p99_us", "p99 us", 0),
        ("p999_us", "p99.9 us", 0),
    ),
    "mixed": (
        ("cheap_p99_us", "cheap p99 us", 0),
        ("cheap_p50_us", "p50 us", 0),
        ("cheap_p999_us", "p99.9 us", 0),
        ("heavy_per_s", "heavy/s", 0),
        ("cpu_seconds_per_s", "CPU s/s", 2),
    ),
}
# The last two are in results from before there were core cells.
MICRO = ("compute_round_trip", "compute_round_trip_64", "spawn_join", "channel_ping_pong")

# (text, cell, metric, against, factor): what blitzio is held to.
TARGETS = (
    (
        "echo, 64 x 64 B, CPU per request, against Tokio's best",
        "echo_64x64",
        "cpu_us_per_op",
        "tokio",
        1.10,
    ),
    (
        "echo, 64 x 64 B, CPU per request, against raw liburing",
        "echo_64x64",
        "cpu_us_per_op",
        "raw_uring",
        1.15,
    ),
    (
        "compute_on round trip, one core, against Tokio -> rayon -> oneshot",
        "micro_t1",
        "compute_round_trip.ns",
        "tokio",
        1.00,
    ),
    (
        "compute_on round trip, two cores, against Tokio -> rayon -> oneshot",
        "micro_t2",
        "compute_round_trip.ns",
        "tokio",
        1.00,
    ),
)


def summarise(samples):
    """{metric: {median, min, max}} of a list of samples."""
    summary = {}
    for metric in {name for sample in samples for name in sample}:
        values = [sample[metric] for sample in samples if metric in sample]
        summary[metric] = {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
    return summary


def median_of(cell, peer, metric):
    entry = cell["peers"].get(peer, {}).get("summary", {}).get(metric)
    return entry["median"] if entry else None


def tokio_best(cell, metric):
    """The plain Tokio flavour with the lower median; a nice'd pool is a row of its own."""
    known = [(median_of(cell, peer, metric), peer) for peer in ("tokio_multi", "tokio_current")]
    known = [pair for pair in known if pair[0] is not None]
    return min(known)[1] if known else None


def ratio(cell, peer, other, metric):
    """Ratio of the medians, or None."""
    mine = median_of(cell, peer, metric)
    theirs = median_of(cell, other, metric) if other else None
    return mine / theirs if mine is not None and theirs else None


def paired_ratio(cell, peer, other, metric):
    """Median of the ratios within each round: slow phases of the machine fall out of it."""
    mine = cell["peers"].get(peer, {}).get("samples", [])
    theirs = cell["peers"].get(other, {}).get("samples", []) if other else []
    ratios = [
        a[metric] / b[metric]
        for a, b in zip(mine, theirs, strict=False)
        if metric in a and b.get(metric)
    ]
    return statistics.median(ratios) if ratios else None


def evaluate_targets(measured):
    """The targets that this run can judge."""
    by_name = {cell["name"]: cell for cell in measured}
    outcome = []
    for text, cell_name, metric, against, factor in TARGETS:
        cell = by_name.get(cell_name)
        other = cell and (tokio_best(cell, metric) if against == "tokio" else against)
        value = cell and ratio(cell, "blitzio", other, metric)
        if value is not None:
            outcome.append(
                {
                    "target": text,
                    "against": other,
                    "limit": factor,
                    "ratio": value,
                    "paired_ratio": paired_ratio(cell, "blitzio", other, metric),
                    "met": value <= factor,
                }
            )
    return outcome


def _floor_name(cell):
    return cells.FLOORS[cell["kind"]]


def _rows(cell, columns):
    main, _, decimals = columns[0]
    best, floor = tokio_best(cell, main), _floor_name(cell)
    heading = ["peer", f"{columns[0][1]}: median (min-max)", "/ Tokio's best"]
    heading += [f"/ {floor}"] if floor else []
    rows = [heading + [title for _, title, _ in columns[1:]] + ["runs", "disturbed"]]
    for peer, entry in cell["peers"].items():
        if main not in entry["summary"]:
            continue
        row = [
            peer,
            spread(entry["summary"], main, decimals),
            number(ratio(cell, peer, best, main), 2),
        ]
        row += [number(ratio(cell, peer, floor, main), 2)] if floor else []
        row += [number(median_of(cell, peer, metric), places) for metric, _, places in columns[1:]]
        rows.append(row + [str(len(entry["samples"])), str(entry["disturbed"])])
    return rows


def cell_text(cell, verdicts=()):
    """One cell as tables."""
    if cell["kind"] in core.KINDS:
        return core_report.cell_text(cell, verdicts)
    title = f"{cell['name']} ({cell['topology']})"
    if cell["kind"] != "micro":
        return f"\n## {title}\n{table(_rows(cell, COLUMNS[cell['kind']]))}"
    parts = [f"\n## {title}"]
    for name in MICRO:
        columns = ((f"{name}.ns", "ns/op", 0), (f"{name}.cpu_ns", "CPU ns/op", 0))
        rows = _rows(cell, columns)
        if len(rows) > 1:
            parts.append(f"\n{name}\n{table(rows)}")
    return "\n".join(parts)


def targets_text(targets):
    lines = ["\n## Targets"]
    for target in targets:
        verdict = "met" if target["met"] else "NOT MET"
        lines.append(
            f"- {target['target']}: {target['ratio']:.2f} x {target['against']} "
            f"(limit {target['limit']:.2f}; paired by round "
            f"{number(target['paired_ratio'], 2)}): {verdict}"
        )
    return "\n".join(lines) if targets else ""


def full_text(result):
    """A whole result file for people; Markdown."""
    machine, found = result["machine"], result["versions"]
    head = [
        f"# Comparison of {result['date']}{' (quick)' if result['quick'] else ''}",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, "
        f"Linux {machine['kernel']}",
        ", ".join(f"{name} {value}" for name, value in found.items() if value is not None),
    ]
    problems = [f"- {text}" for text in result["problems"]]
    verdicts = result.get("bars", [])
    parts = [
        "\n".join(head),
        *(cell_text(cell, verdicts) for cell in result["cells"]),
        targets_text(result["targets"]),
    ]
    parts += [core_report.bars_text(verdicts)] if verdicts else []
    if problems:
        parts.append("\n## Problems\n" + "\n".join(problems))
    return "\n".join(parts)
