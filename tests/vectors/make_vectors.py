#!/usr/bin/env python3
"""Known answers made while the tests run, in the shapes of the public suites: make_vectors.py KIND > KIND.json

KIND is agcm, c2sp, agcm_v1, hkdf or journal. Nothing of sluice is used: see agcm.py and journal.py. What is valid
must be read, and what isn't must be refused, as far as these files say.
"""

import hashlib
import json
import sys
import zlib

from agcm import (C2SP_CHUNK, CHUNKS, Refused, last_chunk_is_authentic, open_stream, open_v1, pattern, seal_agcm,
                  seal_c2sp, seal_v1)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from damage import damaged_headers, damaged_journals, damaged_streams
from journal import MARK, Segment, name_of, read_journal, write_segment

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
CONTEXTS = (b"", b"billing/2024-05", bytes(range(256)) * 3)


def noise(name, size):
    return hashlib.shake_128(name.encode()).digest(size)


def sizes_around(chunk):
    return [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5]


# ---- sealed streams ----


def stream_case(name, comment, key, context, stream, why=None):
    """One entry, with the verdict of the reader written here; `why` is the verdict that damage must have."""
    flags, refused = [], None
    try:
        plain = open_stream(name, key, context, stream)
    except Refused as refusal:
        plain, refused = refusal.plain, refusal.why
        flags += ["PartialPlaintext"] if plain else []
        flags += ["ValidFinalChunk"] if last_chunk_is_authentic(name, key, context, stream) else []
    assert why in (None, refused), (comment, why, refused)
    return {
        "comment": comment,
        "key": key.hex(),
        "ctx": context.hex(),
        "ct": zlib.compress(stream, 1).hex(),
        "msgLength": len(plain),
        "msgSha512": hashlib.sha512(plain).hexdigest(),
        "result": "invalid" if refused else "valid",
        "error": refused or "",
        "flags": flags,
    }


def stream_cases(name, seal, header, chunks):
    for chunk in chunks:
        for size in sizes_around(chunk):
            for context in CONTEXTS if chunk == chunks[0] else CONTEXTS[1:2]:
                label = f"{name}, chunks of {chunk}, {size} bytes, context of {len(context)}"
                plain = noise(label, size)
                stream = seal(KEY, noise("salt of " + label, 24), chunk, context, plain)
                assert open_stream(name, KEY, context, stream) == plain
                yield stream_case(name, label, KEY, context, stream)
                if context:
                    continue
                for done, result in damaged_streams(stream, header, chunk):
                    entry = stream_case(name, f"{label}: {done}", KEY, context, result)
                    assert entry["result"] == "invalid", entry["comment"]
                    yield entry
                yield stream_case(name, label + ": another context", KEY, b"c", stream, "not_authentic")
    stream = seal(KEY, bytes(24), chunks[0], b"", noise("many", 256 * chunks[0] + 1))
    yield stream_case(name, "257 chunks: the counter's second byte", KEY, b"", stream)


def agcm():
    cases = list(stream_cases("agcm", seal_agcm, CHUNKS, [4096, 65536, 262144]))
    stream = seal_agcm(KEY, noise("header", 24), 4096, b"", b"plain")
    for done, result, why in damaged_headers(stream):
        cases.append(stream_case("agcm", "header: " + done, KEY, b"", result, why))
    cases.append(stream_case("agcm", "another key", OTHER_KEY, b"", stream, "unknown_key"))
    return {"testGroups": [{"tests": cases}]}


def c2sp():
    def seal(key, salt, _chunk, context, plain):
        return seal_c2sp(key, salt, context, plain)

    cases = list(stream_cases("c2sp", seal, 56, [C2SP_CHUNK]))
    stream = seal_c2sp(KEY, bytes(24), b"", b"plain")
    cases.append(stream_case("c2sp", "another key", OTHER_KEY, b"", stream, "not_authentic"))
    cases.append(stream_case("c2sp", "empty", KEY, b"", b"", "short_header"))
    return {"testGroups": [{"tests": cases}]}


