#!/usr/bin/env python3
"""Opens what sluice sealed, without sluice: check_sealed.py DIRECTORY

DIRECTORY/manifest.json lists streams (file, format, key, context, chunk_size, sha512 of the plaintext) and journals
(directory, key, context, records). Each must open to what it says, and be refused after any damage, under another key
and in another context. Prints one line for each failure and exits with 1; else prints how many were opened.
"""

import hashlib
import json
import pathlib
import sys

from agcm import Refused, open_stream
from damage import damaged_headers, damaged_journals, damaged_streams
from journal import read_journal

HEADERS = {"agcm": 88, "c2sp": 56}


def is_refused(work):
    try:
        work()
    except Refused:
        return True
    return False


def check_stream(directory, entry):
    """Yields what is wrong."""
    stream = (directory / entry["file"]).read_bytes()
    name, key, context = entry["format"], bytes.fromhex(entry["key"]), bytes.fromhex(entry["context"])
    try:
        plain = open_stream(name, key, context, stream)
    except Refused as refusal:
        yield f"is refused: {refusal}"
        return
    if hashlib.sha512(plain).hexdigest() != entry["sha512"]:
        yield f"opens to {len(plain)} other bytes"
    if name == "agcm" and int.from_bytes(stream[20:24], "little") != entry["chunk_size"]:
        yield "has another chunk size"
    damaged = list(damaged_streams(stream, HEADERS[name], entry["chunk_size"]))
    if name == "agcm":
        damaged += [(done, result) for done, result, _ in damaged_headers(stream)
                    if result != stream]
    for done, result in damaged:
        if not is_refused(lambda: open_stream(name, key, context, result)):
            yield f"opens although damaged: {done}"
    if not is_refused(lambda: open_stream(name, key, context + b"x", stream)):
        yield "opens in another context"
    if not is_refused(lambda: open_stream(name, key[1:] + b"x", context, stream)):
        yield "opens under another key"


def check_journal(directory, entry):
    """Yields what is wrong."""
    files = sorted((directory / entry["directory"]).glob("*.agcj"))
    segments = [(file.name, file.read_bytes()) for file in files]
    key, context = bytes.fromhex(entry["key"]), bytes.fromhex(entry["context"])
    try:
        lock = (directory / entry["directory"] / "lock").read_bytes()
        records = read_journal(key, context, segments, lock)
    except Refused as refusal:
        yield f"is refused: {refusal}"
        return
    if [record.hex() for record in records] != entry["records"]:
        yield f"holds {len(records)} other records"
    for done, result in damaged_journals(segments) if len(segments) > 2 else []:
        if not is_refused(lambda: read_journal(key, context, result)):
            yield f"is read although damaged: {done}"
    if not is_refused(lambda: read_journal(key, context, segments, lock[:7] + bytes([lock[7] ^ 1]))):
        yield "is read as another journal"
    if not is_refused(lambda: read_journal(key, context + b"x", segments)):
        yield "is read in another context"


def main():
    directory = pathlib.Path(sys.argv[1])
    manifest = json.loads((directory / "manifest.json").read_text())
    failures = [f"{e['file']} {e}: {wrong}" for e in manifest["streams"] for wrong in check_stream(directory, e)]
    failures += [f"{e['directory']}: {wrong}" for e in manifest["journals"] for wrong in check_journal(directory, e)]
    print("\n".join(failures) or f"{len(manifest['streams'])} streams, {len(manifest['journals'])} journals")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
