"""Another end of a peer, in both roles: it serves an actor and a state, calls and observes.

Written from docs/formats/frames.md alone, over Debian's python3-msgpack and pipes.
usage: endpoint.py SCENARIO IN,OUT [IN,OUT...]: descriptors that the process inherits, one pair a connection.
A scenario that sees what the document doesn't allow ends with a text on standard error and status 1.
"""

import os
import select
import struct
import sys
import time
from collections import OrderedDict, deque

import msgpack

(HELLO, CALL, RESULT, CALL_ERROR, CANCEL, SEND, START, RESUME, VERDICT, DATA, END, STREAM_ERROR, CREDIT, WANT_FULL,
 UNSUBSCRIBE, REFUSAL) = range(16)
NO_ACTOR, NO_MEMBER, BAD_ARGUMENTS, FAILED, CANCELLED, BAD_OPTIONS, DUPLICATE, FOREIGN, TOO_SLOW = range(1, 10)
STARTED, RESUMED, GAP, RESTARTED = range(4)
NO_TICKET = (0, bytes(16))  # there is no journal here
PATIENCE = 30  # seconds


def is_number(item):
    return type(item) is int and 0 <= item < 2**64


def is_id(item):
    return type(item) is bytes and len(item) == 16


def is_name(item):
    return type(item) is str and 1 <= len(item.encode()) <= 128


def is_text(item):
    return type(item) is str and len(item.encode()) <= 1024


def is_array(item):
    return type(item) is list


def is_value(item):
    return True


ITEMS = {
    HELLO: (lambda item: item == "sluice", is_number, is_number, is_id, is_number),
    CALL: (is_id, is_name, is_name, is_array),
    RESULT: (is_id, is_value),
    CALL_ERROR: (is_id, is_number, is_text),
    CANCEL: (is_id,),
    SEND: (is_name, is_name, is_array),
    START: (is_id, is_name, is_name, is_value),
    RESUME: (is_id, is_number, is_number, is_number, is_id, is_id, is_name, is_name, is_value),
    VERDICT: (is_id, is_number, is_number, is_number, is_number, is_id),
    DATA: (is_id, is_number, is_number, is_number, is_number, is_number, is_value),
    END: (is_id, is_number),
    STREAM_ERROR: (is_id, is_number, is_text),
    CREDIT: (is_id, is_number),
    WANT_FULL: (is_id, is_number),
    UNSUBSCRIBE: (is_id,),
    REFUSAL: (is_text,),
}


class Broken(Exception):
    """The other side did what the document doesn't allow."""


class Ended(Exception):
    """The other side closed its pipe."""


def check(condition, text):
    if not condition:
        raise Broken(text)


def parse(data):
    """The kind and the items of one frame."""
    check(len(data) >= 2 and data[0] & 0xF0 == 0x90 and data[1] < 128, f"no frame: {data[:40].hex()}")
    items = msgpack.unpackb(data, raw=False, strict_map_key=False)
    kind, rest = items[0], items[1:]
    rules = ITEMS.get(kind)
    check(rules, f"a frame of the unknown kind {kind}")
    check(len(rest) == len(rules), f"kind {kind} has {len(rest)} items")
    check(all(rule(item) for rule, item in zip(rules, rest)), f"kind {kind} has a wrong item: {rest}")
    check(rules[0] is not is_id or data[2:4] == b"\xc4\x10", f"the id of kind {kind} isn't a bin 8 of 16 bytes")
    return kind, rest


class Pipes:
    """One frame at a time, behind its length."""

    def __init__(self, pair):
        self.input, self.output = (int(number) for number in pair.split(","))

    def close(self):
        os.close(self.input)
        os.close(self.output)

    def _read(self, size, deadline):
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([self.input], [], [], max(0.0, deadline - time.monotonic()))
            check(ready, "nothing came in time")
            more = os.read(self.input, size - len(data))
            if not more:
                raise Ended()
            data += more
        return data

    def read(self):
        deadline = time.monotonic() + PATIENCE
        (size,) = struct.unpack("<I", self._read(4, deadline))
        return self._read(size, deadline)

    def write_bytes(self, data):
        data = struct.pack("<I", len(data)) + data
        while data:
            data = data[os.write(self.output, data):]

    def write(self, kind, *items):
        self.write_bytes(msgpack.packb([kind, *items], use_bin_type=True))


