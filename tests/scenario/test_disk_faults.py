"""A device that fills up, vanishes or refuses is done without: hits go on, and who runs the node is told."""
import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from test_disk import kept

from harness.message import noise
from harness.waiting import PATIENCE, until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
# A file system of 32 MB on this directory that only the node sees.
TMPFS = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=32M none "$0" && exec "$@"']


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "disk").mkdir()
    return {"disk": f"{tmp_path}/disk:64M", "disk_admission": "always", "memory": "16M"}


@pytest.fixture
def serving(origin):
    """500 KB for each path."""
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(500_000, request.path)))
    return origin


def ask_for(node, numbers):
    """All are answered right; how many from disk."""
    found = 0
    for number in numbers:
        answer = node.get(f"/{number}")
        assert answer.body == noise(500_000, f"/{number}")
        found += answer.cache.get("detail") == "disk"
    return found


def failed(node):
    node.wait_metric("selvedge_disk_failed_devices", 1)
    assert "it is not used any more, and what it holds is forgotten" in node.err.text
    assert node.metric("selvedge_disk_records") == 0


def test_a_limit_on_the_size_of_files_ends_nobody(start_node, serving, disk):
    node = start_node(serving, inside=["prlimit", "--fsize=1048576"], **disk)
    ask_for(node, range(20))
    failed(node)
    assert "File too large" in node.err.text
    ask_for(node, range(20))


@as_root
def test_a_full_file_system_is_used_as_far_as_it_goes(start_node, serving, disk, tmp_path):
    node = start_node(serving, inside=[*TMPFS, tmp_path / "disk"], **disk)
    ask_for(node, range(150))
    more = itertools.count(1000)  # what a slow device does not take is dropped
    until(lambda: ask_for(node, [next(more)]) or node.metric("selvedge_disk_write_errors_total") >= 1, "it is full", seconds=60)
    assert node.metric("selvedge_disk_failed_devices") == 0
    assert node.metric("selvedge_disk_bytes") < 40 << 20  # the files are as long as all that they will hold
    assert ask_for(node, range(100, 120)) > 0
    ask_for(node, range(150, 190))
    node.wait_metric("selvedge_disk_admitted_total", lambda count: count > 160)


def test_a_directory_that_is_removed_is_done_without(start_node, serving, disk, tmp_path):
    node = start_node(serving, **disk)
    ask_for(node, range(3))
    kept(node, 3)
    shutil.rmtree(tmp_path / "disk")
    ask_for(node, range(3, 40))
    failed(node)
    ask_for(node, range(40))


@pytest.fixture
def hanging(tmp_path):
    """A file while which exists no write to a disk returns, and the environment of a node that it is so for."""
    library, file = tmp_path / "disk_hangs.so", tmp_path / "hangs"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).parent / "harness/faults/disk_hangs.c", "-ldl"], check=True)
    return file, {"LD_PRELOAD": str(library), "SCENARIO_WRITES_HANG": str(file)}


def test_a_device_that_hangs_holds_up_neither_hits_nor_the_end(start_node, serving, disk, hanging, tmp_path):
    """What waits for it is dropped, and counted; a stop takes no longer than its time-out, and says why it is none. What was
    to be noted there is not, so nothing of it is believed afterwards."""
    file, env = hanging
    disk["state_dir"] = tmp_path / "state"
    node = start_node(serving, env=env, shutdown_timeout="1", **disk)
    ask_for(node, range(3))
    kept(node, 3)
    file.touch()
    ask_for(node, range(3, 60))
    node.wait_metric("selvedge_disk_dropped_total", lambda count: count > 10, reason="queue")
    start = time.monotonic()
    node.terminate()
    assert node.wait(20) == 1
    assert time.monotonic() - start < 4 * PATIENCE
    assert "a disk does not end in time" in node.err.text
    again = start_node(serving, **disk)
    assert "it missed what was replaced or invalidated since it was last in use" in again.err.text
    assert "detail" not in again.get("/0").cache
