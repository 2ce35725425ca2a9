"""Applies deltas without our code, as docs/formats/deltas.md says.

usage: deltas.py FILE

FILE holds msgpack arrays [base, delta, expected], each a binary of a packed value. Prints how many were applied.
"""

import sys

import msgpack


class Pairs(list):
    """A map, in its order."""


def apply(base, runs):
    """The value that a delta's runs make of the base."""
    entries = list(base)
    made = type(base)()
    taken = 0
    tokens = iter(runs)
    for token in tokens:
        if token is False or token is True:
            entry, taken = entries[taken], taken + 1
            old = entry[1] if isinstance(base, Pairs) else entry
            new = next(tokens)
            new = apply(old, new) if token else new
            made.append((entry[0], new) if isinstance(base, Pairs) else new)
        elif isinstance(token, list):
            made.extend(zip(token[::2], token[1::2]) if isinstance(base, Pairs) else token)
        elif token > 0:
            made.extend(entries[taken : taken + token])
            taken += token
        else:
            taken -= token
    if taken != len(entries):
        raise ValueError(f"runs for {taken} entries, and the base has {len(entries)}")
    return made


def unpack(data):
    return msgpack.unpackb(data, object_pairs_hook=Pairs, timestamp=0, raw=True, strict_map_key=False)


def same(one, other):
    return type(one) is type(other) and (
        len(one) == len(other) and all(map(same, one, other)) if isinstance(one, (list, tuple)) else one == other
    )


def main():
    applied = 0
    with open(sys.argv[1], "rb") as file:
        for base, delta, expected in msgpack.Unpacker(file, raw=True):
            made = apply(unpack(base), unpack(delta))
            if not same(made, unpack(expected)):
                sys.exit(f"case {applied}: {made!r} instead of {unpack(expected)!r}")
            applied += 1
    print(applied)


if __name__ == "__main__":
    main()