class Stream:
    """One that is served. Its history has the items that can be sent again, and those that weren't sent yet."""

    def __init__(self, stream, client, options):
        self.id, self.client = stream, client
        self.block = options.get("slow", "conflate") == "block"
        self.grant = options.get("credit", 32)
        self.history, self.newest, self.sent = deque(), 0, 0
        self.pipes, self.credit = None, 0

    def add(self, value, retained):
        if not self.block and self.newest > self.sent:
            self.history.pop()
        else:
            self.newest += 1
        self.history.append((self.newest, time.time_ns(), value))
        while len(self.history) > retained and (self.pipes is None or self.history[0][0] <= self.sent):
            self.history.popleft()
        self.pump()

    def pump(self):
        if self.pipes is None:
            return
        for number, when, value in list(self.history):
            if self.sent < number <= self.credit:
                self.pipes.write(DATA, self.id, number, when, 0, 0, 0, value)
                self.sent = number


class Shelf:
    """What is served over every connection: the actor "shelf" with the state "count"."""

    def __init__(self, retained=100):
        self.retained = retained
        self.count, self.notes, self.given_up = 0, [], 0
        self.streams, self.kept = {}, OrderedDict()

    def set(self, value):
        self.count = value
        for stream in self.streams.values():
            stream.add(value, self.retained)

    def method(self, name):
        return {"add": self.do_add, "fail": self.do_fail, "release": self.do_release, "given_up": self.do_given_up,
                "note": self.do_note, "notes": self.do_notes, "count_to": self.do_count_to}.get(name)

    def do_add(self, a, b):
        check(type(a) is int and type(b) is int, "no numbers")
        return a + b

    def do_fail(self, text):
        raise RuntimeError(text)

    def do_release(self, value):
        for call, pipes in self.kept.items():
            pipes.write(RESULT, call, value)
        count = len(self.kept)
        self.kept.clear()
        return count

    def do_given_up(self):
        return self.given_up

    def do_note(self, text):
        self.notes.append(text)

    def do_notes(self):
        return self.notes

    def do_count_to(self, last):
        while self.count < last:
            self.set(self.count + 1)
        return self.count


