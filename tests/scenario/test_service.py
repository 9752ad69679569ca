"""A node as a service: what it tells the service manager, and that its unit is sound, narrow, and wide enough for it."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from harness.node import BIN_DIR, ROOT, SANITIZED, run
from harness.waiting import Deadline, until

UNIT = ROOT / "deploy/systemd/selvedge.service"
EXPOSURE = 20  # tenths, of 100


# ---- the service manager's ear

class Manager:
    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(name.replace("@", "\0"))

    def next(self, seconds=10):
        """(state, the id of the process that said it)"""
        self.socket.settimeout(Deadline(seconds).left())
        state, about, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        return state.decode(), struct.unpack("iII", about[0][2])[0]

    def has_more(self):
        self.socket.setblocking(False)
        try:
            self.socket.recv(4096)
            return True
        except BlockingIOError:
            return False


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@selvedge-test-{os.getpid()}")
    yield manager
    manager.socket.close()


def test_it_is_told_once_that_the_node_serves_and_once_that_it_stops(start_node, origin, manager):
    origin.serve("/a", b"a")
    node = start_node(origin, env={"NOTIFY_SOCKET": manager.name})
    assert manager.next() == ("READY=1", node.pid), "the parent says it: no other process is listened to"
    node.may_die = True
    before = node.serving_pid
    os.kill(before, signal.SIGKILL)
    until(lambda: node.serving_pid not in (before, None) and node.request("/a").status == 200, "another one serves")
    assert not manager.has_more(), "a new serving process is no news"
    node.terminate()
    assert manager.next() == ("STOPPING=1", node.pid)
    assert node.wait() == 0 and not manager.has_more()


def test_it_is_told_nothing_of_a_start_that_fails(origin, manager, tmp_path):
    (tmp_path / "token").write_text("not a token\n")
    done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--state-dir",
               tmp_path / "state", "--admin-token-file", tmp_path / "token", NOTIFY_SOCKET=manager.name)
    assert done.returncode == 1 and not manager.has_more()


def test_the_watchdog_hears_of_the_parent_even_while_nothing_serves(start_node, origin, manager):
    node = start_node(origin, env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000000"})
    node.may_die = True
    for _ in range(5):  # quick deaths: the last pause is 0.8 s
        before = node.serving_pid
        os.kill(before, signal.SIGKILL)
        until(lambda: node.serving_pid not in (before, None), "the next one")
    heard = [manager.next(1) for _ in range(12)]
    assert set(heard) <= {("WATCHDOG=1", node.pid), ("READY=1", node.pid)} and heard.count(("WATCHDOG=1", node.pid)) >= 11


@pytest.mark.parametrize("env", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "-1"}])
def test_a_watchdog_that_is_not_for_it_is_not_fed(start_node, origin, manager, env):
    node = start_node(origin, env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000", **env})
    assert manager.next() == ("READY=1", node.pid)
    node.stop()
    assert manager.next() == ("STOPPING=1", node.pid) and not manager.has_more()


@pytest.mark.parametrize("name", ["/nowhere/notify", "notify", "@", "/" + "n" * 200])
def test_a_manager_that_cannot_be_reached_changes_nothing(start_node, origin, name):
    origin.serve("/a", b"a")
    assert start_node(origin, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000"}).get("/a").status == 200


# ---- the unit

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def settings_of(unit):
    """[(key, value)] in order; a key may come several times."""
    return re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M)


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True, timeout=60)


@pytest.fixture
def installed(tmp_path):
    """A root directory with what --install puts there, and the units that the system has."""
    done = subprocess.run(["cmake", "--install", BIN_DIR, "--prefix", tmp_path / "root/usr/local"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in "usr/lib/systemd/system", "usr/bin":
        (tmp_path / "root" / path).mkdir(parents=True)
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "root/usr/lib/systemd/system", symlinks=True, dirs_exist_ok=True)
    shutil.copy("/bin/kill", tmp_path / "root/usr/bin")
    return tmp_path / "root"


@needs_analyze
def test_the_installed_unit_is_without_a_mistake(installed):
    done = analyze("verify", "--man=no", f"--root={installed}", "selvedge.service")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    unit = installed / "usr/local/lib/systemd/system/selvedge.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHme="))
    assert "ProtectHme" in analyze("verify", "--man=no", f"--root={installed}", "selvedge.service").stderr, "it would be seen"


@needs_analyze
def test_its_exposure_is_small(capsys):
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", UNIT)
    with capsys.disabled():
        print("\n" + done.stdout.strip().splitlines()[-1].strip("→ "))
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="systemd-sysusers is not installed")
def test_its_user_is_declared(installed):
    assert ("User", "selvedge") in settings_of(UNIT)
    done = subprocess.run(["systemd-sysusers", f"--root={installed}", "--dry-run"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "user 'selvedge'" in done.stderr + done.stdout, done.stderr


def test_every_option_it_gives_exists():
    for _, line in settings_of(UNIT):
        for option in re.findall(r"(?<= )--[\w-]+", line):
            assert f"\n  {option} " in run("--help").stdout, option


def calls_of(word):
    """The names of a set such as @system-service, with those of the sets in it."""
    if not word.startswith("@"):
        return {word}
    lines = analyze("syscall-filter", word).stdout.splitlines()[1:]
    return set().union(*(calls_of(line.strip()) for line in lines if line.strip() and not line.strip().startswith("#")))


def allowed_calls():
    found = set()
    for key, value in settings_of(UNIT):
        if key == "SystemCallFilter":
            calls = set().union(*map(calls_of, value.lstrip("~").split()))
            found = found - calls if value.startswith("~") else found | calls
    return found


@needs_analyze
@pytest.mark.skipif(SANITIZED, reason="sanitizers make calls of their own")
def test_its_filter_of_system_calls_is_wide_enough(start_node, origin, tmp_path):
    """Whatever is not allowed ends the process here; the unit is more patient."""
    calls = allowed_calls()
    assert len(calls) > 200 and not calls & {"ptrace", "mount", "reboot", "setuid", "keyctl"}
    origin.serve("/a", b"a", cache_control="max-age=60")
    log = tmp_path / "access.log"
    file = tmp_path / "node.yaml"
    site = f"sites: [{{name: www, hosts: [localhost], origin: {{url: '{origin.url}'}}}}]\n"
    file.write_text(site)
    inside = [sys.executable, Path(__file__).parent / "harness/filtered.py", ",".join(sorted(calls))]
    node = start_node(inside=inside, config=str(file), access_log=str(log))
    for client in node.h1(), node.h2():
        assert client.get("/a").body == b"a"
    file.write_text(site.replace("localhost", "localhost, other.example"))
    assert node.request("/a", host="other.example").status == 421
    os.kill(node.pid, signal.SIGHUP)
    until(lambda: node.request("/a", host="other.example").status == 200, "the file is read again")
    node.purge(everything=True)
    assert node.get("/a").cache.get("fwd")
    os.kill(node.pid, signal.SIGUSR1)
    until(lambda: log.read_text().count("\n") == node.metric("selvedge_requests_total"), "the lines are written")
    before_the_end = log.read_text().count("\n")
    node.may_die = True
    before = node.serving_pid
    os.kill(before, signal.SIGKILL)
    until(lambda: node.serving_pid not in (before, None), "the next one")
    assert node.h2().get("/a").status == 200
    node.stop()
    assert log.read_text().count("\n") == before_the_end + 1
    assert "SIGSYS" not in node.err.text


def test_low_ports_and_its_directories_are_allowed():
    unit = settings_of(UNIT)
    assert ("AmbientCapabilities", "CAP_NET_BIND_SERVICE") in unit and ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE") in unit
    start = next(value for key, value in unit if key == "ExecStart")
    assert "--state-dir ${STATE_DIRECTORY}" in start and ("StateDirectory", "selvedge") in unit
    assert ("ExecReload", "kill -HUP $MAINPID") in unit
