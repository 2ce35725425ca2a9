#!/usr/bin/env python3
"""An endpoint of the published port-stream protocol (one block at a time, one-byte ACKs) over standard input and
output, every message preceded by its length as u32 little-endian. Independent of sluice: written from the
protocol alone.

  published_endpoint.py send --block N FILE     exit 0 when every block was handled
  published_endpoint.py recv FILE               exit 0 when the stream ended
  published_endpoint.py recv --stop-after N FILE   rejects block N
"""
import argparse
import json
import struct
import sys

DATA, ACK, END, ERROR = range(4)


class Ended(Exception):
    pass


def read_exactly(count):
    data = sys.stdin.buffer.read(count)
    if len(data) != count:
        raise Ended("input ended")
    return data


def read_message():
    (length,) = struct.unpack("<I", read_exactly(4))
    return read_exactly(length)


def post(kind, number, payload=b""):
    message = struct.pack(">BI", kind, number) + payload
    sys.stdout.buffer.write(struct.pack("<I", len(message)) + message)
    sys.stdout.buffer.flush()


def frames():
    while True:
        message = read_message()
        if len(message) < 5 or message[0] > 3:
            continue
        kind, number = struct.unpack(">BI", message[:5])
        yield kind, number, message[5:]


def send(path, block_size):
    incoming = frames()
    number = 0
    with open(path, "rb") as source:
        while block := source.read(block_size):
            post(DATA, number, block)
            number += 1
            kind, answered, payload = next(incoming)
            while kind != ACK:
                kind, answered, payload = next(incoming)
            if answered != number - 1:
                raise Ended(f"ACK {answered}, expected {number - 1}")
            if payload[:1] != b"\x01":
                post(ERROR, number, json.dumps("Receiver closed the stream").encode())
                raise Ended("Receiver closed the stream " + payload[1:].decode())
    post(END, number)


def receive(path, stop_after):
    expected = 0
    with open(path, "wb") as target:
        for kind, number, payload in frames():
            if kind == DATA:
                if number != expected:
                    raise Ended(f"block {number}, expected {expected}")
                expected += 1
                if expected == stop_after:
                    post(ACK, number, b"\x00")
                    continue
                target.write(payload)
                post(ACK, number, b"\x01")
            elif kind == END:
                if number != expected:
                    raise Ended(f"END counts {number}, expected {expected}")
                return
            elif kind == ERROR:
                raise Ended("sender: " + json.loads(payload.decode()))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    sender = commands.add_parser("send")
    sender.add_argument("--block", type=int, default=65536)
    sender.add_argument("file")
    receiver = commands.add_parser("recv")
    receiver.add_argument("--stop-after", type=int)
    receiver.add_argument("file")
    arguments = parser.parse_args()
    try:
        if arguments.command == "send":
            send(arguments.file, arguments.block)
        else:
            receive(arguments.file, arguments.stop_after)
    except (Ended, BrokenPipeError) as reason:
        print(f"published endpoint: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