class Endpoint:
    """One connection. `frames` has what came for the calling and observing side and wasn't looked at yet."""

    def __init__(self, pipes, shelf=None, client=None, version=(1, 0), more=()):
        self.pipes, self.shelf = pipes, shelf or Shelf()
        self.client = client or os.urandom(16)
        self.frames, self.other, self.starts = deque(), None, {}
        if version:
            pipes.write(HELLO, "sluice", *version, self.client, 0, *more)

    # The side that serves.

    def step(self):
        kind, items = parse(self.pipes.read())
        if self.other is None:
            check(kind in (HELLO, REFUSAL), f"kind {kind} before a hello")
        if kind == HELLO:
            check(self.other is None, "a second hello")
            check(items[1] == 1, f"version {items[1]}.{items[2]}")
            self.other = items[3]
        elif kind in (CALL, SEND):
            self.serve_call(None if kind == SEND else items[0], *items[-3:])
        elif kind == CANCEL:
            if self.shelf.kept.pop(items[0], None):
                self.shelf.given_up += 1
        elif kind == START:
            self.serve_start(*items)
        elif kind == RESUME:
            self.serve_resume(*items)
        elif kind == CREDIT and items[0] in self.shelf.streams:
            stream = self.shelf.streams[items[0]]
            stream.credit = max(stream.credit, items[1])
            stream.pump()
        elif kind == UNSUBSCRIBE:
            self.shelf.streams.pop(items[0], None)
        elif kind not in (CREDIT, WANT_FULL):
            self.frames.append((kind, items))

    def serve_call(self, call, actor, method, arguments):
        error = None
        if actor != "shelf":
            error = (NO_ACTOR, f"there is no actor {actor}")
        elif method == "keep":
            if call:
                self.shelf.kept[call] = self.pipes
            return
        elif not self.shelf.method(method):
            error = (NO_MEMBER, f"shelf has no method {method}")
        else:
            function = self.shelf.method(method)
            try:
                result = function(*arguments[:function.__code__.co_argcount - 1])
            except (TypeError, Broken) as problem:
                error = (BAD_ARGUMENTS, str(problem))
            except RuntimeError as problem:
                error = (FAILED, str(problem))
        if not call:
            return
        if error:
            self.pipes.write(CALL_ERROR, call, *error)
        else:
            self.pipes.write(RESULT, call, result)

    def refuse_start(self, stream, actor, state, options):
        error = None
        if actor != "shelf":
            error = (NO_ACTOR, f"there is no actor {actor}")
        elif state != "count":
            error = (NO_MEMBER, f"shelf has no state {state}")
        elif (type(options) is not dict or set(options) - {"credit", "slow", "filter", "delta"}
              or options.get("filter") not in (None, "all", ["all"])
              or options.get("delta", "none") not in ("none", "generic", "own")  # each may be answered with full values
              or options.get("slow", "block") not in ("block", "conflate")
              or not 1 <= options.get("credit", 1) <= 65536):
            error = (BAD_OPTIONS, "the options are credit, slow, filter and delta; there are no filters here")
        if error:
            self.pipes.write(STREAM_ERROR, stream, *error)
        return error is not None

    def attach(self, stream, credit):
        stream.pipes, stream.credit = self.pipes, credit
        self.shelf.streams[stream.id] = stream

    def serve_start(self, stream_id, actor, state, options):
        if self.refuse_start(stream_id, actor, state, options):
            return
        if stream_id in self.shelf.streams:
            self.pipes.write(STREAM_ERROR, stream_id, DUPLICATE, "the stream is there")
            return
        self.begin(stream_id, stream_id, STARTED, options)

    def begin(self, named, stream_id, verdict, options):
        stream = Stream(stream_id, self.other, options)
        self.pipes.write(VERDICT, named, verdict, 0, 0, *NO_TICKET)
        self.attach(stream, stream.grant)
        stream.add(self.shelf.count, self.shelf.retained)

    def serve_resume(self, stream_id, last, place, start, seal, fresh, actor, state, options):
        if self.refuse_start(stream_id, actor, state, options):
            return
        stream = self.shelf.streams.get(stream_id)
        if stream is None:
            self.begin(stream_id, fresh, RESTARTED, options)
            return
        if stream.client != self.other:
            self.pipes.write(STREAM_ERROR, stream_id, FOREIGN, "the stream is another client's")
            return
        missed = [item for item in stream.history if item[0] > last]
        if stream.newest - last == len(missed):
            self.pipes.write(VERDICT, stream_id, RESUMED, last + 1, stream.newest, *NO_TICKET)
            stream.sent = last
            self.attach(stream, last + stream.grant)
            stream.pump()
        else:
            self.pipes.write(VERDICT, stream_id, GAP, last + 1, stream.newest, *NO_TICKET)
            stream.history.clear()
            stream.sent = stream.newest
            self.attach(stream, stream.newest + stream.grant)
            stream.add(self.shelf.count, self.shelf.retained)

    def serve(self):
        """Until the other side ends. What it observed can be resumed."""
        try:
            while True:
                self.step()
        except (Ended, BrokenPipeError):
            pass
        for stream in self.shelf.streams.values():
            if stream.pipes is self.pipes:
                stream.pipes = None
        self.shelf.kept.clear()
        self.pipes.close()

    # The side that calls and observes.

    def next(self, *kinds):
        """The first frame of these kinds that came or comes; others stay for later."""
        while True:
            for frame in self.frames:
                if frame[0] in kinds:
                    self.frames.remove(frame)
                    return frame
            self.step()

    def begin_call(self, method, *arguments, actor="shelf"):
        call = os.urandom(16)
        self.pipes.write(CALL, call, actor, method, list(arguments))
        return call

    def answer(self, call):
        """("ok", result) or (code, text)."""
        while True:
            for frame in self.frames:
                if frame[0] in (RESULT, CALL_ERROR) and frame[1][0] == call:
                    self.frames.remove(frame)
                    return ("ok", frame[1][1]) if frame[0] == RESULT else (frame[1][1], frame[1][2])
            self.step()

    def call(self, method, *arguments, actor="shelf"):
        return self.answer(self.begin_call(method, *arguments, actor=actor))

    def result(self, method, *arguments):
        what, value = self.call(method, *arguments)
        check(what == "ok", f"{method}: {what} {value}")
        return value

    def expect_error(self, code, method, *arguments, actor="shelf"):
        got, text = self.call(method, *arguments, actor=actor)
        check(got == code, f"{method}: expected the error {code}, got {got} {text}")
        return text

    def refused(self):
        """The text that the other side closes the port with."""
        _, (text,) = self.next(REFUSAL)
        try:
            while True:
                self.pipes.read()
        except Ended:
            return text


