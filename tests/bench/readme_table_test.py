#!/usr/bin/env python3
"""bench/readme_table writes both documents from a run's results, or neither."""

import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MARKED = "before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n"


def row(bench, case, size, median, unit="ns", ratio=1.25):
    return {"bench": bench, "case": case, "size": size, "median": median, "unit": unit, "ratio": ratio,
            "floor": "cache line", "floor_median": 100}


ROWS = {
    "bench_latency": [row("bench_latency", "round trip, spin/sluice/typical", 64, 113)],
    "bench_throughput": [row("bench_throughput", "one way/sluice/rate", 64, 153e6, "msg/s")],
    "bench_crowd": [row("bench_crowd", "20 pairs, no pause/sluice, default strategy/rate", 64, 1.5e6, "msg/s"),
                    row("bench_crowd", "20 pairs, no pause/Unix stream socket/rate", 64, 164e3, "msg/s")],
    "bench_peers": [row("bench_peers", "round trip, spin/iceoryx/typical", 64, 512),
                    row("bench_peers", "one way/pipe/rate", 64, 1.5e6, "msg/s")],
}


class ReadmeTable(unittest.TestCase):
    def setUp(self):
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        shutil.copytree(ROOT / "bench", self.place / "bench")
        (self.place / "docs").mkdir()
        self.readme = self.place / "README.md"
        self.performance = self.place / "docs/performance.md"
        self.readme.write_text(MARKED)
        self.performance.write_text(MARKED)

    def results(self, name):
        folder = self.place / name
        folder.mkdir()
        for program, rows in ROWS.items():
            (folder / f"{program}.json").write_text(json.dumps(rows))
        (folder / "machine.json").write_text(json.dumps({"distance": name, "processor": "a processor"}))
        return folder

    def run_it(self, *folders):
        return subprocess.run([self.place / "bench/readme_table", *folders], capture_output=True, text=True)

    def test_shows_absolute_values_beside_those_of_others(self):
        self.assertEqual(self.run_it(self.results("near")).returncode, 0)
        text = self.readme.read_text()
        self.assertIn("| 64 B there and back, spinning | **113 ns** | 512 ns | - | - | - |", text)
        self.assertIn("| 64 B one way | **153 M/s** | - | - | - | 1.5 M/s |", text)
        self.assertIn("| 20 pairs on two processors, 64 B there and back | **1.5 M/s** | - | - | 164 k/s | - |", text)
        self.assertTrue(text.startswith("before\n") and text.endswith("<!-- measured: end -->\nafter\n"))
        self.assertNotIn("old", text)

    def test_shows_every_goal_with_its_floor_for_each_folder(self):
        self.assertEqual(self.run_it(self.results("near"), self.results("far")).returncode, 0)
        text = self.performance.read_text()
        self.assertEqual(text.count("| 64 B round trip, both spinning | 1.20 | 113 ns | cache line, 100 ns | 1.25 |"), 2)
        self.assertLess(text.index("Processors near:"), text.index("Processors far:"))

    def test_writes_nothing_without_markers_or_results(self):
        self.performance.write_text("no markers\n")
        self.assertNotEqual(self.run_it(self.results("near")).returncode, 0)
        self.assertEqual(self.readme.read_text(), MARKED)
        self.performance.write_text(MARKED)
        self.assertNotEqual(self.run_it(self.place / "nothing").returncode, 0)
        self.assertEqual(self.performance.read_text(), MARKED)

    def test_lines_fit_the_screen(self):
        self.assertEqual(self.run_it(self.results("near")).returncode, 0)
        for path in (self.readme, self.performance):
            self.assertLessEqual(max(map(len, path.read_text().splitlines())), 120)


if __name__ == "__main__":
    unittest.main()
