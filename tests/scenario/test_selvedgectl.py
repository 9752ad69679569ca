"""selvedgectl, the command line of the admin API."""
import json
import socket

import pytest

from harness.node import SELVEDGECTL, run


@pytest.fixture
def ctl(node):
    """ctl(words...): with the node's address and token in the environment."""
    return lambda *words, **env: run(*words, binary=SELVEDGECTL, **{
        "SELVEDGE_ADMIN": node.admin_url, "SELVEDGE_TOKEN": node.token, **env})


@pytest.fixture
def page(node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60", etag='"1"')
    node.get("/a")


def test_purge_a_url(node, ctl, page):
    done = ctl("purge", node.url("/a"))
    assert (done.returncode, done.stderr) == (0, "") and "sequence 1" in done.stdout
    assert node.get("/a").cache["fwd"] == "miss"


@pytest.mark.parametrize("words", [("--site", "default"), ("--everything",), ("--everything", "--soft", "--reason", "why")])
def test_purge_more(node, ctl, page, words):
    assert ctl("purge", *words).returncode == 0
    assert node.get("/a").cache["fwd"] == ("stale" if "--soft" in words else "miss")


def test_status(node, ctl, page):
    done = ctl("status")
    assert done.returncode == 0 and str(node.pid) in done.stdout and "objects   1" in done.stdout


def test_json(node, ctl, page):
    status = ctl("--json", "status")
    assert status.returncode == 0 and json.loads(status.stdout)["pid"] == node.pid
    purged = json.loads(ctl("purge", "--everything", "--json").stdout)
    assert purged["sequence"] == 1 and purged["applied_here"] is True
    refused = ctl("--json", "purge", "bad")
    assert refused.returncode == 4
    assert json.loads(refused.stdout or refused.stderr)["error"]["field"] == "urls[0]"


def test_options_go_before_the_environment(node, tmp_path):
    (tmp_path / "token").write_text(node.token + "\n")
    done = run("--admin", node.admin_url, "--token-file", str(tmp_path / "token"), "status", binary=SELVEDGECTL,
               SELVEDGE_ADMIN="http://127.0.0.1:1", SELVEDGE_TOKEN="wrong")
    assert done.returncode == 0


def test_it_takes_the_file_that_the_node_made(node):
    done = run("--admin", node.admin_url, "--token-file", str(node.state_dir / "admin-token"), "status", binary=SELVEDGECTL)
    assert done.returncode == 0


@pytest.mark.parametrize("words", [
    (), ("fly",), ("purge",), ("purge", "--fast", "x"), ("status", "x"), ("purge", "--everything", "http://a/"),
    ("--admin",), ("--admin", "ftp://a", "status"),
])
def test_2_usage(ctl, words):
    done = ctl(*words)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("selvedgectl: ")


def test_2_without_a_token(node):
    done = run("--admin", node.admin_url, "status", binary=SELVEDGECTL)
    assert done.returncode == 2 and "token" in done.stderr


def test_3_unreachable(ctl):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = ctl("status", SELVEDGE_ADMIN=f"http://127.0.0.1:{port}")
    assert done.returncode == 3 and str(port) in done.stderr


def test_4_refused(node, ctl):
    assert ctl("status", SELVEDGE_TOKEN="wrong").returncode == 4
    done = ctl("purge", "not a url")
    assert done.returncode == 4 and "urls[0]" in done.stderr
    assert node.status()["sequence"] == 0


def test_1_when_it_is_not_a_node_that_answers(node, ctl, origin):
    done = ctl("status", SELVEDGE_ADMIN=origin.url)
    assert done.returncode == 1 and "admin listener" in done.stderr


def test_5_sent_but_not_acknowledged_in_time(ctl):
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the request and says nothing
        done = ctl("--timeout", "0.3", "purge", "--everything", SELVEDGE_ADMIN=f"http://127.0.0.1:{server.getsockname()[1]}")
    assert done.returncode == 5 and "purge again" in done.stderr


def test_help():
    done = run("--help", binary=SELVEDGECTL)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("purge", "status", "--admin", "--token-file", "--json", "SELVEDGE_ADMIN", "SELVEDGE_TOKEN", "Exit codes"):
        assert word in done.stdout