class Observer:
    """One stream that this side observes; checks each frame of it."""

    def __init__(self, endpoint, credit=32, slow="block"):
        self.endpoint, self.id, self.grant, self.slow = endpoint, os.urandom(16), credit, slow
        self.credit, self.last, self.place, self.ticket = credit, 0, 0, NO_TICKET

    @property
    def options(self):
        return {"credit": self.grant, "slow": self.slow}

    def start(self):
        self.endpoint.pipes.write(START, self.id, "shelf", "count", self.options)
        return self.verdict()

    def resume(self, endpoint):
        """The verdict; after `restarted`, the stream goes on under its new id."""
        fresh, self.endpoint = os.urandom(16), endpoint
        endpoint.pipes.write(RESUME, self.id, self.last, self.place, *self.ticket, fresh, "shelf", "count",
                             self.options)
        self.credit = self.last + self.grant
        verdict, first, last = self.verdict()
        if verdict == GAP:
            check(first == self.last + 1 and last >= first, f"the gap {first} to {last} behind {self.last}")
            self.last, self.credit = last, last + self.grant
        elif verdict == RESUMED:
            check(first == self.last + 1 and last + 1 >= first, f"resumed {first} to {last} behind {self.last}")
        elif verdict == RESTARTED:
            self.id, self.last, self.credit = fresh, 0, self.grant
        return verdict, first, last

    def verdict(self):
        kind, items = self.endpoint.next(VERDICT, STREAM_ERROR)
        check(items[0] == self.id, "a verdict for another stream")
        check(kind == VERDICT, f"an error instead of a verdict: {items[1:]}")
        self.ticket = tuple(items[4:])
        if items[1] in (STARTED, RESTARTED):
            self.place = items[4]
        return tuple(items[1:4])

    def value(self):
        _, (stream, number, when, place, form, base, value) = self.endpoint.next(DATA)
        check(stream == self.id, "an item of another stream")
        check(number == self.last + 1, f"item {number} behind {self.last}")
        check(number <= self.credit, f"item {number} beyond the credit {self.credit}")
        check((form, base) == (0, 0), "an item that isn't whole")
        check(abs(when / 1e9 - time.time()) < 3600, f"the time {when}")
        self.last, self.place = number, place
        return value

    def values(self, count):
        return [self.value() for _ in range(count)]

    def allow(self, up_to):
        self.credit = max(self.credit, up_to)
        self.endpoint.pipes.write(CREDIT, self.id, up_to)


# The scenarios. The other side serves a "shelf", too.


def serve(pairs):
    shelf = Shelf(retained=10)
    for pair in pairs:
        Endpoint(pair, shelf).serve()


def calls(pairs):
    end = Endpoint(pairs[0], version=None)
    end.begin_call("add", "for the process before", 0)
    end.pipes.write(HELLO, "sluice", 1, 0, end.client, 0)
    check(end.result("add", 2, 3) == 5, "2 and 3")
    check(end.result("add", 2, 3, "beyond what the method takes") == 5, "an argument too many")
    many = [(n, end.begin_call("add", n, n)) for n in range(500)]
    for n, call in reversed(many):
        check(end.answer(call) == ("ok", 2 * n), f"twice {n}")
    end.expect_error(NO_ACTOR, "add", 1, 2, actor="nobody")
    end.expect_error(NO_MEMBER, "subtract", 1, 2)
    end.expect_error(BAD_ARGUMENTS, "add", "two", 3)
    end.expect_error(BAD_ARGUMENTS, "add", 2)
    check("the shelf fell" in end.expect_error(FAILED, "fail", "the shelf fell"), "the text of the failure")
    check(end.result("add", 20, 30) == 50, "a call behind a failure")
    end.pipes.write(SEND, "shelf", "note", ["first"])
    end.pipes.write(SEND, "nobody", "note", ["lost"])
    end.pipes.write(SEND, "shelf", "nothing", ["lost"])
    end.pipes.write(RESULT, os.urandom(16), "for nobody")
    check(end.result("notes") == ["first"], "what was sent one way")
    kept = end.begin_call("keep")
    check(end.result("release", "later") == 1, "calls released")
    check(end.answer(kept) == ("ok", "later"), "the later answer")


