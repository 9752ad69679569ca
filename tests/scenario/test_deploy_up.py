"""deploy/up: one command starts a node in front of the sample origin, prints three commands, and Ctrl-C stops all of it.

From the build that is there; tests/fresh does the same on a fresh machine."""
import os
import re
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from harness.node import BIN_DIR, ROOT, Lines, environment
from harness.sanitizer import trouble_in
from harness.waiting import Deadline

MARK = "SELVEDGE_TEST_OF_UP"


def missing_packages():
    """Those that deploy/up would install first."""
    wanted = subprocess.run([ROOT / "deploy/packages", "--list", "build", "try", "sample"], check=True, capture_output=True,
                            text=True).stdout.split()
    known = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted], capture_output=True,
                           text=True).stdout
    return sorted(set(wanted) - {line.split()[0] for line in known.splitlines() if line.endswith(" installed")})


def processes_with(mark):
    """Those that were started with this in their environment: its id and command line."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (directory / "environ").read_bytes().split(b"\0"):
                found[int(directory.name)] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended, or is somebody else's
            continue
    return found


@pytest.fixture
def up(tmp_path):
    """deploy/up, running, on free ports; the build directory is the one under test."""
    if missing := missing_packages():
        pytest.skip(f"not installed: {' '.join(missing)}")
    if not (BIN_DIR / "CMakeCache.txt").exists():
        pytest.skip(f"{BIN_DIR} is no build directory")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "build").symlink_to(BIN_DIR.resolve())
    mark = uuid.uuid4().hex
    ports = {"LISTEN": "https://127.0.0.1:0 http://127.0.0.1:0", "ADMIN": "http://127.0.0.1:0", "ORIGIN": ""}
    # As in a terminal: tests in the background may have been started with SIGINT ignored.
    line = ["env", "--default-signal=INT", tmp_path / "deploy/up"]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               start_new_session=True, env=environment(**ports, **{MARK: mark}))
    process.mark, process.said = mark, Lines(process.stderr)
    yield process
    for pid in processes_with(mark):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def run_as_printed(command):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=Deadline(10).left())
    assert done.returncode == 0, done
    return done.stdout


def cache_statuses(command):
    return re.findall(r"^cache-status: selvedge; (.+?)\r?$", run_as_printed(command), re.M | re.I)


def test_three_commands_work_and_control_c_leaves_no_process(up):
    assert up.said.find("Ctrl-C stops it", 30), up.said.text
    commands = re.findall(r"^\s*\$ (.+)$", up.said.text, re.M)
    assert len(commands) == 3
    ask, purge, status = commands
    first, second = cache_statuses(ask)
    assert "fwd=" in first and ("hit" in second or "collapsed" in second)
    assert all("hit" in one for one in cache_statuses(ask))
    assert "sequence 1" in run_as_printed(purge)
    assert "fwd=" in cache_statuses(ask)[0]
    assert "objects" in run_as_printed(status)
    running = processes_with(up.mark)
    assert any("selvedge" in line for line in running.values()) and any("gunicorn" in line for line in running.values())

    os.killpg(up.pid, signal.SIGINT)
    assert up.wait(Deadline(15).left()) == 0, up.said.text
    assert processes_with(up.mark) == {}
    up.said.thread.join(5)
    assert "Stopped." in up.said.text and not trouble_in(up.said.text)
