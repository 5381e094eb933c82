"""Tables of the core cells, and the verdicts on what blitzio is held to (bars.json)."""

import json
import pathlib

from . import core
from .report_table import number, spread, table

BARS_FILE = pathlib.Path(__file__).resolve().parent.parent / "bars.json"
OURS = "blitzio"


def load_bars(path=BARS_FILE):
    """{setup: {"shape.metric": value, or {"of_best_peer": factor}}}; a name that no shape has is an
    error."""
    known = {
        f"{shape.name}.{metric.name}"
        for shapes in core.KINDS.values()
        for shape in shapes
        for metric in shape.metrics
    }
    bars = {}
    for setup, entries in json.loads(path.read_text(encoding="utf-8")).items():
        if setup == "about":
            continue
        if setup not in ("T1", "T2"):
            raise ValueError(f"{path.name}: there is no setup {setup}")
        unknown = sorted(set(entries) - known)
        if unknown:
            raise ValueError(f"{path.name}, {setup}: there is no {', '.join(unknown)}")
        bars[setup] = entries
    return bars


def _median(cell, peer, metric):
    entry = cell["peers"].get(peer, {}).get("summary", {}).get(metric)
    return entry["median"] if entry else None


def best_peer(cell, metric):
    """(name, median) of the contestant with the lowest median, blitzio's own apart; or None."""
    known = [
        (median, peer)
        for peer in cell["peers"]
        if not peer.startswith(OURS) and (median := _median(cell, peer, metric)) is not None
    ]
    return min(known)[::-1] if known else None


def evaluate_bars(measured, bars):
    """A verdict for each bar that this run has a figure for."""
    verdicts = []
    for cell in measured:
        if cell["kind"] not in core.KINDS:
            continue
        for metric, bar in bars.get(cell["topology"], {}).items():
            value = _median(cell, OURS, metric)
            if value is None:
                continue
            best = best_peer(cell, metric)
            if isinstance(bar, dict):
                if best is None:
                    continue
                bar = bar["of_best_peer"] * best[1]
            verdicts.append(
                {
                    "setup": cell["topology"],
                    "metric": metric,
                    "bar": bar,
                    "value": value,
                    "best_peer": best[0] if best else None,
                    "best_peer_value": best[1] if best else None,
                    "met": value <= bar,
                }
            )
    return verdicts


def _verdict(cell, metric, verdicts):
    for each in verdicts:
        if (each["setup"], each["metric"]) == (cell["topology"], metric):
            return f"{each['bar']:g}", "met" if each["met"] else "MISSED"
    return "-", "-"


def _ratio(cell, metric):
    best = best_peer(cell, metric)
    mine = _median(cell, OURS, metric)
    return f"{mine / best[1]:.2f} {best[0]}" if mine is not None and best and best[1] else "-"


def _figure(entry, metric, decimals):
    """Median and spread, or the one value that there is."""
    summary = entry["summary"]
    if sum(metric in sample for sample in entry["samples"]) == 1:
        return number(summary[metric]["median"], decimals)
    return spread(summary, metric, decimals)


def cell_text(cell, verdicts):
    """One cell of shapes: a row for each figure, a column for each contestant."""
    peers = list(cell["peers"])
    rows = [["shape", "bar", "", "/ best peer", *peers]]
    for shape in core.KINDS[cell["kind"]]:
        for metric in shape.metrics:
            name = f"{shape.name}.{metric.name}"
            if all(_median(cell, peer, name) is None for peer in peers):
                continue
            figures = [_figure(cell["peers"][peer], name, metric.decimals) for peer in peers]
            rows.append(
                [
                    f"{shape.name}, {metric.text}",
                    *_verdict(cell, name, verdicts),
                    _ratio(cell, name),
                    *figures,
                ]
            )
    notes = ", ".join(
        f"{peer} {entry['disturbed']} of {entry['runs']}" for peer, entry in cell["peers"].items()
    )
    title = f"\n## {cell['name']} ({cell['topology']}): median (min-max) of each round"
    return f"{title}\n{table(rows)}\n\nDisturbed runs: {notes}."


def bars_text(verdicts):
    """All bars in one list, the missed ones first."""
    missed = [each for each in verdicts if not each["met"]]
    lines = [f"\n## Bars: {len(verdicts) - len(missed)} met, {len(missed)} missed"]
    for each in sorted(verdicts, key=lambda verdict: verdict["met"]):
        best = (
            f"; best peer {each['best_peer']} {each['best_peer_value']:.4g}"
            if each["best_peer"]
            else ""
        )
        lines.append(
            f"- {'met' if each['met'] else 'MISSED'}: {each['setup']} {each['metric']} "
            f"{each['value']:.4g}, at most {each['bar']:g}{best}"
        )
    return "\n".join(lines)