def cancels(pairs):
    end = Endpoint(pairs[0])
    kept = end.begin_call("keep")
    check(end.result("add", 1, 1) == 2, "a call beside a kept one")
    end.pipes.write(CANCEL, kept)
    end.pipes.write(CANCEL, os.urandom(16))
    while end.result("given_up") != 1:
        pass
    check(end.result("release", "nobody waits") == 0, "calls released")


def leaves_a_call(pairs):
    end = Endpoint(pairs[0])
    end.begin_call("keep")
    check(end.result("add", 1, 1) == 2, "a call beside a kept one")


def is_called(pairs):
    """The other side's main program calls and observes what this one serves, while this one calls it."""
    end = Endpoint(pairs[0], Shelf())
    check(end.result("add", 2, 3) == 5, "2 and 3")
    end.serve()


def repeats_a_verdict(pairs):
    """A server that would have its observer take ever more."""
    end = Endpoint(pairs[0])
    while not end.shelf.streams:
        end.step()
    (stream,) = end.shelf.streams
    end.pipes.write(VERDICT, stream, GAP, 2, 40, *NO_TICKET)
    check("verdict" in end.refused(), "why")


def observes(pairs):
    end = Endpoint(pairs[0])
    stream = Observer(end)
    check(stream.start() == (STARTED, 0, 0), "the verdict")
    check(stream.value() == 0, "the present value")
    end.result("count_to", 20)
    check(stream.values(20) == list(range(1, 21)), "every value")
    end.pipes.write(UNSUBSCRIBE, stream.id)
    end.result("count_to", 30)
    check(not [f for f in end.frames if f[0] == DATA], "an item behind an unsubscribe that was answered")


def grants_slowly(pairs):
    end = Endpoint(pairs[0])
    slow = Observer(end, credit=2)
    slow.start()
    check(slow.value() == 0, "the present value")
    end.result("count_to", 10)
    check(slow.value() == 1, "the second value")
    for up_to in (3, 6, 11):
        slow.allow(up_to)
        expected = list(range(slow.last, up_to))
        check(slow.values(len(expected)) == expected, f"the values up to {up_to}")
    end.pipes.write(UNSUBSCRIBE, slow.id)
    newest = Observer(end, credit=1, slow="conflate")
    newest.start()
    check(newest.value() == 10, "the present value")
    end.result("count_to", 50)
    newest.allow(3)
    check(newest.value() == 50, "the newest value only")
    newest.allow(2)  # credit never shrinks
    end.result("count_to", 51)
    check(newest.value() == 51, "the value behind it")


def is_refused_streams(pairs):
    end = Endpoint(pairs[0])

    def refusal(actor, state, options, stream=None):
        stream = stream or os.urandom(16)
        end.pipes.write(START, stream, actor, state, options)
        kind, items = end.next(VERDICT, STREAM_ERROR)
        check(kind == STREAM_ERROR and items[0] == stream, f"no error for {actor} {state} {options}")
        return items[1:]

    check(refusal("nobody", "count", {})[0] == NO_ACTOR, "no such actor")
    check(refusal("shelf", "nothing", {})[0] == NO_MEMBER, "no such state")
    for options in ({"credit": 0}, {"credit": 65537}, {"credit": -1}, {"credit": "2"}, {"slow": "stop"}, {"slow": 1},
                    {1: 2}, [], None, 7):
        check(refusal("shelf", "count", options)[0] == BAD_OPTIONS, f"the options {options}")
    code, text = refusal("shelf", "count", {"credit": 1, "credits": 2})
    check(code == BAD_OPTIONS and '"credit"' in text and '"slow"' in text, f"an unknown option: {code} {text}")
    stream = Observer(end)
    stream.start()
    check(refusal("shelf", "count", {}, stream.id)[0] == DUPLICATE, "a stream that is there")
    end.result("count_to", 1)
    check(stream.values(2) == [0, 1], "the stream goes on")


