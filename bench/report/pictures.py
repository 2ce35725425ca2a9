"""Pictures of the results, drawn by gnuplot as SVG."""

import subprocess
from pathlib import Path

from results import find, load_targets, size_name

PERCENTILES = ["p50", "p90", "p99", "p99.9", "max"]
STYLE = """
set terminal svg noenhanced size 960,520 font 'sans-serif,14' background '#ffffff'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right top vertical Left reverse samplen 2
"""
COLOURS = ["#888888", "#0b6e4f", "#e4572e", "#2e86ab", "#a23b72", "#f18f01", "#5f0f40", "#17becf", "#3d5a80", "#99582a",
           "#c9184a", "#bcbd22", "#6a4c93", "#000000"]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def draw(path, commands):
    """Runs gnuplot; raises if it is missing or refuses."""
    script = STYLE + f"set output {quoted(str(path))}\n" + commands + "\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def block(name, lines):
    return f"${name} << END\n" + "\n".join(lines) + "\nEND\n"


def plot_lines(series, using, extra=""):
    """series: [(title, [line...])] as inline data blocks and one plot command."""
    blocks, parts = "", []
    for index, (title, lines) in enumerate(series):
        blocks += block(f"d{index}", lines)
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f"$d{index} using {using} with linespoints lw 2 pt {5 + index % 9} ps 0.7 lc rgb '{colour}' title {quoted(title)}")
    return blocks + extra + "plot " + ", \\\n  ".join(parts)


def latency(rows, folder):
    """Percentiles of the 64 B round trip on a log axis: floors, sluice and, where measured, the peers."""
    wanted = [("bench_latency", "round trip, spin", "cache line"), ("bench_latency", "round trip, spin", "sluice"),
              ("bench_latency", "round trip, default strategy", "sluice"),
              ("bench_latency", "round trip, sleep", "futex"), ("bench_latency", "round trip, sleep", "sluice")]
    for row in rows:
        if row["bench"] == "bench_peers" and row["case"].startswith("round trip, spin/") and row["size"] == 64:
            entry = ("bench_peers", "round trip, spin", row["case"].split("/")[1])
            if entry[2] != "cache line" and entry not in wanted:
                wanted.append(entry)
    series = []
    for bench, group, subject in wanted:
        found = [find(rows, bench, f"{group}/{subject}/{name}", 64) for name in PERCENTILES]
        if all(found):
            how = "" if bench == "bench_peers" else ", " + group.removeprefix("round trip, ")
            series.append((subject + how, [f"{i} {row['median']}" for i, row in enumerate(found)]))
    if not series:
        return None
    path = Path(folder) / "latency.svg"
    ticks = ", ".join(f"'{name}' {i}" for i, name in enumerate(PERCENTILES))
    draw(path, "set title '64 B round trip'\nset logscale y\nset ylabel 'ns'\nset xrange [-0.2:4.2]\n"
         f"set xtics ({ticks})\n" + plot_lines(series, "1:2"))
    return path


def throughput(rows, folder):
    """Bytes a second by message size, both axes logarithmic."""
    by_subject = {}
    for row in rows:
        parts = row["case"].split("/")
        if row["unit"] != "msg/s" or not parts[0].startswith("one way") or "computing" in parts[0]:
            continue
        if row["bench"] not in ("bench_throughput", "bench_peers") or parts[1] in ("slot queue", "textbook queue"):
            continue
        if row["bench"] == "bench_peers" and parts[1] == "copy":
            continue
        best = by_subject.setdefault(parts[1], {})
        best[row["size"]] = max(best.get(row["size"], 0), row["median"] * row["size"] / 1e9)
    series = [(subject, [f"{size} {rate}" for size, rate in sorted(points.items())])
              for subject, points in by_subject.items()]
    if not series:
        return None
    sizes = sorted({size for points in by_subject.values() for size in points})
    ticks = ", ".join(f"'{size_name(size)}' {size}" for size in sizes if size != 56)
    path = Path(folder) / "throughput.svg"
    draw(path, "set title 'one way, the best ring size for each message size'\nset logscale xy\nset ylabel 'GB/s'\n"
         f"set xlabel 'message size'\nset xtics ({ticks})\n" + plot_lines(series, "1:2"))
    return path


def ratios(rows, folder):
    """Each target case as a bar next to its target; 1.0 is the floor."""
    lines = []
    for target in load_targets():
        row = find(rows, target["bench"], target["case"], target["size"])
        if row and row["ratio"] is not None:
            lines.append((target["what"], row["ratio"], target["target"]))
    if not lines:
        return None
    lines.reverse()
    data = block("d", [f"{i} {ratio:.3f} {goal}" for i, (_, ratio, goal) in enumerate(lines)])
    ticks = ", ".join(f"{quoted(what)} {i}" for i, (what, _, _) in enumerate(lines))
    path = Path(folder) / "ratio.svg"
    height = 120 + 26 * len(lines)
    draw(path, f"set terminal svg noenhanced size 960,{height} font 'sans-serif,14' background '#ffffff'\n" + data +
         "set title 'times the floor, larger is worse'\nset style fill solid 0.8\n"
         f"set ytics ({ticks})\nset yrange [-0.7:{len(lines) - 0.3}]\nset xrange [0:{max(max(ratio, goal) for _, ratio, goal in lines) * 1.15}]\nset grid xtics noytics\n"
         "set arrow from 1,graph 0 to 1,graph 1 nohead lc rgb '#555555' dt 2\nset key outside bottom center horizontal\n"
         "plot $d using ($2/2):1:($2/2):(0.32) with boxxyerror lc rgb '#0b6e4f' title 'measured', "
         "$d using 3:1 with points pt 9 ps 1.1 lc rgb '#e4572e' title 'target', "
         "$d using (($2 > $3 ? $2 : $3) + 0.06):1:(sprintf('%.2f', $2)) with labels left font ',11' notitle")
    return path
