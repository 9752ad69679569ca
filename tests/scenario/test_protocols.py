"""The front: HTTP/2 and HTTP/1.1, with TLS and without."""
import ssl
from pathlib import Path

import pytest

from harness.h1 import H1
from harness.h2client import H2
from harness.waiting import together


@pytest.fixture
def page(origin):
    origin.serve("/page", b"a page", cache_control="max-age=60")


def clients(node):
    yield node.h1()
    yield node.h1(tls=True)
    yield node.h2(tls=False)  # prior knowledge
    yield node.h2(tls=True)  # ALPN


def test_one_stored_response_serves_every_protocol(node, origin, page):
    for client in clients(node):
        answer = client.get("/page")
        assert (answer.status, answer.body, answer.get("content-length")) == (200, b"a page", "6")
    assert origin.count("/page") == 1
    node.saw(miss=1, hit=3)
    node.wait_metric("selvedge_requests_total", 2, protocol="h1")
    node.wait_metric("selvedge_requests_total", 2, protocol="h2")


def test_a_translator_from_http_1_may_send_host_in_place_of_authority(start_node, origin, page):
    node = start_node(origin, forward="all")
    answer = node.h2().get("/page", {"host": "localhost"}, host=None)
    assert (answer.status, answer.body) == (200, b"a page")
    assert origin.asked("/page")[0].fields.all("host") == [origin.authority]
    node.saw(miss=1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(node, page, version):
    for client in node.h1(tls=True, version=version), node.h2(version=version):
        assert client.socket.version() == version.name.replace("_", ".")
        assert client.get("/page").status == 200


def test_older_tls_is_refused(node):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):  # by an alert, or by closing
        H1(("127.0.0.1", node.https_port), tls=True, version=ssl.TLSVersion.TLSv1_1)
    assert node.running


def test_keep_alive_and_pipelined_requests_are_answered_in_order(node, origin):
    for name in "abc":
        origin.serve(f"/{name}", name.encode(), cache_control="max-age=60")
    client = node.h1()
    for name in "abcab":
        client.ask(f"/{name}")
    assert [bytes(client.answer().body) for _ in "abcab"] == [b"a", b"b", b"c", b"a", b"b"]


def test_many_streams_of_one_connection_at_once(node, origin):
    for number in range(50):
        origin.serve(f"/{number}", str(number).encode() * 3000, cache_control="max-age=60")
    client = node.h2()
    streams = [client.ask(f"/{number}") for number in range(50)]
    assert [stream.rest().body for stream in streams] == [str(number).encode() * 3000 for number in range(50)]


def test_a_stalled_stream_does_not_hold_up_its_neighbours(node, origin):
    origin.serve("/large", b"x" * 1_000_000, cache_control="max-age=60")
    origin.serve("/small", b"small", cache_control="max-age=60")
    client = node.h2(window=65_535)
    large = client.ask("/large")
    large.paused = True
    large.at_least(65_535)
    assert client.get("/small").body == b"small"
    large.resume()
    assert len(large.rest().body) == 1_000_000


def test_upgrade_to_h2c_is_ignored(node, page):
    answer = node.get("/page", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"})
    assert (answer.status, answer.body) == (200, b"a page")
    assert answer.get("upgrade") is None
    assert node.get("/page").cache["hit"]
    node.wait_metric("selvedge_requests_total", 2, protocol="h1")


def test_http_1_0_is_answered_and_closed(node, page):
    client = node.h1()
    client.send(b"GET /page HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert client.answer().body == b"a page"
    assert client.ended() == "eof"


def test_connections_are_counted_while_they_last(node, page):
    h1, h2 = [node.h1() for _ in range(3)], [node.h2() for _ in range(2)]
    for client in h1 + h2:
        client.get("/page")
    node.wait_metric("selvedge_connections", 3, protocol="h1")
    node.wait_metric("selvedge_connections", 2, protocol="h2")
    node.close_clients()
    node.wait_metric("selvedge_connections", 0)


@pytest.mark.setting("workers")
def test_there_are_as_many_workers_as_are_set(start_node, origin, page):
    node = start_node(origin, workers="3")
    tasks = {path.read_text().strip(): path.parent for path in Path(f"/proc/{node.serving_pid}/task").glob("*/comm")}
    assert sorted(name for name in tasks if name.startswith("worker")) == ["worker 0", "worker 1", "worker 2"]

    def worked():
        """Nanoseconds that each has had a processor."""
        return [int((tasks[f"worker {number}"] / "schedstat").read_text().split()[0]) for number in range(3)]
    before = worked()
    for _ in range(120):  # the kernel spreads connections over all of them
        assert node.h1().get("/page").status == 200
    assert all(after - once > 300_000 for after, once in zip(worked(), before)), (before, worked())


def test_all_workers_serve_at_once(node, page):
    def fifty(index):
        kind = H1 if index % 2 else H2
        address = "127.0.0.1", node.http_port if index % 2 else node.https_port
        with kind(address) as client:
            return sum(client.get("/page").status == 200 for _ in range(50))
    assert together(8, fifty) == [50] * 8
    node.wait_metric("selvedge_requests_total", 400)