def resumes(pairs):
    first = Endpoint(pairs[0])
    stream = Observer(first)
    stream.start()
    first.result("count_to", 4)
    check(stream.values(3) == [0, 1, 2], "the first values")
    first.pipes.close()

    second = Endpoint(pairs[1], client=first.client)
    second.result("count_to", 6)
    check(stream.resume(second) == (RESUMED, 4, 7), "the first resumption")
    check(stream.values(4) == [3, 4, 5, 6], "the missed values")
    second.result("count_to", 7)
    check(stream.value() == 7, "a new value")
    second.pipes.close()

    third = Endpoint(pairs[2], client=first.client)
    check(stream.resume(third) == (RESUMED, 9, 8), "nothing was missed")
    third.result("count_to", 8)
    check(stream.value() == 8, "a new value behind it")
    third.pipes.close()

    fourth = Endpoint(pairs[3], client=first.client)
    while fourth.result("open_peers") != 2:  # those of the first three have ended
        pass
    fourth.result("count_to", 100)
    verdict, _, last = stream.resume(fourth)
    check((verdict, last) == (GAP, 101), f"the gap: {verdict}, up to {last}")
    check(stream.value() == 100, "the present value")
    fourth.result("count_to", 102)
    check(stream.values(2) == [101, 102], "new values behind the gap")
    fourth.pipes.close()

    fifth = Endpoint(pairs[4], client=first.client)
    stream.id, stream.endpoint = os.urandom(16), fifth
    fifth.pipes.write(RESUME, stream.id, 5, 0, *NO_TICKET, bytes(range(16)), "shelf", "count", stream.options)
    check(stream.verdict() == (RESTARTED, 0, 0), "an unknown stream")
    stream.id, stream.last, stream.credit = bytes(range(16)), 0, stream.grant
    check(stream.value() == 102, "the present value as number 1")


def resumes_from_a_journal(pairs):
    first = Endpoint(pairs[0])
    stream = Observer(first)
    stream.start()
    check(stream.ticket[1] != bytes(16) and stream.place == stream.ticket[0], "the ticket")
    first.result("count_to", 4)
    check(stream.values(3) == [0, 1, 2], "the first values")
    check(stream.place == stream.ticket[0] + 3, "the place of the third value")
    first.pipes.close()

    second = Endpoint(pairs[1], client=first.client)
    second.result("count_to", 60)
    ticket = stream.ticket
    check(stream.resume(second) == (RESUMED, 4, 61), "more than any buffer holds")
    check(stream.ticket == ticket, "another ticket")
    stream.allow(100)
    check(stream.values(58) == list(range(3, 61)), "the missed values")
    second.result("count_to", 61)
    check(stream.value() == 61, "a new value")
    second.pipes.close()

    third = Endpoint(pairs[2], client=first.client)
    stream.ticket = (ticket[0] - 1, ticket[1])
    check(stream.resume(third)[0] == RESTARTED, "a ticket that was changed")
    check(stream.value() == 61, "the present value as number 1")


def is_foreign(pairs):
    first, second = Endpoint(pairs[0]), Endpoint(pairs[1])
    stream = Observer(first)
    stream.start()
    check(stream.value() == 0, "the present value")  # the verdict comes before the stream runs
    second.pipes.write(RESUME, stream.id, 0, 0, *NO_TICKET, os.urandom(16), "shelf", "count", {})
    _, items = second.next(VERDICT, STREAM_ERROR)
    check(items[:2] == [stream.id, FOREIGN], f"another client's stream: {items}")
    second.pipes.write(UNSUBSCRIBE, stream.id)
    second.pipes.write(CREDIT, stream.id, 1000)
    second.result("count_to", 50)
    check(stream.values(31) == list(range(1, 32)), "the stream goes on, with its own credit")


def is_newer(pairs):
    end = Endpoint(pairs[0], version=(1, 7), more=("and", ["more", {"to": "come"}]))
    check(end.result("add", 2, 3) == 5, "a call")
    end.pipes.write(99, "what version 1.7 knows", 4)
    end.pipes.write(16)
    end.pipes.write(127, os.urandom(16), {})
    check(end.result("add", 4, 3) == 7, "a call behind unknown kinds")


def is_much_newer(pairs):
    end = Endpoint(pairs[0], version=(2, 3), more=("a hello of version 2",))
    text = end.refused()
    check("2.3" in text and "1.0" in text, f"both versions: {text}")


def makes_up_a_kind(pairs):
    end = Endpoint(pairs[0])
    check(end.result("add", 2, 3) == 5, "a call")
    end.pipes.write(99, "unheard of")
    check("99" in end.refused(), "which kind")


