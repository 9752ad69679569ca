"""Purges in every moment of a fill: no request that arrives after the acknowledgement gets the old body.

SELVEDGE_RACE_TRIES: how many (1,000 by hand); of them 15 % must be seen in each window."""
import os
import random
import time
from collections import Counter

import pytest

TRIES = int(os.environ.get("SELVEDGE_RACE_TRIES", "120"))
WANTED = max(1, TRIES * 15 // 100)
PIECES = 400  # of 32 bytes, in two halves
PLANS = ["before the head", "between head and body", "in the body", "within 5 ms of the end", "within 5 ms of the end", "free"]
WINDOWS = PLANS[:4] + ["a second client joining"]
KINDS = ["urls", "site", "everything"]


class Try:
    """One path with an old version and, once deployed, a new one. The first request is answered step by step."""

    def __init__(self, origin, number, plan, seed):
        self.path, self.plan, self.random = f"/race/{number}", plan, random.Random(f"{seed}/{number}")
        self.deployed, self.times = False, {}
        self.gates = {step: origin.gate(step) for step in ("head", "first", "rest")}
        self.sent = {step: origin.gate(f"{step} sent") for step in ("head", "first", "rest")}
        self.jitter = self.random.uniform(0, 0.003)
        origin.on(self.path, self.handler)

    def body(self, version):
        return f"{version} {self.path}".ljust(32).encode() * PIECES

    def handler(self, request, response):
        body = self.body("new" if self.deployed else "old")
        fields = {"Content-Length": len(body), "Cache-Control": "max-age=600", "ETag": f'"{body[:3].decode()}"'}
        if request.number > 1:
            response.head(200, fields)
            return response.raw(body)
        half = len(body) // 2
        for step, send in (("head", lambda: response.head(200, fields)), ("first", lambda: response.raw(body[:half])),
                           ("rest", lambda: response.raw(body[half:]))):
            self.gates[step].wait()
            if self.plan in ("free", PLANS[3]):
                time.sleep(self.jitter)
            self.times[step] = time.monotonic()
            send()
            self.sent[step].open()
        self.times["end"] = time.monotonic()
        return None

    def open(self, *steps):
        for step in steps:
            self.gates[step].open()

    def lead_up(self, reader):
        """To the moment that the plan wants the purge in."""
        if self.plan == "between head and body":
            self.open("head")
            self.sent["head"].wait()
            time.sleep(self.random.uniform(0, 0.004))  # some purges before the node has read it, some after
        elif self.plan == "in the body" or self.plan == PLANS[3]:
            self.open("head", "first")
            reader.at_least(PIECES * 16)
        if self.plan == PLANS[3]:
            self.open("rest")
            time.sleep(self.random.uniform(0, 0.003))
        elif self.plan == "free":
            self.open("head", "first", "rest")
            time.sleep(self.random.uniform(0, 0.012))

    def windows(self, sent, acknowledged):
        """Those that the purge, from its sending to its acknowledgement, was seen in."""
        never = float("inf")
        head, first, rest, end = (self.times.get(step, never) for step in ("head", "first", "rest", "end"))
        if acknowledged < head:
            yield "before the head"
        if sent > head and acknowledged < first:
            yield "between head and body"
        if sent > first and acknowledged < rest:
            yield "in the body"
        if sent - 0.005 <= end <= acknowledged + 0.005:
            yield "within 5 ms of the end"


def purge(node, kind, path):
    node.purge(**{"urls": {"urls": [node.url(path)]}, "site": {"site": "default"}, "everything": {"everything": True}}[kind])


class Race:
    def __init__(self, node, origin):
        self.node, self.origin, self.seen, self.kinds = node, origin, Counter(), Counter()
        self.early, self.second, self.late = node.h2(), node.h2(tls=False), [node.h1(), node.h2()]

    def judge(self, one, answer, may_be_old):
        allowed = [one.body("new"), one.body("old")] if may_be_old else [one.body("new")]
        assert answer.status == 200 and answer.body in allowed, (one.path, one.plan, answer, bytes(answer.body[:32]))

    def run(self, number, plan, kind):
        one = Try(self.origin, number, plan, TRIES)
        reader = self.early.ask(one.path)
        self.origin.wait_for(one.path)
        joined = self.second.ask(one.path) if number % 2 else None
        if joined:
            self.second.ping()
        one.lead_up(reader)
        one.deployed = True
        sent = time.monotonic()
        purge(self.node, kind, one.path)
        acknowledged = time.monotonic()
        for client in self.late:
            self.judge(one, client.request(one.path), may_be_old=False)
        one.open("head", "first", "rest")
        self.judge(one, reader.rest(), may_be_old=True)
        if joined:
            self.judge(one, joined.rest(), may_be_old=True)
        for client in self.late:
            self.judge(one, client.request(one.path), may_be_old=False)
        self.seen.update(one.windows(sent, acknowledged))
        self.seen["a second client joining"] += bool(joined and "collapsed" in joined.answer.cache)
        self.kinds[kind] += 1


@pytest.mark.patient(60 + TRIES)
def test_no_request_after_the_acknowledgement_gets_the_old_body(node, origin):
    race, number = Race(node, origin), 0
    while number < TRIES or (number < 3 * TRIES and any(race.seen[window] < WANTED for window in WINDOWS)):
        race.run(number, PLANS[number % len(PLANS)], KINDS[number // len(PLANS) % len(KINDS)])
        number += 1
    print(f"\n{number} tries, seen {dict(race.seen)}, by {dict(race.kinds)}")
    assert all(race.seen[window] >= WANTED for window in WINDOWS), race.seen
    assert all(race.kinds[kind] >= TRIES // 4 for kind in KINDS)
    assert node.metric("selvedge_purges_total") == number
