"""Each attack runs at the lowest priority against a node of one worker, while another client asks for 200 hits a second:
its answers stay quick, the same process serves on, and the node's memory is afterwards what it was before. Some
of the attacks must show what libh2o does alone, on a node whose guard is off."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.message import noise
from harness.node import SANITIZED, SELVEDGE
from harness.waiting import until

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import attacks  # noqa: E402

SECONDS = float(os.environ.get("SELVEDGE_FAULT_SECONDS", "1.5"))
RATE, P99_MS, GAUGE_BYTES, RSS_BYTES = 200, 50, 1 << 20, 32 << 20
# What other programs on a shared machine do to the latencies is no reason to stop a change; with 1, it is by hand and exact.
ATTEMPTS = int(os.environ.get("SELVEDGE_FAULT_ATTEMPTS", "3"))
SLACK = 1 if ATTEMPTS == 1 else 1.5
# Those that show each time. What the others would do is shown by mutants: guard-window-hook-off, guard-resets-not-counted.
TRAPS = ["hpack_bomb", "many_fields", "unknown_frames", "malformed_http2", "smuggling"]
CAN_BE_OFF = SELVEDGE.exists() and b"SELVEDGE_TEST_GUARD" in SELVEDGE.read_bytes()


def rss(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def percentile(latencies, part):
    return sorted(latencies)[int(len(latencies) * part)]


def ask_steadily(client, while_running):
    """Seconds from when each request was due to when its answer was whole."""
    latencies, due = [], time.monotonic()
    while while_running():
        time.sleep(max(0, due - time.monotonic()))
        assert client.request("/hot").body == b"hot"
        latencies.append(time.monotonic() - due)
        due += 1 / RATE
    return latencies


class Run:
    """One attack on one node."""

    def __init__(self, node, origin, name, seconds=SECONDS):
        self.node, self.origin = node, origin
        origin.serve("/hot", b"hot", cache_control="max-age=600")
        origin.serve("/exact", noise(attacks.EXACT), cache_control="max-age=600")
        origin.serve("/large", noise(1 << 20), cache_control="max-age=600")
        for path in "/hot", "/exact", "/large":
            node.get(path)
        self.pid, self.lines = node.serving_pid, len(node.err.lines)
        self.memory, self.rss = node.metric("selvedge_memory_bytes"), rss(self.pid)
        self.asked = origin.count()
        self.latencies, self.failed = [], None
        line = [sys.executable, str(HERE / "attacks.py"), name, str(node.http_port), str(seconds)]
        attacker = subprocess.Popen(line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            with node.h1() as client:
                self.latencies = ask_steadily(client, lambda: attacker.poll() is None)
        except (EOFError, OSError) as error:  # judged below: the neighbour lost its node
            self.failed = error
        out, _ = attacker.communicate(timeout=seconds + 60)
        assert attacker.returncode == 0
        self.result = json.loads(out)

    def broken(self):
        """What no client may do to a node."""
        found = []
        if self.failed is not None:
            found.append(f"another client lost its connection: {self.failed!r}")
        if self.node.serving_pid != self.pid:
            found.append("the serving process ended")
        if "error" in self.result:
            found.append(f"the node stood still: {self.result['error']}")
        if self.result["passed"]:
            found.append(f"{self.result['passed']} times what must be refused was taken")
        if len(self.node.err.lines) > self.lines + 5:
            found.append(f"{len(self.node.err.lines) - self.lines} lines on stderr")
        asked, most = self.origin.count() - self.asked, 264 * self.result["connections"]
        if asked > most:
            found.append(f"{asked} origin requests, not {most}")
        return found

    def settled(self):
        node = self.node
        node.wait_metric("selvedge_fills", 0)
        node.wait_metric("selvedge_memory_bytes", lambda bytes_now: abs(bytes_now - self.memory) <= GAUGE_BYTES)
        if not SANITIZED:
            until(lambda: rss(self.pid) <= self.rss + RSS_BYTES, "RSS is back", seconds=12, interval=0.05)

    def describe(self, name):
        p99 = percentile(self.latencies, 0.99) * 1000 if self.latencies else float("nan")
        return (f"{name:20} p99 {p99:6.1f} ms of {len(self.latencies)}, {self.result}, "
                f"RSS {(rss(self.node.serving_pid) - self.rss) / (1 << 20):+.1f} MiB")


def attack(node, origin, name):
    """What must hold each time; returns whether the other client was answered quickly as well."""
    run = Run(node, origin, name)
    print(run.describe(name))
    assert run.broken() == []
    assert run.result["connections"] > 0
    run.settled()
    if SANITIZED:
        return True
    return len(run.latencies) > RATE * SECONDS / 2 and percentile(run.latencies, 0.99) * 1000 <= P99_MS * SLACK


@pytest.mark.patient(ATTEMPTS * (SECONDS + 60))
@pytest.mark.parametrize("name", attacks.NAMES)
def test_the_node_serves_on(start_node, origin, name):
    node = start_node(origin, workers="1")
    assert any(attack(node, origin, name) for _ in range(ATTEMPTS)), f"p99 is over {P99_MS * SLACK} ms each time"


@pytest.mark.skipif(not CAN_BE_OFF, reason="needs a build with SELVEDGE_TEST_HOOKS")
@pytest.mark.parametrize("name", TRAPS)
def test_without_the_guard_it_would_not(start_node, origin, name):
    node = start_node(origin, workers="1", env={"SELVEDGE_TEST_GUARD": "off"})
    node.may_die = node.stopping = True
    run = Run(node, origin, name)
    broken = run.broken()
    node.kill()
    print(f"{name:20} {broken}")
    assert broken