def malformed_frames():
    """What must be refused: as the first frame, and as a later one."""
    pack = lambda *items: msgpack.packb(list(items), use_bin_type=True)
    some_id = bytes(16)
    first = [
        b"", b"\x90", b"\x00", pack(0), pack(0, "sluice"), pack(0, "sluice", 1, 0), pack(0, "slice", 1, 0, some_id, 0),
        pack(0, "sluice", 1, 0, bytes(15), 0), pack(0, "sluice", -1, 0, some_id, 0), pack(0, "sluice", 1, 0, some_id),
        pack(0, "sluice", 1, 0, some_id, 0, 1), pack(0, "sluice", 1, 0, "a" * 16, 0),
        b"\x95" + pack(0, "sluice", 1, 0, some_id, 0)[1:], b"\x97" + pack(0, "sluice", 1, 0, some_id, 0)[1:],
        pack(200, 1), pack("hello"),
    ]
    later = [
        b"", b"\x90", b"\x01", b"\x91", b"\x92\xcc\x04\xc4\x10" + some_id, b"\xdc\x00\x02\x04\xc4\x10" + some_id,
        b"\x82\x00\x01\x02\x03", b"\x92\x04\xc5\x00\x10" + some_id, b"\x92\x04\xb0" + some_id,
        b"\x92\x04\xc4\x0f" + bytes(15),
        b"\x92\x04\xc4\x10" + bytes(15), pack(4, some_id) + b"\xc0", pack(4), pack(4, some_id, 1),
        pack(1, some_id, "", "notes", []), pack(1, some_id, "s" * 129, "notes", []), pack(1, some_id, "shelf", 7, []),
        pack(5, "shelf", "note"), pack(2, some_id),
        pack(3, some_id, -4, "x"), pack(3, some_id, 4, "x" * 1025), pack(3, some_id, 4, b"x"), pack(12, some_id, 1.0),
        pack(12, some_id, -1), pack(12, some_id), pack(6, some_id, "shelf", "count"), pack(7, some_id, 1, some_id),
        pack(8, some_id, 0, 0), pack(8, some_id, 0, 0, 0), pack(9, some_id, 1, 1, 0, 0, 0), pack(10, some_id), pack(11, some_id, 1),
        pack(13, some_id, None), pack(14), pack(15), pack(16), pack(127, 1),
    ]
    return [(frame, False) for frame in first] + [(frame, True) for frame in later]


def malforms(pairs):
    """Each bad frame over a connection of its own, beside one that goes on."""
    good, pairs = Endpoint(pairs[0]), iter(pairs[1:])
    stream = Observer(good, credit=1000)
    stream.start()
    count = 0
    check(stream.value() == 0, "the present value")
    for frame, greets in malformed_frames():
        end = Endpoint(next(pairs), version=(1, 0) if greets else None)
        if greets:
            check(end.result("add", 2, 3) == 5, "a call before a bad frame")
        end.pipes.write_bytes(frame)
        try:
            check(end.refused(), "no text")
        except Broken as problem:
            raise Broken(f"frame {frame[:40].hex()}: {problem}")
        end.pipes.close()
        count += 1
        good.result("count_to", count)
        check(stream.value() == count, "the other peer's stream")


def answers_odd_values(pairs):
    """A value may be anything: what doesn't fit is an error of that call or stream, never the end."""
    end = Endpoint(pairs[0])
    deep = None
    for _ in range(200):
        deep = [deep]
    for value in (deep, {"a": [1, {}]}, b"\x00", 1.5, None, [None] * 5000, {None: None}, msgpack.ExtType(5, b"x")):
        end.expect_error(BAD_ARGUMENTS, "add", value, 3)
    for packed in (b"", b"\x92\x01", b"\x92\x01\x02\x03", b"\xc1", b"\x80", b"\xc0", b"\xdd\xff\xff\xff\xff",
                   b"\xdb\xff\xff\xff\xff", b"\x91" * 1000 + b"\xc0"):
        call = os.urandom(16)
        end.pipes.write_bytes(msgpack.packb([CALL, call, "shelf", "add", 0], use_bin_type=True)[:-1] + packed)
        check(end.answer(call)[0] == BAD_ARGUMENTS, f"the arguments {packed[:8].hex()}")
    check(end.result("add", 2, 3) == 5, "a call behind them")


if __name__ == "__main__":
    scenario = globals()[sys.argv[1]]
    try:
        scenario([Pipes(pair) for pair in sys.argv[2:]])
    except Ended:
        sys.exit(f"{sys.argv[1]}: the other side closed")
    except Broken as problem:
        sys.exit(f"{sys.argv[1]}: {problem}")
