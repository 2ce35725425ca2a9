"""What somebody does to a sealed stream or journal who hasn't got the key. Every result must be refused."""

from agcm import TAG
from journal import HEADER as JOURNAL_HEADER
from journal import name_of


def flipped(stream, at):
    changed = bytearray(stream)
    changed[at] ^= 0x20
    return bytes(changed)


def damaged_streams(stream, header, chunk_size):
    """(what was done, the result). `header`: bytes before the first chunk."""
    cut = chunk_size + TAG
    chunks = [stream[at : at + cut] for at in range(header, len(stream), cut)]
    full, last, head = chunks[:-1], chunks[-1], stream[:header]
    yield "salt changed", flipped(stream, 8)
    yield "commitment changed", flipped(stream, header - 1)
    yield "last tag changed", flipped(stream, len(stream) - 1)
    yield "first byte of a chunk changed", flipped(stream, header)
    yield "header cut", stream[: header - 1]
    yield "chunks cut off", head
    yield "last byte cut off", stream[:-1]
    yield "last chunk left its tag", stream[: len(stream) - len(last) + TAG - 1]
    yield "byte appended", stream + b"\0"
    yield "last chunk appended again", stream + last
    if full:
        yield "last chunk dropped", head + b"".join(full)
        yield "first chunk dropped", head + b"".join(chunks[1:])
        yield "first chunk doubled", head + full[0] + b"".join(chunks)
        yield "last tag of the first full chunk changed", flipped(stream, header + cut - 1)
    if len(full) > 1:
        yield "two chunks swapped", head + full[1] + full[0] + b"".join(chunks[2:])
        yield "middle chunk changed", flipped(stream, header + cut + 7)


def damaged_headers(stream):
    """(what was done, the result, how an AGCM reader must call it)."""

    def with_field(at, value):
        return stream[:at] + value + stream[at + len(value) :]

    yield "empty", b"", "short_header"
    yield "magic", with_field(0, b"BGCM"), "bad_magic"
    yield "version 3", with_field(4, b"\x03"), "bad_version"
    yield "chunk size 0", with_field(20, bytes(4)), "bad_chunk_size"
    yield "chunk size 2 KiB", with_field(20, (2048).to_bytes(4, "little")), "bad_chunk_size"
    yield "chunk size 16 MiB", with_field(20, (16 << 20).to_bytes(4, "little")), "bad_chunk_size"
    yield "chunk size no power of two", with_field(20, (4097).to_bytes(4, "little")), "bad_chunk_size"
    yield "chunk size doubled", with_field(20, (8192).to_bytes(4, "little")), "not_authentic"
    yield "algorithm 2", with_field(36, b"\x02"), "bad_algorithm"
    yield "flag set", with_field(38, b"\x01"), "bad_flags"
    yield "key id", flipped(stream, 40), "unknown_key"
    yield "second half of the salt", flipped(stream, 24), "not_authentic"


def damaged_journals(segments):
    """(what was done, the result) for a list of (name, bytes), oldest first: at least three, two frames in each."""

    def with_segment(number, content, name=None):
        return segments[:number] + [(name or segments[number][0], content)] + segments[number + 1 :]

    (first, oldest), (second, middle), (third, newest) = segments[:3]
    yield "segment missing", [segments[0], *segments[2:]]
    yield "two segments swapped", [(first, middle), (second, oldest), *segments[2:]]
    yield "segment under another name", with_segment(0, oldest, name_of(2))
    yield "frame changed in a finished segment", with_segment(0, flipped(oldest, JOURNAL_HEADER + 30))
    yield "frame header changed in a finished segment", with_segment(1, flipped(middle, JOURNAL_HEADER))
    yield "check changed in the newest segment", with_segment(2, flipped(newest, JOURNAL_HEADER + 16))
    yield "mark changed", with_segment(2, flipped(newest, len(newest) - 1))
    yield "last byte before the mark changed", with_segment(2, flipped(newest, len(newest) - 25))
    yield "end of a finished segment cut off", with_segment(0, oldest[:-1])
    yield "mark and end of a finished segment cut off", with_segment(0, oldest[:-25])
    for at in (0, 4, 8, 32, 40, 48, 64, 80, 82, 84, 88):
        yield f"header changed at {at}", with_segment(1, flipped(middle, at))
