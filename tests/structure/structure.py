#!/usr/bin/env python3
"""Checks what no compiler does: which room includes which, where headers and namespaces lie, how documents are written.

usage: structure.py [--root FOLDER] [CHECK...]

Without CHECK, everything. Prints each offender as FILE:LINE: WHAT, and exits with 1 if there is any.
"""

import argparse
import re
import sys
from pathlib import Path

# The parts of the project, and what each stands on. An arrow also allows everything further down.
ARROWS = {
    "base": [],
    "ring": ["base"],
    "ipc": ["ring"],  # what all parts of ipc share
    "ipc/port": ["ipc"],
    "ipc/checkpoint": ["ipc"],
    "ipc/connect": ["ipc/port", "ipc/checkpoint"],
    "ipc/stream": ["ipc/connect"],
    "crypto": ["base"],  # what all parts of crypto share
    "crypto/key": ["crypto"],
    "crypto/seal": ["crypto/key"],
    "crypto/journal": ["crypto/seal"],
    "crypto/inspect": ["crypto/journal"],
    "codec": ["ipc/stream"],
    "codec/sealed": ["codec", "crypto/journal"],
    "tools": ["codec/sealed", "crypto/inspect"],
    "samples": ["codec/sealed", "crypto/inspect"],
    "bench": ["codec/sealed", "crypto/inspect"],
    "tests": ["tools", "samples", "bench"],
}
LIBRARIES = ["base", "ring", "ipc", "crypto", "codec"]
SOURCES = {".hpp", ".cpp", ".h"}
# A user's program may be built in another way than the library: a function that is inlined there must be the same.
BUILD_DEPENDENT = re.compile(r"\bassert\s*\(|<cassert>|\bNDEBUG\b|__OPTIMIZE__")
NOT_IN_PUBLIC_HEADERS = ("boost/", "openssl/", "nlohmann/", "sodium", "fmt/", "CLI/")
OTHERS_NAMESPACES = {"codec": r"|msgpack|adaptor"}  # msgpack-cxx learns a type by a specialisation there
LONGEST_LINE = 120
FEWEST_NAMED_TESTS = 90

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
NAMESPACE = re.compile(r"^\s*(?:inline\s+)?namespace\s+([\w:]+)\s*\{")
TYPE_DECLARATION = re.compile(r"\s*((class|struct|enum class) \w+( : [\w:]+)?;)?\s*$")
TEST = re.compile(r"\b(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)\s*\)")
MACRO = re.compile(r"^\s*#\s*define\s+(\w+)\s+(\w+)\s*$", re.MULTILINE)
NAMED_TEST = re.compile(r"`([A-Z]\w*)\.([A-Z]\w*)`")


def lines_of(path):
    return enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)


def stands_on(part):
    """Everything that a part may include: itself, and what lies below it."""
    below = {part}
    for lower in ARROWS[part]:
        below |= stands_on(lower)
    return below


class Project:
    def __init__(self, root):
        self.root = root

    def files(self, folder, suffixes):
        """The files below a folder, without what a build made."""
        found = (self.root / folder).rglob("*")
        return sorted(path for path in found if path.is_file() and path.suffix in suffixes)

    def name(self, path):
        return str(path.relative_to(self.root))

    def part_of(self, path):
        """The deepest part that a file lies in: ipc/port before ipc."""
        name = self.name(path)
        return max((part for part in ARROWS if name.startswith(part + "/")), key=len, default=None)

    def sources(self, *tops):
        for top in tops or sorted({part.split("/")[0] for part in ARROWS}):
            yield from self.files(top, SOURCES)

    def public_headers(self):
        return [path for path in self.sources(*LIBRARIES) if "/include/" in "/" + self.name(path)]

    def includes(self, path):
        for number, line in lines_of(path):
            match = INCLUDE.match(line)
            if match:
                yield number, match[1], match[2]

    def documents(self):
        yield from sorted(self.root.glob("*.md"))
        for folder in ("docs", "tests", "bench", "samples"):
            yield from self.files(folder, {".md"})

    def installed_header(self, name):
        """The file that `#include "sluice/..."` means."""
        for folder in LIBRARIES:
            for include in (self.root / folder).rglob("include"):
                if (include / name).is_file():
                    return include / name
        return None

    def private_header(self, from_file, name):
        """The file that an include without sluice/ means, seen from a room: beside it, or in any room's src/."""
        beside = from_file.parent / name
        if beside.is_file():
            return beside.resolve()
        for folder in [*LIBRARIES, "tools"]:
            for path in self.files(folder, SOURCES):
                if path.name == name or self.name(path).endswith("/src/" + name):
                    return path
        return None


def umbrella(part, header):
    """Whether a header, as it is included, is the one that has a whole room in it: sluice/ipc.hpp."""
    return header in (f"sluice/{part.split('/')[0]}.hpp", "sluice/sluice.hpp")


