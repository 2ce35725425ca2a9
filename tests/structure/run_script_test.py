#!/usr/bin/env python3
"""The run script on a machine where nothing is installed: programs of that machine stand in for the real ones."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

RUN = Path(__file__).resolve().parent.parent.parent / "run"
STUB = "#!/bin/sh\necho \"called: $(basename \"$0\") $*\"\n"


class RunScript(unittest.TestCase):
    def run_verb(self, *arguments, **stubs):
        """The exit code and all output of ./run, with these programs put before those of the system."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {"dpkg-query": "#!/bin/sh\nexit 1\n", "apt-get": STUB, "sudo": STUB, "cmake": STUB,
                               "ctest": STUB, "ccache": STUB, **stubs}.items():
                program = Path(folder) / name
                program.write_text(text, encoding="utf-8")
                program.chmod(0o755)
            result = subprocess.run([RUN, *arguments], env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return result.returncode, result.stdout

    def test_lists_its_verbs(self):
        code, output = self.run_verb()
        self.assertEqual(code, 0)
        self.assertIn("usage: ./run VERB", output)

    def test_refuses_what_is_no_verb(self):
        code, output = self.run_verb("biuld")
        self.assertEqual(code, 2)
        self.assertIn("usage: ./run VERB", output)

    def test_says_what_is_neither_room_nor_preset(self):
        code, output = self.run_verb("check", "no_such_room")
        self.assertEqual(code, 1)
        self.assertIn("'no_such_room' is neither a room", output)

    def test_installs_nothing_but_names_what_is_missing(self):
        for verb in (["build"], ["check", "ring"], ["gate"], ["format"], ["lint"], ["fuzz"], ["coverage"], ["doc"],
                     ["bench"], ["soak"]):
            with self.subTest(verb=verb):
                code, output = self.run_verb(*verb)
                self.assertEqual(code, 1)
                self.assertRegex(output, r"run: not installed: .*\. Run: \./run setup")
                self.assertNotIn("called: ", output)

    def test_builds_one_room(self):
        code, output = self.run_verb("build", "ring", **{"dpkg-query": "#!/bin/sh\necho install ok installed\n"})
        self.assertEqual(code, 0)
        self.assertIn("called: cmake --build --preset release", output)
        self.assertIn("--target tests-ring", output)

    def test_checks_a_part_of_a_room_with_a_preset(self):
        code, output = self.run_verb("check", "ipc/port", "asan",
                                     **{"dpkg-query": "#!/bin/sh\necho install ok installed\n"})
        self.assertEqual(code, 0)
        self.assertIn("--target tests-ipc-port", output)
        self.assertRegex(output, r"called: ctest --preset asan .*--label-regex \^ipc/port\$")

    def test_names_the_step_that_failed(self):
        code, output = self.run_verb("check", "ring", ctest="#!/bin/sh\nexit 8\n",
                                     **{"dpkg-query": "#!/bin/sh\necho install ok installed\n"})
        self.assertNotEqual(code, 0)
        self.assertRegex(output, r"run: failed after \d+ s: test ring \(release\)")


if __name__ == "__main__":
    unittest.main()
