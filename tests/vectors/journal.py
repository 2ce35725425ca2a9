"""The sealed journal, version 1: written and read without sluice.

Written from docs/formats/journal.md alone, over Debian's python3-cryptography; SipHash-2-4 is written out here.
"""

import struct

from agcm import Refused, hkdf_expand, open_gcm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASK = (1 << 64) - 1
HEADER = 120
BOUND = 88
MARK = 24


def siphash24(key, message):
    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & MASK

    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])


assert siphash24(bytes(range(16)), bytes(range(15))).hex() == "e545be4961ca29a1"  # from the SipHash paper


class Segment:
    """The keys of one segment, from the part of its header that is bound into them."""

    def __init__(self, input_key, bound, context):
        derived = hkdf_expand(input_key, b"AGCM journal v1+AEAD_AES_256_GCM\0" + bound + context, 92)
        self.key, self.base_nonce = derived[:32], derived[32:44]
        self.commitment, self.check_key = derived[44:76], derived[76:]

    def nonce(self, offset):
        return bytes(a ^ b for a, b in zip(self.base_nonce, offset.to_bytes(12, "big")))

    def check(self, offset, head):
        return siphash24(self.check_key, struct.pack("<Q", offset) + head)


def name_of(first_sequence):
    return f"{first_sequence:020}.agcj"


def write_segment(input_key, salt_and_journal, first_sequence, created, previous, context, frames, closed=True):
    """`salt_and_journal`: 16 and 8 bytes. `frames`: a list of lists of records. `previous`: the commitment of the
    segment before, or nothing."""
    bound = b"AGCJ" + struct.pack("<I", 1) + salt_and_journal + struct.pack("<QQ", first_sequence, created)
    bound += (previous or bytes(16))[:16] + hkdf_expand(input_key, b"AGCM v2 key id", 16) + struct.pack("<HHI", 1, 0, 0)
    assert len(bound) == BOUND
    keys = Segment(input_key, bound, context)
    segment = bound + keys.commitment
    for records in frames:
        plain = b"".join(struct.pack("<I", len(r)) + r for r in records)
        head = struct.pack("<IIQ", len(plain), len(records), len(segment))
        head += keys.check(len(segment), head)
        segment += head + AESGCM(keys.key).encrypt(keys.nonce(len(segment)), plain, head)
    return segment + mark(keys, len(segment), len(segment)) if closed else segment


def mark(keys, at, durable):
    head = struct.pack("<IIQ", 0, 0, durable)
    return head + keys.check(at, head)


def split_records(plain, count):
    records = []
    while plain:
        (size,) = struct.unpack_from("<I", plain)
        if len(plain) < 4 + size:
            raise Refused("corrupt")
        records.append(plain[4 : 4 + size])
        plain = plain[4 + size :]
    if len(records) != count:
        raise Refused("corrupt")
    return records


def read_frames(keys, segment):
    """The records of a segment that must be whole."""
    records, at = [], HEADER
    while at < len(segment):
        head = segment[at : at + 24]
        if len(head) < 24 or keys.check(at, head[:16]) != head[16:]:
            raise Refused("corrupt")
        size, count, durable = struct.unpack_from("<IIQ", head)
        if durable > at:
            raise Refused("corrupt")
        if (size, count) == (0, 0):  # a mark
            at += MARK
            continue
        if not 4 <= size <= 64 << 20 or count == 0:
            raise Refused("corrupt")
        plain = open_gcm(keys.key, keys.nonce(at), segment[at + 24 : at + 24 + size + 16], head)
        if plain is None:
            raise Refused("corrupt")
        records += split_records(plain, count)
        at += 24 + size + 16
    return records


def read_journal(input_key, context, segments, lock=b""):
    """All records of a closed journal. `segments`: (file name, bytes), oldest first; `lock`: what that file holds."""
    records, expected, previous, journal = [], None, None, lock[:8] or None
    for name, segment in segments:
        if len(segment) < HEADER or segment[:4] != b"AGCJ" or segment[80:88] != struct.pack("<HHI", 1, 0, 0):
            raise Refused("header")
        first, _ = struct.unpack_from("<QQ", segment, 32)
        if segment[64:80] != hkdf_expand(input_key, b"AGCM v2 key id", 16):
            raise Refused("unknown_key")
        keys = Segment(input_key, segment[:BOUND], context)
        if keys.commitment != segment[BOUND:HEADER]:
            raise Refused("not_authentic")
        if name != name_of(first) or expected not in (None, first):
            raise Refused("corrupt")
        if previous is not None and segment[48:64] != previous[:16]:
            raise Refused("corrupt")
        if journal not in (None, segment[24:32]):
            raise Refused("corrupt")
        journal = segment[24:32]
        found = read_frames(keys, segment)
        records += found
        expected, previous = first + len(found), keys.commitment
    return records
