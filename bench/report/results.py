"""The rows that the benchmark programs wrote, the targets, and how figures are shown."""

import html
import json
from pathlib import Path

BENCH_FOLDER = Path(__file__).resolve().parent.parent
PROGRAMS = ["bench_floors", "bench_latency", "bench_throughput", "bench_wakeup", "bench_stream", "bench_peers",
            "bench_crowd"]


def load_rows(folder):
    """All rows in the folder's bench_*.json, in the order of PROGRAMS, others after them."""
    found = {path.stem: path for path in sorted(Path(folder).glob("bench_*.json"))}
    names = [name for name in PROGRAMS if name in found] + [name for name in found if name not in PROGRAMS]
    rows = []
    for name in names:
        rows += json.loads(found[name].read_text())
    return rows


def load_machine(folder):
    path = Path(folder) / "machine.json"
    return json.loads(path.read_text()) if path.exists() else {}


def find(rows, bench, case, size):
    """The row with this name, or None."""
    for row in rows:
        if row["bench"] == bench and row["case"] == case and row["size"] == size:
            return row
    return None


def load_targets():
    return json.loads((BENCH_FOLDER / "targets.json").read_text())


def size_name(size):
    if size >= 1 << 20 and size % (1 << 20) == 0:
        return f"{size >> 20} MiB"
    if size >= 1 << 10 and size % (1 << 10) == 0:
        return f"{size >> 10} KiB"
    return f"{size} B"


def figure(value, unit):
    """Three digits and a unit that a person reads without counting zeros."""
    if unit == "ns":
        scales = [(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1, "ns")]
    elif unit == "msg/s":
        scales = [(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1, "/s")]
    else:
        return f"{value:.3g} {unit}".strip()
    for scale, name in scales:
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value:.3g} {scales[-1][1]}"


def escape(text):
    return html.escape(str(text))
