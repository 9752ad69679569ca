"""A slow and a huge object, many readers: one origin request, every byte, the first at once, memory bounded.

Always at a reduced size; with --slow at the full one. Memory is measured on the release build only."""
import hashlib
import random
import subprocess
import time

import pytest

from harness.crowd import Reader, run_crowd
from harness.message import noise
from harness.node import SANITIZED
from harness.waiting import PATIENCE

MB, MIB = 1_000_000, 1 << 20


def peak_memory(node):
    """The most that the node's processes have held so far, in bytes (VmHWM)."""
    children = open(f"/proc/{node.pid}/task/{node.pid}/children").read().split()
    total = 0
    for pid in [node.pid, *children]:
        status = open(f"/proc/{pid}/status").read()
        total += int(status.split("VmHWM:")[1].split()[0]) * 1024
    return total


def check_memory(node, memory, clients):
    peak, allowed = peak_memory(node), (memory + 48 + 0.25 * clients) * MIB
    print(f"\npeak {peak / MIB:.1f} MiB of {allowed / MIB:.1f} allowed")
    assert SANITIZED or peak <= allowed


def curl(node, path, folder, count):
    """HTTP/2 readers, as processes."""
    line = ["curl", "-sk", "--http2", "--max-time", "120", "-o"]
    return [(folder / f"curl{number}", subprocess.Popen([*line, str(folder / f"curl{number}"), node.urls[1] + path]))
            for number in range(count)]


SLOW_SIZES = {  # length, rate, early, late, slow among the late, HTTP/2 among the early
    "reduced": (3 * MB, 1 * MB, 20, 20, 4, 4),
    "full": (20 * MB, 1 * MB, 100, 100, 20, 20),
}


@pytest.mark.patient(180)
@pytest.mark.parametrize("size", ["reduced", pytest.param("full", marks=pytest.mark.slow)])
def test_a_slow_object_and_many_readers(start_node, origin, tmp_path, size):
    length, rate, early, late, slow, curls = SLOW_SIZES[size]
    node = start_node(origin, memory="256M")
    body, ready, began = noise(length), origin.gate("everybody waits"), []

    def handler(_, response):
        response.head(200, {"Content-Length": length, "Cache-Control": "max-age=600"})
        ready.wait()
        began.append(time.monotonic())
        response.paced(body, rate)
    origin.on("/slow", handler)
    address, chance = ("127.0.0.1", node.http_port), random.Random(3)
    processes = curl(node, "/slow", tmp_path, curls)
    first = [Reader(address, "/slow") for _ in range(early - curls)]
    joining = [Reader(address, "/slow", starts=1 + chance.uniform(0, 0.9 * length / rate),
                      rate=400_000 if number < slow else None) for number in range(late)]

    def release():
        if not ready.is_open() and node.metric("selvedge_connections") >= early:
            ready.open()
    run_crowd(first + joining, 150, release)
    expected = hashlib.sha256(body).hexdigest()
    assert [reader.error for reader in first + joining] == [None] * (early - curls + late)
    assert {reader.digest.hexdigest() for reader in first + joining} == {expected}
    for file, process in processes:
        assert process.wait(60) == 0 and hashlib.sha256(file.read_bytes()).hexdigest() == expected
    latest = max(reader.first_byte - began[0] for reader in first)
    print(f"\nfirst byte to the last of {len(first)} after {latest * 1000:.1f} ms")
    assert latest <= 0.2 * PATIENCE
    assert origin.count("/slow") == 1 and node.metric("selvedge_origin_requests_total") == 1
    node.wait_metric("selvedge_requests_total", early + late)
    check_memory(node, 256, early + late)


HUGE_SIZES = {"reduced": (40, "16M", 16, 5), "full": (300, "64M", 64, 10)}  # MB, memory, MiB, clients


@pytest.mark.patient(180)
@pytest.mark.parametrize("size", ["reduced", pytest.param("full", marks=pytest.mark.slow)])
def test_a_huge_object_at_full_speed(start_node, origin, size):
    megabytes, memory, mebibytes, clients = HUGE_SIZES[size]
    node, block = start_node(origin, memory=memory), noise(MB)
    digest = hashlib.sha256()
    for number in range(megabytes):
        digest.update(b"%08d" % number + block[8:])

    def handler(_, response):
        response.head(200, {"Content-Length": megabytes * MB, "Cache-Control": "max-age=600"})
        for number in range(megabytes):
            response.raw(b"%08d" % number + block[8:])
    origin.on("/huge", handler)
    readers = [Reader(("127.0.0.1", node.http_port), "/huge") for _ in range(clients)]
    run_crowd(readers, 150)
    assert [reader.error for reader in readers] == [None] * clients
    assert {reader.digest.hexdigest() for reader in readers} == {digest.hexdigest()}
    check_memory(node, mebibytes, clients)
    node.wait_metric("selvedge_fills", 0)
    node.wait_metric("selvedge_memory_bytes", 0)
    node.wait_metric("selvedge_objects", 0)