def arrows(project):
    """A part includes only itself and what lies below it."""
    for path in project.sources():
        part = project.part_of(path)
        is_umbrella = "/include/" in project.name(path) and umbrella(part, project.name(path).split("/include/")[1])
        allowed = {p for p in ARROWS if p.split("/")[0] in LIBRARIES} if is_umbrella else stands_on(part)
        for number, bracket, header in project.includes(path):
            if header.startswith("sluice/"):
                target = project.installed_header(header)
                if target is None:
                    yield path, number, f'there is no header "{header}"'
                    continue
                if part.split("/")[0] in LIBRARIES and not is_umbrella and umbrella(part, header):
                    yield path, number, f'a room doesn\'t include its own umbrella "{header}"'
                    continue
            elif bracket == '"' and part.split("/")[0] in [*LIBRARIES, "tools"]:
                target = project.private_header(path, header)
                if target is None:
                    yield path, number, f'there is no header "{header}"'
                    continue
            else:
                continue
            if project.part_of(target) not in allowed:
                yield path, number, f'{part} may not include "{header}" of {project.part_of(target)}'


def public_headers(project):
    """A public header lies under its room's name, includes public headers only, and no other project's."""
    for path in project.public_headers():
        part, name = project.part_of(path), project.name(path)
        inside = name.split("/include/")[1]
        if not inside.startswith(f"sluice/{part}/") and not umbrella(part, inside):
            yield path, 1, f"a public header of {part} lies in {part}/include/sluice/{part}/"
        for number, bracket, header in project.includes(path):
            if bracket == '"' and not header.startswith("sluice/"):
                yield path, number, f'a public header includes "{header}", which is not public'
            if header.startswith(NOT_IN_PUBLIC_HEADERS):
                yield path, number, f"a public header includes <{header}>, which users need not have"
        for number, line in lines_of(path):
            if found := BUILD_DEPENDENT.search(line):
                yield path, number, f"a public header has {found[0]}, which depends on how a program is built"


def rooms(project):
    """Every folder with public headers is in the table of arrows."""
    for include in sorted(project.root.glob("*/include")) + sorted(project.root.glob("*/*/include")):
        part = project.name(include.parent)
        if part not in ARROWS and part.split("/")[0] not in ("build", "tests"):
            yield include, 1, f"{part} is not in the table of arrows, tests/structure/structure.py"


def only_declares(lines, first):
    """Whether the namespace that opens at lines[first] holds nothing but declarations of types."""
    for line in lines[first + 1:]:
        if line.startswith("}"):
            return True
        if not TYPE_DECLARATION.match(line):
            return False
    return False


def namespaces(project):
    """A file opens sluice, or the namespace of its room; that of a room below it only to declare a type."""
    for path in project.sources(*LIBRARIES, "tools", "bench"):
        room = project.name(path).split("/")[0]
        own = re.compile(rf"sluice(::{room}(::\w+)*)?|{room}|std|detail{OTHERS_NAMESPACES.get(room, '')}")
        below = {f"sluice::{part}" for part in stands_on(project.part_of(path)) if part in LIBRARIES}
        lines = path.read_text(encoding="utf-8").splitlines()
        for index, line in enumerate(lines):
            match = NAMESPACE.match(line)
            if not match or own.fullmatch(match[1]) or (match[1] in below and only_declares(lines, index)):
                continue
            yield path, index + 1, f"namespace {match[1]} in {room}/; it is sluice::{room}, or sluice"


def line_lengths(project):
    """No line of a document is longer than a screen."""
    for path in project.documents():
        for number, line in lines_of(path):
            if len(line) > LONGEST_LINE:
                yield path, number, f"{len(line)} columns; at most {LONGEST_LINE}"


def named_tests(project):
    """Every test that a document names is there: suite and name in one place."""
    there = set()
    for path in project.files("tests", {".cpp", ".hpp"}):
        text = path.read_text(encoding="utf-8")
        found = TEST.findall(text)
        there.update(found)
        for macro, value in MACRO.findall(text):  # a suite that is named by a macro
            there.update((value, test) for suite, test in found if suite == macro)
    named = 0
    for path in project.documents():
        for number, line in lines_of(path):
            for suite, test in NAMED_TEST.findall(line):
                named += 1
                if (suite, test) not in there:
                    yield path, number, f"there is no test {suite}.{test}"
    threats = project.root / "docs/threats.md"
    if named < FEWEST_NAMED_TESTS:
        yield threats, 1, f"the documents name {named} tests; once they named {FEWEST_NAMED_TESTS}"


CHECKS = {check.__name__: check for check in
          (arrows, public_headers, rooms, namespaces, line_lengths, named_tests)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent.parent)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check {unknown[0]}; there are: {', '.join(CHECKS)}")
    project = Project(arguments.root.resolve())
    offenders = 0
    for name in arguments.checks or CHECKS:
        for path, number, what in CHECKS[name](project):
            print(f"{project.name(path)}:{number}: {what}")
            offenders += 1
    return 1 if offenders else 0


if __name__ == "__main__":
    sys.exit(main())
