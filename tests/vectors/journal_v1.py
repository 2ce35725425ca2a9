#!/usr/bin/env python3
"""The stored known segment of a journal of version 1, made without sluice: journal_v1.py > journal_v1.json"""

import json

from journal import write_segment

KEY = bytes(range(32))
SALT = bytes(range(100, 124))
CONTEXT = b"orders"
FRAMES = [[b"first", b""], [b"third record"]]

segment = write_segment(KEY, SALT, 1, 1700000000000000000, None, CONTEXT, FRAMES)
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
