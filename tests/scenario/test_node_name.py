"""The node's name: the same in its status, its metrics and its access log, and nowhere that a client or origin looks."""
import json
import socket

import pytest

from harness.node import SELVEDGECTL, run
from harness.waiting import until


@pytest.fixture
def page(origin):
    origin.serve("/a", b"a", cache_control="max-age=600")


def names(node, log):
    """What the node calls itself in each place."""
    node.get("/a")
    until(lambda: log.exists() and log.read_bytes().endswith(b"\n"), "the line is written")
    [info] = [dict(labels) for (name, labels), value in node.metrics().items() if name == "selvedge_info" and value == 1]
    assert info["version"] == node.status()["version"]
    return {node.status()["node"], info["node"], json.loads(log.read_text())["node"]}


@pytest.mark.setting("node.name")
def test_it_is_told_to_who_runs_the_node_alone(start_node, origin, page, tmp_path):
    node = start_node(origin, node_name="edge-7.fra", access_log=str(tmp_path / "log"))
    assert names(node, tmp_path / "log") == {"edge-7.fra"}
    answer = node.get("/a")
    seen = repr(answer.fields) + repr(origin.asked("/a")[0].fields)
    assert "edge-7" not in seen and answer.cache


def test_it_is_the_hosts_by_default(start_node, origin, page, tmp_path):
    node = start_node(origin, access_log=str(tmp_path / "log"))
    assert names(node, tmp_path / "log") == {socket.gethostname()}


def test_selvedgectl_tells_it(start_node, origin):
    node = start_node(origin, node_name="edge-7")
    done = run("--admin", node.admin_url, "--token-file", node.state_dir / "admin-token", "status", binary=SELVEDGECTL)
    assert done.returncode == 0 and "node      edge-7\n" in done.stdout


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a" * 65])
def test_what_is_no_name_is_refused(name):
    done = run("--origin", "http://127.0.0.1:9", "--node-name", name)
    assert done.returncode == 2 and "not a name; a name is 1 to 64 letters, digits, dots, - and _" in done.stderr
