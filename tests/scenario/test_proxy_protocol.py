"""Behind a balancer: the line of the PROXY protocol says who the client is, and nobody gets by without it."""
import json
import socket
import ssl
from urllib.parse import urlsplit

import pytest

from harness.h1 import H1, connect, tls_context
from harness.waiting import until

FILE = """
listen:
- url: http://127.0.0.1:0
  proxy_protocol: true
- {proxy_protocol: on, url: 'https://127.0.0.1:0'}
- http://127.0.0.1:0
"""

ASK = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def line(client="203.0.113.7", family="TCP4", own="192.0.2.1"):
    return f"PROXY {family} {client} {own} 50123 443\r\n".encode()


@pytest.fixture
def balanced(start_node, origin, tmp_path):
    """A node whose first two addresses are for a balancer; options as usual."""
    origin.serve("/a", b"a", cache_control="max-age=600")
    path = tmp_path / "node.yaml"
    path.write_text(FILE)

    def start(**options):
        return start_node(origin, config=path, listen=None, access_log=str(tmp_path / "log"), **options)
    return start


def clients(tmp_path, count):
    """The client of each line of the access log, once there are so many."""
    log = tmp_path / "log"
    until(lambda: log.exists() and log.read_bytes().count(b"\n") >= count, f"{count} lines")
    return [json.loads(each)["client"] for each in log.read_text().splitlines()]


def is_refused(node, first):
    """Is a connection that begins so reset without an answer?"""
    try:
        with connect(("127.0.0.1", node.http_port)) as client:
            client.sendall(first)
            return client.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


@pytest.mark.parametrize("protocol", ["h1", "h1-tls", "h2", "h2-tls"])
@pytest.mark.setting("listen[].proxy_protocol")
def test_the_client_is_whom_the_line_names(balanced, tmp_path, protocol):
    node = balanced()
    connection = node.h1 if protocol.startswith("h1") else node.h2
    for sent in line(), line("2001:DB8::7", "TCP6", "::1"), b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff ::2 1 2 3 4\r\n":
        client = connection(tls=protocol.endswith("tls"), line=sent)
        assert client.get("/a").body == b"a" and client.get("/a").body == b"a", sent
        client.close()
    assert sorted(clients(tmp_path, 8)) == sorted(["203.0.113.7", "2001:db8::7", "127.0.0.1", "127.0.0.1"] * 2)
    assert node.metric("selvedge_refused_total") == 0


def test_the_limit_of_connections_is_of_the_clients_address(balanced):
    node = balanced(max_address_connections="1")
    kept = [node.h1(line=line(f"203.0.113.{i}")) for i in range(8)]
    kept.append(node.h1(line=line("2001:db8::1", "TCP6", "::1")))
    assert all(client.get("/a").body == b"a" for client in kept), "the balancer's own address has many"
    assert is_refused(node, line("203.0.113.3") + ASK)
    assert is_refused(node, line("2001:db8::ffff:1:2", "TCP6", "::1") + ASK), "IPv6 counts by /64"
    assert is_refused(node, line("::ffff:203.0.113.4", "TCP6", "::1") + ASK), "it is the same client"
    node.wait_metric("selvedge_refused_total", 3, reason="address_connections")
    kept[3].close()
    until(lambda: not is_refused(node, line("203.0.113.3") + ASK), "a place is free again")


def test_the_rates_are_of_the_clients_address(balanced):
    node = balanced(max_address_connection_rate="1", max_address_request_rate="1")
    for i in range(40):
        with H1(("127.0.0.1", node.http_port), line=line(f"198.51.100.{i}")) as client:
            assert client.get("/a").status == 200
    client = node.h1(line=line("198.51.100.250"))
    assert {client.request("/a").status for _ in range(25)} == {200, 429}
    refused = sum(is_refused(node, line("198.51.100.251") + ASK) for _ in range(20))
    assert 8 <= refused <= 15, refused


def test_who_has_not_said_the_line_counts_among_all(balanced):
    node = balanced(max_connections="3", workers="1")  # who comes first is accepted first
    silent = [connect(("127.0.0.1", node.http_port)) for _ in range(3)]
    until(lambda: is_refused(node, line() + ASK), "all places are taken")
    assert node.metric("selvedge_refused_total", reason="connections") >= 1
    for each in silent:
        each.close()
    until(lambda: not is_refused(node, line() + ASK), "they are free again")


@pytest.mark.parametrize("first", [
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"\r\n\r\n\x00\r\nQUIT\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n",
    b"PROXY TCP4 203.0.113.7 192.0.2.1 1 65536\r\n",
    b"PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n",
    b"PROXY SCTP 203.0.113.7 192.0.2.1 1 2\r\n",
    b"proxy unknown\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY UNKNOWN " + b"x" * 200,
], ids=lambda first: first[:24].decode("latin-1").strip().replace("\r\n", " "))
def test_a_connection_that_begins_otherwise_is_ended(balanced, first):
    node = balanced()
    assert is_refused(node, first)
    node.wait_metric("selvedge_refused_total", 1, reason="proxy_line")
    node.wait_metric("selvedge_requests_total", 0)
    assert node.h1(line=line()).get("/a").body == b"a", "the next one is served"


def test_the_longest_line_is_one(balanced):
    node = balanced()
    longest = b"PROXY UNKNOWN " + b"x" * (107 - 16) + b"\r\n"
    assert len(longest) == 107
    assert node.h1(line=longest).get("/a").body == b"a"


def test_a_line_that_dribbles_is_read(balanced, tmp_path):
    node = balanced()
    with connect(("127.0.0.1", node.http_port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in line() + ASK:
            client.sendall(bytes([byte]))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert clients(tmp_path, 1) == ["203.0.113.7"]


@pytest.mark.parametrize("first", [b"", b"PROXY TCP4 203.0.11"], ids=["nothing", "half a line"])
def test_a_line_that_does_not_come_in_time_ends_the_connection(balanced, first):
    node = balanced(header_timeout="0.5")
    assert is_refused(node, first)
    node.wait_metric("selvedge_connections_cut_total", 1, reason="header")
    assert node.metric("selvedge_refused_total") == 0


def test_the_line_and_the_request_in_one_segment(balanced, tmp_path):
    node = balanced()
    with connect(("127.0.0.1", node.http_port)) as client:
        client.sendall(line() + ASK)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert clients(tmp_path, 1) == ["203.0.113.7"]


def test_the_line_and_the_tls_hello_in_one_segment(balanced, tmp_path):
    node = balanced()
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context("http/1.1").wrap_bio(inward, outward, server_hostname="localhost")

    def exchange(action):
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                client.sendall(outward.read())
                inward.write(client.recv(1 << 16))
    with connect(("127.0.0.1", node.https_port), 10) as client:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.sendall(line() + outward.read())
        exchange(tls.do_handshake)
        tls.write(ASK)
        assert exchange(lambda: tls.read(1 << 16)).startswith(b"HTTP/1.1 200 ")
    assert clients(tmp_path, 1) == ["203.0.113.7"]


def test_an_address_for_clients_takes_no_line(balanced, tmp_path):
    """Where everybody connects, nobody may say who he is."""
    node = balanced()
    plain = urlsplit(node.urls[2]).port
    with connect(("127.0.0.1", plain)) as client:
        client.sendall(line() + ASK)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    with H1(("127.0.0.1", plain)) as client:
        assert client.get("/a").body == b"a"
    assert clients(tmp_path, 2) == ["127.0.0.1"] * 2
