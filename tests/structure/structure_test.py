#!/usr/bin/env python3
"""Each check of structure.py finds what it is for: a small project with one offence a case."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent / "structure.py"

GOOD = {
    "base/include/sluice/base/status.hpp": "namespace sluice {\nenum class Status { ok };\n}\n",
    "base/src/status.cpp": '#include "sluice/base/status.hpp"\n',
    "ring/include/sluice/ring/region.hpp": '#include <span>\n#include "sluice/base/status.hpp"\nnamespace sluice::ring {\n}\n',
    "ring/include/sluice/ring.hpp": '#include "sluice/ring/region.hpp"\n',
    "ring/src/futex.hpp": "namespace sluice::ring {\n}\n",
    "ring/src/futex.cpp": '#include "futex.hpp"\n#include <boost/crc.hpp>\n',
    "ipc/port/include/sluice/ipc/port/port.hpp": '#include "sluice/ring/region.hpp"\n',
    "ipc/port/src/delivery.hpp": "\n",
    "ipc/connect/include/sluice/ipc/connect/endpoint.hpp": '#include "sluice/ipc/port/port.hpp"\n',
    "ipc/connect/src/endpoint.cpp": '#include "delivery.hpp"\n',
    "tools/main.cpp": '#include "sluice/ipc/connect/endpoint.hpp"\n',
    "tests/ring/ring_test.cpp": "".join(f"TEST(Ring, Keeps{i}) {{}}\n" for i in range(90)),
    "docs/threats.md": "".join(f"- `Ring.Keeps{i}`\n" for i in range(90)),
    "README.md": "# A project\n",
}


class Structure(unittest.TestCase):
    def offenders(self, changes, *checks):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**GOOD, **changes}.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            command = [sys.executable, SCRIPT, "--root", folder, *checks]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.returncode, 1 if result.stdout else 0)
        return result.stdout

    def finds(self, check, offender, changes):
        self.assertEqual(self.offenders(changes, check), offender + "\n")

    def test_a_good_project_has_no_offenders(self):
        self.assertEqual(self.offenders({}), "")

    def test_a_room_that_includes_one_above_it(self):
        self.finds("arrows", 'base/src/status.cpp:1: base may not include "sluice/ring/region.hpp" of ring',
                   {"base/src/status.cpp": '#include "sluice/ring/region.hpp"\n'})

    def test_a_part_that_includes_one_above_it(self):
        self.finds("arrows", 'ipc/port/src/port.cpp:2: ipc/port may not include '
                   '"sluice/ipc/connect/endpoint.hpp" of ipc/connect',
                   {"ipc/port/src/port.cpp": '\n#include "sluice/ipc/connect/endpoint.hpp"\n'})

    def test_a_room_that_includes_a_private_header_above_it(self):
        self.finds("arrows", 'ring/src/futex.cpp:1: ring may not include "delivery.hpp" of ipc/port',
                   {"ring/src/futex.cpp": '#include "delivery.hpp"\n'})

    def test_a_library_that_includes_a_tool(self):
        self.finds("arrows", 'ring/src/futex.cpp:1: ring may not include "file_io.hpp" of tools',
                   {"ring/src/futex.cpp": '#include "file_io.hpp"\n', "tools/file_io.hpp": "\n"})

    def test_a_room_that_includes_its_own_umbrella(self):
        self.finds("arrows", 'ring/src/futex.cpp:1: a room doesn\'t include its own umbrella "sluice/ring.hpp"',
                   {"ring/src/futex.cpp": '#include "sluice/ring.hpp"\n'})

    def test_a_header_that_is_not_there(self):
        self.finds("arrows", 'tools/main.cpp:1: there is no header "sluice/ring/gone.hpp"',
                   {"tools/main.cpp": '#include "sluice/ring/gone.hpp"\n'})

    def test_a_public_header_in_a_wrong_folder(self):
        self.finds("public_headers", "ring/include/sluice/loose.hpp:1: a public header of ring lies in "
                   "ring/include/sluice/ring/", {"ring/include/sluice/loose.hpp": "\n"})

    def test_a_public_header_that_includes_a_private_one(self):
        self.finds("public_headers", 'ring/include/sluice/ring/region.hpp:1: a public header includes '
                   '"futex.hpp", which is not public', {"ring/include/sluice/ring/region.hpp": '#include "futex.hpp"\n'})

    def test_a_public_header_that_needs_another_project(self):
        self.finds("public_headers", "ring/include/sluice/ring/region.hpp:1: a public header includes "
                   "<boost/crc.hpp>, which users need not have",
                   {"ring/include/sluice/ring/region.hpp": "#include <boost/crc.hpp>\n"})

    def test_a_public_header_that_checks_in_some_builds_only(self):
        self.finds("public_headers", "ring/include/sluice/ring/region.hpp:2: a public header has assert(, which "
                   "depends on how a program is built",
                   {"ring/include/sluice/ring/region.hpp": "static_assert(true);\ninline void f() { assert(true); }\n"})

    def test_a_room_without_arrows(self):
        self.finds("rooms", "attic/include:1: attic is not in the table of arrows, tests/structure/structure.py",
                   {"attic/include/sluice/attic/frame.hpp": "\n"})

    def test_a_namespace_of_another_room(self):
        self.finds("namespaces", "ring/src/futex.hpp:1: namespace sluice::ipc in ring/; it is sluice::ring, or sluice",
                   {"ring/src/futex.hpp": "namespace sluice::ipc {\n}\n"})

    def test_a_type_of_a_room_below_may_be_declared(self):
        self.assertEqual("", self.offenders({
            "ring/src/futex.hpp": "namespace sluice::base {\nclass Event;\n}\n"}, "namespaces"))

    def test_nothing_is_defined_in_the_namespace_of_a_room_below(self):
        self.finds("namespaces", "ring/src/futex.hpp:1: namespace sluice::base in ring/; it is sluice::ring, or sluice",
                   {"ring/src/futex.hpp": "namespace sluice::base {\nclass Event {};\n}\n"})

    def test_a_line_that_is_too_long(self):
        self.finds("line_lengths", "docs/page.md:2: 121 columns; at most 120", {"docs/page.md": "\n" + "x" * 121 + "\n"})

    def test_a_named_test_whose_suite_has_another(self):
        self.finds("named_tests", "docs/page.md:1: there is no test Ring.Loses",
                   {"docs/page.md": "`Ring.Loses`\n", "tests/ring/b_test.cpp": "TEST(Other, Loses) {}\n"})

    def test_a_suite_that_is_named_by_a_macro(self):
        self.assertEqual("", self.offenders({
            "docs/page.md": "`Flips.Stop`\n",
            "tests/ring/b_test.cpp": "#define SUITE Flips\nTEST(SUITE, Stop) {}\n"}, "named_tests"))

    def test_documents_that_name_no_tests_any_more(self):
        self.finds("named_tests", "docs/threats.md:1: the documents name 0 tests; once they named 90",
                   {"docs/threats.md": "\n"})


if __name__ == "__main__":
    unittest.main()
