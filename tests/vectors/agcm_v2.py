#!/usr/bin/env python3
"""Known answers for AGCM version 2, made without sluice: agcm_v2.py > agcm_v2.json

Needs Debian's python3-cryptography (AES-GCM); HKDF-Expand is written out here over hmac.
Plaintexts are the xorshift32 bytes of tests/crypto/support.hpp.
"""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf_expand(key, info, size):
    output, block, counter = b"", b"", 1
    while len(output) < size:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha512).digest()
        output += block
        counter += 1
    return output[:size]


def pattern(size):
    x, output = 2463534242, bytearray()
    for _ in range(size):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        output.append(x & 0xFF)
    return bytes(output)


def seal(key, salt, chunk_size, context, plain):
    header = b"AGCM" + (2).to_bytes(4, "little") + salt[:12] + chunk_size.to_bytes(4, "little") + salt[12:]
    header += (1).to_bytes(2, "little") + (0).to_bytes(2, "little") + hkdf_expand(key, b"AGCM v2 key id", 16)
    assert len(header) == 56
    derived = hkdf_expand(key, b"AGCM v2+AEAD_AES_256_GCM\0" + header + context, 76)
    stream_key, base_nonce, commitment = derived[:32], derived[32:44], derived[44:]
    stream = header + commitment
    for number in range(len(plain) // chunk_size + 1):
        nonce = bytes(a ^ b for a, b in zip(base_nonce, number.to_bytes(12, "big")))
        chunk = plain[number * chunk_size : (number + 1) * chunk_size]
        stream += AESGCM(stream_key).encrypt(nonce, chunk, None)
    return stream


def case(size, chunk_size, context):
    key = bytes(range(32))
    salt = hashlib.sha256(f"{size} {chunk_size} {context}".encode()).digest()[:24]
    stream = seal(key, salt, chunk_size, context.encode(), pattern(size))
    entry = {
        "key": key.hex(),
        "salt": salt.hex(),
        "chunk_size": chunk_size,
        "context": context,
        "plaintext_size": size,
        "stream_size": len(stream),
        "stream_sha256": hashlib.sha256(stream).hexdigest(),
    }
    if len(stream) < 5000:
        entry["stream"] = stream.hex()
    return entry


CASES = [
    (0, 4096, ""),
    (1, 4096, ""),
    (37, 4096, "billing/2024-05"),
    (4095, 4096, ""),
    (4096, 4096, ""),
    (4097, 4096, "c"),
    (3 * 4096 + 5, 4096, ""),
    (0, 65536, ""),
    (2 * 65536, 65536, "x" * 300),
    (300 * 4096 + 1, 4096, ""),
    (100, 8388608, ""),
]

print(json.dumps({"format": "AGCM version 2", "cases": [case(*c) for c in CASES]}, indent=1))
