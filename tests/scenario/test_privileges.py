"""What the serving process has given up: another user's rights, new privileges, core dumps, most dangerous system calls."""
import os
import pwd
import signal
import stat
from pathlib import Path

import pytest

from harness.h2origin import make_certificates
from harness.node import SANITIZED, run
from harness.waiting import until

NOBODY = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def status_of(path):
    return dict(line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)


def threads_of(pid):
    return [status_of(task / "status") for task in Path(f"/proc/{pid}/task").iterdir()]


def test_every_thread_is_filtered_and_can_gain_nothing(node):
    threads = threads_of(node.serving_pid)
    assert len(threads) > 4
    for thread in threads:
        assert thread["NoNewPrivs"].strip() == "1" and thread["Seccomp"].strip() == "2", thread
    assert status_of(f"/proc/{node.pid}/status")["NoNewPrivs"].strip() == "1"


@pytest.mark.setting("system_call_filter")
def test_the_filter_can_be_left_out(start_node, origin):
    node = start_node(origin, system_call_filter="off")
    for thread in threads_of(node.serving_pid):
        assert thread["NoNewPrivs"].strip() == "1" and thread["Seccomp"].strip() == "0", thread


def test_no_core_is_left(node):
    for pid in node.pid, node.serving_pid:
        line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
        assert line.split()[4:6] == ["0", "0"]


def as_nobody(start_node, origin, public_dir, **options):
    origin.serve("/a", b"a", cache_control="max-age=60")
    return start_node(origin, user=NOBODY, **options)


@pytest.mark.setting("user")
@as_root
def test_the_serving_process_is_the_user_and_nothing_of_root(start_node, origin, public_dir):
    (public_dir / "secret").mkdir(mode=0o700)  # what only root can read: the key and the token
    _, certificate, key = make_certificates(public_dir / "secret")
    (public_dir / "secret/token").write_text("from-root\n")
    node = as_nobody(start_node, origin, public_dir, state_dir=public_dir / "state", cert=certificate, key=key,
                     admin_token_file=public_dir / "secret/token")
    nobody = pwd.getpwnam(NOBODY)
    for _ in range(2):  # and so is the next one
        for thread in threads_of(node.serving_pid):
            assert thread["Uid"].split() == [str(nobody.pw_uid)] * 4, thread
            assert thread["Gid"].split() == [str(nobody.pw_gid)] * 4, thread
            assert set(thread["Groups"].split()) <= {str(nobody.pw_gid)}, thread
            assert {thread[name].strip().strip("0") for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {""}, thread
        assert node.h2().get("/a").body == b"a"
        assert node.admin("POST", "/v1/purge", {"everything": True}, token="from-root").status == 200
        node.may_die = True
        before = node.serving_pid
        os.kill(before, signal.SIGKILL)
        until(lambda: node.serving_pid not in (before, None), "another one is there")
        assert node.request("/a").status == 200


@as_root
@pytest.mark.parametrize("private", [True, False], ids=["private", "given"])
def test_state_and_token_are_the_users(start_node, origin, public_dir, private):
    node = as_nobody(start_node, origin, public_dir, state_dir=None if private else public_dir / "state")
    node.purge(everything=True)
    uid = pwd.getpwnam(NOBODY).pw_uid
    assert node.state_dir.stat().st_uid == uid and stat.S_IMODE(node.state_dir.stat().st_mode) == 0o700
    assert {path.name: path.stat().st_uid for path in node.state_dir.iterdir()} == \
        {name: uid for name in ("admin-token", "journal", "sequence", "identity", "lock", "self-signed.pem")}
    node.stop()
    assert node.state_dir.exists() != private


@as_root
def test_state_that_root_made_becomes_the_users(start_node, origin, public_dir):
    first = start_node(origin, state_dir=public_dir / "state")
    sequence, token = first.purge(everything=True), first.token
    first.stop()
    second = as_nobody(start_node, origin, public_dir, state_dir=public_dir / "state")
    assert second.token == token and second.status()["sequence"] == sequence
    second.purge(everything=True)


@as_root
def test_the_access_log_is_the_users(start_node, origin, public_dir):
    log = public_dir / "log" / "access.log"
    log.parent.mkdir()
    node = as_nobody(start_node, origin, public_dir, state_dir=public_dir / "state", access_log=log)
    assert log.stat().st_uid == pwd.getpwnam(NOBODY).pw_uid
    node.get("/a")
    until(lambda: log.read_text().count("\n") == 1, "the line is written")


@as_root
def test_it_still_ends_with_its_parent(start_node, origin, public_dir):
    """The kernel forgets the request for that when the user changes."""
    node = as_nobody(start_node, origin, public_dir, state_dir=public_dir / "state")
    node.kill()  # waits for the serving process, too


def test_an_unknown_user_is_told(origin):
    wrong = run("--origin", origin.url, "--user", "no-such-user", "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0")
    assert wrong.returncode == 1
    assert wrong.stderr == "selvedge: --user no-such-user: there is no such user\n"


@pytest.mark.skipif(SANITIZED, reason="a leak checker has to look into the process")
@as_root
def test_others_cannot_look_into_it(start_node, origin, public_dir):
    """Not dumpable: what it has belongs to root, so not even its own user may attach to it or read its memory."""
    node = as_nobody(start_node, origin, public_dir, state_dir=public_dir / "state")
    assert os.stat(f"/proc/{node.serving_pid}/mem").st_uid == 0
