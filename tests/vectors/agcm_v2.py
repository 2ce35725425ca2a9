#!/usr/bin/env python3
"""The stored known answers for AGCM version 2, made without sluice: agcm_v2.py > agcm_v2.json"""

import hashlib
import json

from agcm import pattern, seal_agcm


def case(size, chunk_size, context):
    key = bytes(range(32))
    salt = hashlib.sha256(f"{size} {chunk_size} {context}".encode()).digest()[:24]
    stream = seal_agcm(key, salt, chunk_size, context.encode(), pattern(size))
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
