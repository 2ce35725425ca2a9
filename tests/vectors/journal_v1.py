#!/usr/bin/env python3
"""A known journal segment of version 1, made without sluice: journal_v1.py > journal_v1.json

Needs Debian's python3-cryptography (AES-GCM); HKDF-Expand comes from agcm_v2.py, SipHash-2-4 is written out here.
"""

import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASK = (1 << 64) - 1


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


def hkdf_expand(key, info, size):
    import hashlib
    import hmac

    output, block, counter = b"", b"", 1
    while len(output) < size:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha512).digest()
        output += block
        counter += 1
    return output[:size]


KEY = bytes(range(32))
SALT = bytes(range(100, 124))
CONTEXT = b"orders"
FRAMES = [[b"first", b""], [b"third record"]]

header = b"AGCJ" + struct.pack("<I", 1) + SALT + struct.pack("<QQ", 1, 1700000000000000000) + bytes(16)
header += hkdf_expand(KEY, b"AGCM v2 key id", 16) + struct.pack("<HHI", 1, 0, 0)
derived = hkdf_expand(KEY, b"AGCM journal v1+AEAD_AES_256_GCM\0" + header + CONTEXT, 92)
key, base_nonce, commitment, check_key = derived[:32], derived[32:44], derived[44:76], derived[76:]
segment = header + commitment
durable = 120
for records in FRAMES:
    plain = b"".join(struct.pack("<I", len(r)) + r for r in records)
    head = struct.pack("<IIQ", len(plain), len(records), durable)
    head += siphash24(check_key, struct.pack("<Q", len(segment)) + head)
    nonce = bytes(a ^ b for a, b in zip(base_nonce, len(segment).to_bytes(12, "big")))
    segment += head + AESGCM(key).encrypt(nonce, plain, head)
    durable = len(segment)

print(
    json.dumps(
        {
            "format": "sealed journal version 1",
            "key": KEY.hex(),
            "context": CONTEXT.decode(),
            "frames": [[r.hex() for r in records] for records in FRAMES],
            "segment": segment.hex(),
        },
        indent=1,
    )
)
