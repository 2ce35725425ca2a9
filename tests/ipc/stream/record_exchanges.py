#!/usr/bin/env python3
"""Lets two endpoints of published_endpoint.py talk to each other, and prints every message between them as JSON:
[{"name": ..., "events": [{"dir": "S>R" or "R>S", "v": hex}, ...]}, ...]
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading

ENDPOINT = pathlib.Path(__file__).with_name("published_endpoint.py")

# name: (bytes of the file, bytes in a block, more arguments of the receiver). The names mean what the test asks them:
# "sender_ack..." is an exchange whose receiver isn't ours to play.
CASES = {
    "recorded_empty": (0, 10, []),
    "recorded_one_byte": (1, 10, []),
    "recorded_last_block_short": (25, 10, []),
    "recorded_last_block_full": (30, 10, []),
    "recorded_40_blocks": (40, 1, []),
    "recorded_large_blocks": (200_000, 65536, []),
    "sender_ack_rejects_the_first": (30, 10, ["--stop-after", "1"]),
    "sender_ack_rejects_the_third": (300, 10, ["--stop-after", "3"]),
}


def start(*arguments):
    words = [sys.executable, "-B", str(ENDPOINT), *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def relay(source, target, direction, events):
    """Passes messages on, one by one, until the source ends. A peer that has ended misses the rest."""
    while len(head := source.stdout.read(4)) == 4:
        message = source.stdout.read(struct.unpack("<I", head)[0])
        events.append({"dir": direction, "v": message.hex()})
        try:
            target.stdin.write(head + message)
            target.stdin.flush()
        except BrokenPipeError:
            pass
    try:
        target.stdin.close()
    except BrokenPipeError:
        pass


def record(directory, size, block, receiver_arguments):
    content = directory / "content"
    content.write_bytes(bytes(i * 7 % 251 for i in range(size)))
    sender = start("send", "--block", block, content)
    receiver = start("recv", *receiver_arguments, directory / "out")
    events = []
    back = threading.Thread(target=relay, args=(receiver, sender, "R>S", events))
    back.start()
    relay(sender, receiver, "S>R", events)
    back.join()
    sender.wait()
    receiver.wait()
    return events


def main():
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        exchanges = [{"name": name, "events": record(directory, *case)} for name, case in CASES.items()]
    print(json.dumps(exchanges))


if __name__ == "__main__":
    main()
