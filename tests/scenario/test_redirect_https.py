"""Sites that want https: requests over http are sent there, and nothing else is."""
import json

import pytest

from harness.h1 import H1
from harness.node import run
from harness.waiting import until


@pytest.fixture
def node(start_node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60")
    return start_node(origin, redirect_https="on")


@pytest.fixture(params=["h1", "h2"])
def cleartext(request, node):
    return node.h1() if request.param == "h1" else node.h2(tls=False)


@pytest.mark.setting("sites[].redirect_https")
@pytest.mark.parametrize("host, target, where", [
    ("localhost", "/a", "https://localhost:{port}/a"),
    ("WWW.example:8080", "/a?b=/c&d=%20|e", "https://WWW.example:{port}/a?b=/c&d=%20|e"),
    ("www.example:", "//other.example/x/../a|b", "https://www.example:{port}//other.example/x/../a|b"),
    ("[::1]:80", "/", "https://[::1]:{port}/"),
    ("[::1]", "/?", "https://[::1]:{port}/?")])
def test_the_same_url_over_https_is_where_to_go(node, cleartext, host, target, where):
    answer = cleartext.request(target, host=host)
    assert answer.status == 301 and answer.get("location") == where.format(port=node.https_port)
    assert answer.cache == {"detail": "https"} and answer.body == b"This is answered over https.\n"
    assert cleartext.request(target, host=host, method="HEAD").status == 301


def test_who_goes_there_is_answered(node, cleartext, origin):
    assert cleartext.request("/a").status == 301
    for client in node.h1(tls=True), node.h2():
        assert client.get("/a").body == b"a"
    node.saw(redirect=1, miss=1, hit=1)
    assert origin.count() == 1


def test_other_methods_are_kept(node, cleartext, origin):
    for method in "POST", "PUT", "DELETE", "OPTIONS":
        answer = cleartext.request("/a", method=method, body=b"1234")
        assert answer.status == 308 and answer.get("location") == f"https://localhost:{node.https_port}/a", method
    assert origin.count() == 0
    node.saw(redirect=4)


def test_neither_stored_nor_in_the_way_of_what_is(node, cleartext, origin):
    node.h2().get("/a")
    assert cleartext.request("/a").status == 301 and node.h2().request("/a").cache["hit"]
    assert node.metric("selvedge_objects") == 1


def test_it_is_logged_as_what_it_is(start_node, origin, tmp_path):
    log = tmp_path / "log"
    node = start_node(origin, redirect_https="on", access_log=str(log))
    node.request("/a")
    until(lambda: log.exists() and log.read_bytes().endswith(b"\n"), "a line")
    line = json.loads(log.read_text())
    assert (line["status"], line["cache"], line["tier"], line["path"]) == (301, "redirect", None, "/a")


def test_what_is_wrong_is_told_rather_than_sent_on(node, cleartext):
    assert cleartext.request("/%00").status == 400 and cleartext.request("/../../x").status == 400
    assert cleartext.request("/a", method="TRACE").status == 501
    node.saw(error=3)


def test_without_a_host_there_is_nowhere_to_go(node):
    with H1(("127.0.0.1", node.http_port)) as client:
        client.send(b"GET /a HTTP/1.0\r\n\r\n")
        answer = client.head()
        assert answer.status == 400 and "location" not in answer.fields


def test_purge_is_not_sent_on(start_node, origin):
    node = start_node(origin, redirect_https="on", purge_method="on")
    answer = node.request("/a", {"Authorization": f"Bearer {node.token}"}, method="PURGE")
    assert answer.status == 200 and node.status()["sequence"] == 1


def test_the_admin_listener_never_redirects(node):
    assert node.admin("GET", "/healthz", token=None).status == 200 and node.admin("GET", "/v1/status").status == 200


def test_another_port_than_the_listeners(start_node, origin):
    for port, where in ("443", "https://localhost/a"), ("8444", "https://localhost:8444/a"):
        node = start_node(origin, redirect_https=port, listen="http://127.0.0.1:0")
        assert node.request("/a").get("location") == where


def test_each_site_for_itself(start_node, origin, tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(f"""sites:
- {{name: a, hosts: [a.example], redirect_https: on, origin: {{url: '{origin.url}'}}}}
- {{name: b, hosts: [b.example], origin: {{url: '{origin.url}'}}}}
""")
    origin.serve("/a", b"a")
    node = start_node(config=path)
    assert node.request("/a", host="a.example").status == 301
    assert node.request("/a", host="b.example").status == 200
    assert node.request("/a", host="c.example").status == 421
    node.wait_metric("selvedge_requests_total", 1, site="a", outcome="redirect")


@pytest.mark.parametrize("value, said", [
    ("on", "sites[].redirect_https on: there is no https listener to send clients to; give one with --listen, or the port "
           "where https is answered"),
    ("yes", "sites[].redirect_https yes: not a word that it knows; allowed is on, off, or a port from 1 to 65535"),
    ("0", "sites[].redirect_https 0: too small; allowed is 1 to 65535"),
    ("443x", "sites[].redirect_https 443x: not a number; a count is a whole number, such as 4")])
def test_what_cannot_be_is_told(origin, tmp_path, value, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: '{origin.url}'}}, redirect_https: {value}}}\n")
    done = run("--config", path, "--listen", "http://127.0.0.1:0", "--check")
    assert done.returncode == 1 and done.stdout.startswith(f"{path}:2:") and done.stdout.endswith(f": {said}\n")