# ---- AGCM version 1 ----


def agcm_v1():
    nonce = bytes(range(0xA0, 0xAC))
    sealed = [
        {"chunk_size": chunk, "plaintext_size": size, "stream_hex": seal_v1(KEY, nonce, chunk, pattern(size)).hex()}
        for chunk in (1, 64, 4096, 65536)
        for size in (0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5)
    ]
    stream = seal_v1(KEY, nonce, 64, pattern(200))
    head, c0, c1, c2, c3 = stream[:24], stream[24:108], stream[108:192], stream[192:276], stream[276:]
    too_long = (64 + 16 + 1).to_bytes(4, "little")
    damaged = {
        "ok": (KEY, stream),
        "reordered_chunks": (KEY, head + c0 + c2 + c1 + c3),
        "dropped_middle_chunk": (KEY, head + c0 + c2 + c3),
        "doubled_chunk": (KEY, head + c0 + c0 + c1),
        "cut_at_the_end_of_a_chunk": (KEY, head + c0 + c1),
        "chunk_of_zero_bytes": (KEY, head + c0 + bytes(4) + c1),
        "chunk_shorter_than_a_tag": (KEY, head + c0 + b"\x10\0\0\0" + c1[4:20]),
        "chunk_length_too_large": (KEY, head + too_long + c0[4:] + b"\0"),
        "cut_in_a_length": (KEY, head + c0 + c1[:2]),
        "cut_in_a_chunk": (KEY, head + c0 + c1[:-1]),
        "chunk_size_lowered": (KEY, stream[:20] + (32).to_bytes(4, "little") + stream[24:]),
        "chunk_size_0": (KEY, stream[:20] + bytes(4) + stream[24:]),
        "chunk_size_above_10_mib": (KEY, stream[:20] + ((10 << 20) + 1).to_bytes(4, "little") + stream[24:]),
        "nonce_changed": (KEY, stream[:8] + b"\xa1" + stream[9:]),
        "magic_changed": (KEY, b"BGCM" + stream[4:]),
        "header_cut": (KEY, stream[:23]),
        "ciphertext_changed": (KEY, head + c0 + c1[:10] + bytes([c1[10] ^ 1]) + c1[11:]),
        "tag_changed": (KEY, stream[:-1] + bytes([stream[-1] ^ 1])),
        "another_key": (OTHER_KEY, stream),
    }
    cases = []
    for name, (key, bytes_) in damaged.items():
        try:
            plain, why = open_v1(key, bytes_), ""
        except Refused as refusal:
            plain, why = refusal.plain, refusal.why
        cases.append({"name": name, "key_hex": key.hex(), "stream_hex": bytes_.hex(),
                      "released_plaintext_hex": plain.hex(), "published_reader_error": why})
    return {"key_hex": KEY.hex(), "encrypt_vectors": sealed, "decrypt_cases": cases}


# ---- HKDF ----


def hkdf():
    tests = []
    for key_size in (1, 16, 22, 32, 64, 128, 200):
        for salt_size in (0, 1, 32, 64, 128, 129, 300):
            for info_size in (0, 1, 64, 300):
                for size in (1, 16, 32, 63, 64, 65, 76, 92, 255 * 64):
                    if size > 92 and (key_size != 32 or info_size != 64):
                        continue
                    key, salt, info = noise("key", key_size), noise("salt", salt_size), noise("info", info_size)
                    okm = HKDF(algorithm=hashes.SHA512(), length=size, salt=salt, info=info).derive(key)
                    tests.append({"tcId": len(tests) + 1, "ikm": key.hex(), "salt": salt.hex(), "info": info.hex(),
                                  "size": size, "okm": okm.hex(), "result": "valid"})
    tests.append({**tests[0], "tcId": len(tests) + 1, "size": 255 * 64 + 1, "okm": "", "result": "invalid"})
    return {"testGroups": [{"tests": tests}]}


