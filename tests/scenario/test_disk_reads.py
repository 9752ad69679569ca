"""A device whose reads hang or fail: hits from memory go on, all else is asked of the origin, and it is used again when it
answers, or taken out."""
import itertools
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_disk import kept
from test_disk_faults import ask_for, disk, failed, serving  # noqa: F401 (fixtures)

from harness.waiting import PATIENCE, until

STORED = 60  # twice as much as memory holds: asked for in turn, each has been let go of
DEADLINE = 1  # seconds, for a read


@pytest.fixture
def trouble(tmp_path):
    """A file while which exists reads of records hang, or with a byte in it fail; and the environment of a node for that."""
    library, file = tmp_path / "disk_reads.so", tmp_path / "reads"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).parent / "harness/faults/disk_reads.c", "-ldl"], check=True)
    return file, {"LD_PRELOAD": str(library), "SCENARIO_READS": str(file)}


@pytest.fixture
def node(start_node, serving, disk, trouble):  # noqa: F811
    node = start_node(serving, env=trouble[1], **disk)
    for number in range(STORED):  # one by one: none is dropped
        ask_for(node, [number])
        kept(node, number + 1)
    assert ask_for(node, range(10)) > 0
    return node


def ask_at_once(node, numbers, meanwhile=lambda: None):
    """All are answered right; how many from disk."""
    with ThreadPoolExecutor(len(numbers)) as pool:
        asked = pool.map(lambda number: ask_for(node, [number]), numbers)
        meanwhile()
        return sum(asked)


def test_reads_that_hang(node, trouble):
    file, _ = trouble
    node.get("/memory")
    file.touch()

    def hit():
        start = time.monotonic()
        assert node.get("/memory").cache["hit"]
        assert time.monotonic() - start < DEADLINE * PATIENCE
    assert ask_at_once(node, range(10, 30), meanwhile=hit) == 0
    late = node.wait_metric("selvedge_disk_read_timeouts_total", lambda count: count >= 8)
    start = time.monotonic()
    assert ask_at_once(node, range(30, 50)) == 0
    tried = 1 + (time.monotonic() - start) / DEADLINE
    assert node.metric("selvedge_disk_read_timeouts_total") <= late + tried, "it is left alone, but for one read a second"
    assert node.metric("selvedge_disk_failed_devices") == 0

    file.unlink()
    again = itertools.cycle(range(STORED))
    until(lambda: ask_for(node, [next(again)]), "it is read again", seconds=20)
    assert node.metric("selvedge_disk_failed_devices") == 0


def test_reads_that_fail(node, trouble):
    """Not for a few of them; a device that does nothing else is taken out with its records."""
    file, _ = trouble
    file.write_text("x")
    assert ask_for(node, range(10, 14)) == 0
    assert node.metric("selvedge_disk_failed_devices") == 0
    numbers = itertools.cycle(range(STORED))
    until(lambda: ask_for(node, [next(numbers)]) or node.metric("selvedge_disk_failed_devices") == 1, "it is taken out", seconds=60)
    assert node.metric("selvedge_disk_read_errors_total") >= 16
    assert "read failed: Input/output error" in node.err.text
    failed(node)
    assert ask_for(node, range(5)) == 0
