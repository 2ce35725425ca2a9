"""One HTML page with the machine, the targets, the pictures and every row."""

from pathlib import Path

import pictures
from results import escape, figure, find, load_machine, load_rows, load_targets, size_name

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>sluice: measured</title><style>
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .8em; text-align: left; border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums } img { max-width: 100% } .met { color: #0b6e4f } .missed { color: #c0392b }
</style></head><body><h1>sluice: measured</h1>
<p>Each figure is the median of several runs between two processes pinned to two processors; each ratio is the median of
the ratios to a floor that was measured in the same run. 1.0 is the floor, larger is worse.</p>
"""


def machine_table(machine):
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in machine.items()]
    return "<h2>Machine</h2><table>" + "".join(lines) + "</table>" if lines else ""


def target_table(rows):
    lines = []
    for target in load_targets():
        row = find(rows, target["bench"], target["case"], target["size"])
        if row is None or row["ratio"] is None:
            continue
        kind = "met" if row["ratio"] <= target["target"] else "missed"
        lines.append(f"<tr><td>{escape(target['what'])}</td><td class=n>{figure(row['median'], row['unit'])}</td>"
                     f"<td>{escape(row['floor'])}</td><td class=n>{figure(row['floor_median'], row['unit'])}</td>"
                     f"<td class='n {kind}'>{row['ratio']:.2f}</td><td class=n>{target['target']:.2f}</td></tr>")
    if not lines:
        return ""
    return ("<h2>Next to the floors</h2><table><tr><th>case</th><th>sluice</th><th>floor</th><th></th><th>ratio</th>"
            "<th>target</th></tr>" + "".join(lines) + "</table>")


def row_table(rows):
    lines = []
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} x {escape(row['floor'])}"
        size = size_name(row["size"]) if row["size"] else ""
        lines.append(f"<tr><td>{escape(row['bench'])}</td><td>{escape(row['case'])}</td><td class=n>{size}</td>"
                     f"<td class=n>{figure(row['median'], row['unit'])}</td><td class=n>{figure(row['min'], row['unit'])}"
                     f" .. {figure(row['max'], row['unit'])}</td><td class=n>{ratio}</td></tr>")
    return ("<h2>Every row</h2><table><tr><th>program</th><th>case</th><th>size</th><th>median</th><th>min .. max</th>"
            "<th>ratio</th></tr>" + "".join(lines) + "</table>")


def write(folder):
    """Draws the pictures and writes index.html; returns its path."""
    rows = load_rows(folder)
    drawn = [picture(rows, folder) for picture in (pictures.ratios, pictures.latency, pictures.throughput)]
    images = "".join(f"<p><img src='{path.name}' alt='{path.stem}'></p>" for path in drawn if path)
    path = Path(folder) / "index.html"
    path.write_text(HEAD + machine_table(load_machine(folder)) + target_table(rows) + "<h2>Pictures</h2>" + images +
                    row_table(rows) + "</body></html>\n")
    return path
