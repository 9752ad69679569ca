"""Another client, who asks for 200 hits a second while something else runs at the lowest priority, and what it saw: of
an attack (Run), or of a program that only burns the processor (control), for what else runs on the machine slows it too."""
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from harness.message import noise
from harness.node import SANITIZED
from harness.waiting import until

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import attacks  # noqa: E402

RATE, P99_MS, GAUGE_BYTES, RSS_BYTES = 200, 50, 1 << 20, 32 << 20
SEED = int(os.environ.get("SELVEDGE_FAULT_SEED", random.randrange(1 << 32)))
BURN = "import os, sys, time; os.nice(19)\nwhile time.monotonic() < float(sys.argv[1]): pass"


def rss(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def p99_ms(latencies):
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1000 if latencies else float("inf")


def ask_steadily(client, while_running, latencies):
    """Adds the seconds from when each request was due to when its answer was whole."""
    due = time.monotonic()
    while while_running():
        time.sleep(max(0, due - time.monotonic()))
        assert client.request("/hot").body == b"hot"
        latencies.append(time.monotonic() - due)
        due += 1 / RATE


def beside(node, command, seconds):
    """Runs the command beside the client: latencies, what cut them short, and what the command printed."""
    latencies, failed = [], None
    other = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        with node.h1() as client:
            ask_steadily(client, lambda: other.poll() is None, latencies)
    except (EOFError, OSError) as error:  # judged by the caller: it lost its node
        failed = error
    out, _ = other.communicate(timeout=seconds + 60)
    assert other.returncode == 0
    return latencies, failed, out


def control(node, seconds):
    """The same client while a process of the attacker's priority does nothing to the node: its p99, in milliseconds."""
    latencies, failed, _ = beside(node, ["-c", BURN, str(time.monotonic() + seconds)], seconds)
    assert failed is None
    return p99_ms(latencies)


HUGE = noise(8 << 20)  # more than the kernel takes of one that nobody reads


def answer_late(_, response):
    """Not before it is given up: what has been answered is not reset, whatever its client sends then."""
    if not response.gone(10):
        response.send(404, {}, b"nobody gave it up")


def serve_all(node, origin):
    origin.on("/given-up/*", answer_late)
    origin.serve("/hot", b"hot", cache_control="max-age=600")
    origin.serve("/exact", noise(attacks.EXACT), cache_control="max-age=600")
    origin.serve("/large", noise(1 << 20), cache_control="max-age=600")
    origin.serve("/huge", HUGE, cache_control="max-age=600")
    for path in "/hot", "/exact", "/large":
        node.get(path)


class Run:
    """One attack on one node."""

    def __init__(self, node, origin, name, seconds):
        self.node, self.origin, self.name, self.bare = node, origin, name, "guard is off" in node.err.text
        serve_all(node, origin)
        self.pid, self.lines = node.serving_pid, len(node.err.lines)
        self.rss = rss(self.pid)
        before = origin.count()
        line = [str(HERE / "attacks.py"), name, str(node.http_port), str(seconds), str(SEED)]
        self.latencies, self.failed, out = beside(node, line, seconds)
        self.result, self.origin_requests = json.loads(out), origin.count() - before
        self.p99_ms = p99_ms(self.latencies)

    def broken(self):
        """What no client may do to a node."""
        found = []
        if self.node.serving_pid != self.pid:
            found.append("the serving process ended")
        elif self.failed is not None:
            found.append(f"another client lost its connection: {self.failed!r}")
        elif "error" in self.result:
            found.append(f"the node stood still: {self.result['error']}")
        if self.result["passed"]:
            found.append(f"{self.result['passed']} times what must be refused was taken" +
                         (f", of them {self.result['left']}" if self.result["left"] and not self.bare else ""))
        if len(self.node.err.lines) > self.lines + 5 and not found:
            found.append(f"{len(self.node.err.lines) - self.lines} lines on stderr")
        most = 264 * self.result["connections"]
        if self.origin_requests > most:
            found.append(f"{self.origin_requests} origin requests, not {most}")
        return found

    def settled(self):
        node = self.node
        node.wait_metric("selvedge_fills", 0)
        node.wait_metric("selvedge_connections", 0)
        node.purge(everything=True)  # what may stay of the attack is in the cache, as answers that anybody could ask for
        node.wait_metric("selvedge_memory_bytes", lambda bytes_now: bytes_now <= GAUGE_BYTES)
        if not SANITIZED:
            until(lambda: rss(self.pid) <= self.rss + RSS_BYTES, "RSS is back", seconds=12, interval=0.05)

    def row(self, verdict):
        asked = len(self.latencies)
        pid = self.node.serving_pid
        grown = f"{(rss(pid) - self.rss) / (1 << 20):+.1f}" if pid == self.pid else "-"
        return (self.name, f"{self.p99_ms:.1f}", asked, self.result["connections"], f"{self.result['bytes'] / 1e6:.0f}",
                self.origin_requests, grown, verdict)


COLUMNS = ("attack", "p99 ms", "answers", "connections", "MB sent", "origin", "RSS MiB", "what came of it")
