"""AGCM version 2, C2SP chunked encryption and AGCM version 1: sealed and opened without sluice.

Written from docs/formats/agcm.md alone, over Debian's python3-cryptography. Nothing here is fast; everything is checked.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

TAG = 16


class Refused(Exception):
    """What a reader says of a stream; `plain` is what it had handed out before."""

    def __init__(self, why, plain=b""):
        super().__init__(why)
        self.why = why
        self.plain = plain


def hkdf_expand(key, info, size):
    return HKDFExpand(algorithm=hashes.SHA512(), length=size, info=info).derive(key)


def pattern(size):
    """The xorshift32 bytes of tests/crypto/support.hpp."""
    x, output = 2463534242, bytearray()
    for _ in range(size):
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        output.append(x & 0xFF)
    return bytes(output)


def open_gcm(key, nonce, sealed, associated=None):
    """The plaintext, or None."""
    if len(sealed) < TAG:
        return None
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except InvalidTag:
        return None


class Chunks:
    """The chunks behind a header: key, base nonce and commitment come from `info`."""

    def __init__(self, input_key, info, chunk_size):
        derived = hkdf_expand(input_key, info, 76)
        self.key, self.base_nonce, self.commitment = derived[:32], derived[32:44], derived[44:]
        self.size = chunk_size

    def nonce(self, number):
        return bytes(a ^ b for a, b in zip(self.base_nonce, number.to_bytes(12, "big")))

    def seal(self, plain):
        pieces = range(len(plain) // self.size + 1)
        return b"".join(
            AESGCM(self.key).encrypt(self.nonce(i), plain[i * self.size : (i + 1) * self.size], None) for i in pieces
        )

    def open(self, sealed):
        plain, number = b"", 0
        while True:
            piece = sealed[number * (self.size + TAG) : (number + 1) * (self.size + TAG)]
            opened = open_gcm(self.key, self.nonce(number), piece)
            if opened is None:
                raise Refused("not_authentic", plain)
            plain += opened
            if len(opened) < self.size:
                return plain
            number += 1

    def last_is_authentic(self, sealed):
        number, rest = divmod(len(sealed), self.size + TAG)
        return rest >= TAG and open_gcm(self.key, self.nonce(number), sealed[-rest:]) is not None


# ---- AGCM version 2 ----

HEADER = 56
CHUNKS = 88


def agcm_header(key, salt, chunk_size):
    header = b"AGCM" + (2).to_bytes(4, "little") + salt[:12] + chunk_size.to_bytes(4, "little") + salt[12:]
    header += (1).to_bytes(2, "little") + (0).to_bytes(2, "little") + hkdf_expand(key, b"AGCM v2 key id", 16)
    assert len(header) == HEADER
    return header


def agcm_chunks(key, header, context):
    size = int.from_bytes(header[20:24], "little")
    return Chunks(key, b"AGCM v2+AEAD_AES_256_GCM\0" + header + context, size)


def seal_agcm(key, salt, chunk_size, context, plain):
    header = agcm_header(key, salt, chunk_size)
    chunks = agcm_chunks(key, header, context)
    return header + chunks.commitment + chunks.seal(plain)


def check_agcm_header(key, stream):
    """Refuses in the order that the document gives."""
    if len(stream) < CHUNKS:
        raise Refused("short_header")
    chunk_size = int.from_bytes(stream[20:24], "little")
    rules = [
        (stream[:4] == b"AGCM", "bad_magic"),
        (int.from_bytes(stream[4:8], "little") == 2, "bad_version"),
        (4096 <= chunk_size <= 8 << 20 and chunk_size & (chunk_size - 1) == 0, "bad_chunk_size"),
        (int.from_bytes(stream[36:38], "little") == 1, "bad_algorithm"),
        (int.from_bytes(stream[38:40], "little") == 0, "bad_flags"),
        (stream[40:56] == hkdf_expand(key, b"AGCM v2 key id", 16), "unknown_key"),
    ]
    for holds, why in rules:
        if not holds:
            raise Refused(why)


def agcm_body(key, context, stream):
    check_agcm_header(key, stream)
    chunks = agcm_chunks(key, stream[:HEADER], context)
    if chunks.commitment != stream[HEADER:CHUNKS]:
        raise Refused("not_authentic")
    return chunks, stream[CHUNKS:]


# ---- C2SP chunked encryption ----

C2SP_CHUNK = 16384


def c2sp_chunks(key, salt, context):
    return Chunks(key, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context, C2SP_CHUNK)


def seal_c2sp(key, salt, context, plain):
    chunks = c2sp_chunks(key, salt, context)
    return salt + chunks.commitment + chunks.seal(plain)


def c2sp_body(key, context, stream):
    if len(stream) < 56:
        raise Refused("short_header")
    chunks = c2sp_chunks(key, stream[:24], context)
    if chunks.commitment != stream[24:56]:
        raise Refused("not_authentic")
    return chunks, stream[56:]


# ---- either of the two ----

BODIES = {"agcm": agcm_body, "c2sp": c2sp_body}


def open_stream(name, key, context, stream):
    chunks, body = BODIES[name](key, context, stream)
    return chunks.open(body)


def last_chunk_is_authentic(name, key, context, stream):
    try:
        chunks, body = BODIES[name](key, context, stream)
    except Refused:
        return False
    return chunks.last_is_authentic(body)


# ---- AGCM version 1: one key and one nonce for all chunks ----


def seal_v1(key, nonce, chunk_size, plain):
    stream = b"AGCM" + (1).to_bytes(4, "little") + nonce + chunk_size.to_bytes(4, "little")
    for start in range(0, len(plain), chunk_size):
        sealed = AESGCM(key).encrypt(nonce, plain[start : start + chunk_size], None)
        stream += len(sealed).to_bytes(4, "little") + sealed
    return stream


def open_v1(key, stream):
    if len(stream) < 24:
        raise Refused("short_header")
    if stream[:4] != b"AGCM":
        raise Refused("bad_magic")
    if int.from_bytes(stream[4:8], "little") != 1:
        raise Refused("bad_version")
    chunk_size = int.from_bytes(stream[20:24], "little")
    if not 1 <= chunk_size <= 10 << 20:
        raise Refused("bad_chunk_size")
    plain, at = b"", 24
    while at < len(stream):
        size = int.from_bytes(stream[at : at + 4], "little")
        if len(stream) < at + 4 or not TAG < size <= chunk_size + TAG or len(stream) < at + 4 + size:
            raise Refused("malformed", plain)
        opened = open_gcm(key, stream[8:20], stream[at + 4 : at + 4 + size])
        if opened is None:
            raise Refused("not_authentic", plain)
        plain += opened
        at += 4 + size
    return plain