# ---- journals ----


def journal_of(context, frames_of_segments, identity=b"identity"):
    """(name, bytes) of each segment, chained."""
    segments, first, previous = [], 1, None
    for number, frames in enumerate(frames_of_segments):
        salt = noise(f"segment {number}", 16)
        segment = write_segment(KEY, salt + identity, first, 1700000000000000000 + number, previous, context, frames)
        previous = Segment(KEY, segment[:88], context).commitment
        segments.append((name_of(first), segment))
        first += sum(len(records) for records in frames)
    return segments


def journal_case(comment, context, segments, damaged=False, newest_torn=0, lock=b""):
    """`newest_torn`: bytes that a crash took from the end; if that is more than the mark, the last frame is gone."""
    entry = {"comment": comment, "key": KEY.hex(), "ctx": context.hex(), "result": "invalid" if damaged else "valid"}
    records = [] if damaged else read_journal(KEY, context, segments, lock)
    if damaged:
        try:
            read_journal(KEY, context, segments, lock)
            raise AssertionError("read here although damaged: " + comment)
        except Refused:
            pass
    if newest_torn:
        name, newest = segments[-1]
        segments = [*segments[:-1], (name, newest[:-newest_torn])]
        records = records[: -1 if newest_torn > MARK else None]  # the last frame holds one record
    entry["segments"] = [{"name": name, "bytes": segment.hex()} for name, segment in segments]
    entry["lock"] = lock.hex()
    entry["records"] = [record.hex() for record in records]
    return entry


def journal():
    sizes = (0, 1, 3, 4, 5, 4095, 4096, 4097, 65535, 65536, 65537)
    records = [noise(f"record {size}", size) for size in sizes]
    three = [[[b"first", b""], [b"third"]], [[b"4"], [b"5", b"6"]], [[b"7"], [b"8"]]]
    cases = []
    for context in (b"", b"orders", bytes(range(256))):
        cases.append(journal_case("one record of each size", context, journal_of(context, [[[r] for r in records]])))
        cases.append(journal_case("all in one frame", context, journal_of(context, [[records]])))
        cases.append(journal_case("three segments", context, journal_of(context, three)))
        cases.append(journal_case("no frame yet", context, journal_of(context, [[]])))
    segments = journal_of(b"j", three)
    for torn in (1, 17, 24, 25, 41, 48, 54):
        cases.append(journal_case(f"{torn} bytes lost at the end", b"j", segments, newest_torn=torn))
    ((name, closed),) = journal_of(b"j", [[[bytes(600)], [noise("sector", 2000)], [b"last"]]])
    unwritten = closed[:1024] + bytes(512) + closed[1536:]
    cases.append(journal_case("an unwritten sector of a closed segment", b"j", [(name, unwritten)], damaged=True))
    cases.append(journal_case("with its lock", b"j", segments, lock=b"identity"))
    cases.append(journal_case("the lock of another", b"j", segments[:1], damaged=True, lock=b"Identity"))
    others = journal_of(b"j", three, b"Identity")
    for number in range(3):
        mixed = segments[:number] + others[number : number + 1] + segments[number + 1 :]
        cases.append(journal_case(f"segment {number} of another journal", b"j", mixed, damaged=True, lock=b"identity"))
    for done, result in damaged_journals(segments):
        cases.append(journal_case(done, b"j", result, damaged=True))
    cases.append(journal_case("another context", b"k", segments, damaged=True))
    return {"cases": cases}


KINDS = {"agcm": agcm, "c2sp": c2sp, "agcm_v1": agcm_v1, "hkdf": hkdf, "journal": journal}

if __name__ == "__main__":
    json.dump(KINDS[sys.argv[1]](), sys.stdout, indent=1)
