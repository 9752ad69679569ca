"""Clients that keep the node waiting are cut, each kind by its limit; slow ones and those who wait for the origin are not."""
import os
import time

import pytest

from harness.message import noise
from harness.stalling import PREFACE, Stalling, frame, headers, run, settings, window_update
from harness.waiting import PATIENCE

AT_ONCE = int(os.environ.get("SELVEDGE_STALLED_CLIENTS", "100"))
BODY = noise(8_000_000)
OPEN = PREFACE + settings(1 << 20)


def post(length, **more):
    return Stalling(f"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode(), **more)


def stalled():
    """One client of each kind that owes the node bytes, or does not take its own."""
    return {
        "h1, does not read": Stalling(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", reads=0),
        "h1, reads a byte a second": Stalling(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", reads=1),
        "h1, a byte of the body a second": post(1000, each_second=b"x"),
        "h1, chunks of a byte": Stalling(b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                                         each_second=b"1\r\nx\r\n"),
        "h2, zero window": Stalling(PREFACE + settings(0) + headers("/big")),
        "h2, does not read": Stalling(OPEN + window_update(0, 1 << 28) + headers("/big"), reads=0),
        "h2, window of a byte a second": Stalling(PREFACE + settings(0) + headers("/big"), each_second=window_update(1, 1)),
        "h2, zero window, PINGs": Stalling(PREFACE + settings(0) + headers("/big"), each_second=frame(6, 0, 0, b"8 bytes!")),
        "h2, connection's window only": Stalling(PREFACE + settings(1 << 30) + headers("/big")),
        "h2, a byte of the body a second": Stalling(OPEN + headers("/up", method="POST", end=False), each_second=frame(0, 0, 1, b"x")),
        "h2, a frame that never ends": Stalling(OPEN + headers("/up", method="POST", end=False) + frame(0, 0, 1, b"x" * 9000)[:-8000],
                                                each_second=b"x"),
    }


def headless():
    """One of each kind whose request's head does not become whole."""
    return {
        "h1, a byte of the head a second": Stalling(b"GET / HTTP/1.1\r\n", each_second=b"X"),
        "h1, no end of the head": Stalling(b"GET / HTTP/1.1\r\nHost: a\r\n"),
        "h2, half a preface": Stalling(PREFACE[:20]),
        "h2, a frame a byte a second": Stalling(OPEN + headers("/")[:10], each_second=b"\0"),
        "h2, no CONTINUATION": Stalling(OPEN + frame(1, 1, 1, b"\x82"), each_second=lambda second: b""),
    }


@pytest.fixture
def serve(origin):
    origin.serve("/big", BODY, cache_control="max-age=600")
    origin.serve("/small", b"small", cache_control="max-age=600")
    origin.on("/up", lambda _, response: response.send(200, {}, b"taken"))
    return origin


def address(node, tls=False):
    return "127.0.0.1", node.https_port if tls else node.http_port


def assert_all_ended(clients, before):
    late = {name: client.ended for name, client in clients.items() if not client.ended or client.ended[1] > before}
    assert not late, late


@pytest.mark.setting("timeouts.stall")
def test_who_does_not_take_or_give_is_cut_by_the_stall_time_out(start_node, serve):
    node = start_node(serve, stall_timeout="2", header_timeout="50", idle_timeout="50")
    node.get("/big")
    clients = stalled()
    run(clients.values(), address(node), 12)
    assert_all_ended(clients, 7 * PATIENCE)
    node.wait_metric("selvedge_connections_cut_total", len(clients), reason="stall")
    assert node.metric("selvedge_connections_cut_total") == len(clients)
    assert node.get("/small").body == b"small"


@pytest.mark.setting("timeouts.header")
def test_a_head_must_become_whole_within_the_header_time_out(start_node, serve):
    node = start_node(serve, stall_timeout="50", header_timeout="2", idle_timeout="50")
    clients = headless()
    run(clients.values(), address(node), 12)
    assert_all_ended(clients, 5 * PATIENCE)
    node.wait_metric("selvedge_connections_cut_total", len(clients), reason="header")


def test_the_tls_handshake_counts_as_part_of_the_head(start_node, serve):
    node = start_node(serve, stall_timeout="50", header_timeout="2", idle_timeout="50")
    clients = {"says nothing": Stalling(b""), "half a ClientHello": Stalling(b"\x16\x03\x01\x02\x00\x01\x00", each_second=b"\0"),
               "head in TLS": Stalling(b"GET / HTTP/1.1\r\n", each_second=b"X", tls="http/1.1"),
               "frame in TLS": Stalling(OPEN + headers("/")[:10], tls="h2")}
    run(clients.values(), address(node, tls=True), 12)
    assert_all_ended(clients, 5 * PATIENCE)
    node.wait_metric("selvedge_connections_cut_total", len(clients), reason="header")


def test_over_tls_too_who_does_not_take_is_cut(start_node, serve):
    node = start_node(serve, stall_timeout="2", header_timeout="50", idle_timeout="50")
    node.get("/big")
    clients = {"h1": Stalling(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", reads=0, tls="http/1.1"),
               "h2": Stalling(OPEN + window_update(0, 1 << 28) + headers("/big"), reads=0, tls="h2"),
               "window": Stalling(PREFACE + settings(0) + headers("/big"), each_second=window_update(1, 1), tls="h2")}
    run(clients.values(), address(node, tls=True), 12)
    assert_all_ended(clients, 7 * PATIENCE)
    node.wait_metric("selvedge_connections_cut_total", len(clients), reason="stall")


@pytest.mark.setting("timeouts.idle")
def test_an_idle_connection_is_ended_in_good_order(start_node, serve):
    node = start_node(serve, stall_timeout="50", header_timeout="50", idle_timeout="2")
    h1, h2, never = node.h1(), node.h2(), node.h1()
    assert h1.get("/small").body == h2.get("/small").body == b"small"
    start = time.monotonic()
    assert h2.ended() == 0, "GOAWAY without an error"
    assert h1.ended() == never.ended() == "eof"
    assert 1 < time.monotonic() - start < 6 * PATIENCE
    node.wait_metric("selvedge_connections_cut_total", 3, reason="idle")
    node.wait_metric("selvedge_connections", 0)


def test_pings_do_not_keep_an_idle_connection(start_node, serve):
    node = start_node(serve, idle_timeout="2")
    client = Stalling(OPEN, each_second=frame(6, 0, 0, b"8 bytes!"))
    run([client], address(node), 12)
    assert client.ended and client.ended[1] < 5 * PATIENCE
    node.wait_metric("selvedge_connections_cut_total", 1, reason="idle")


def test_a_connection_that_is_used_again_and_again_is_not_idle(start_node, serve):
    node = start_node(serve, idle_timeout="2", header_timeout="2", stall_timeout="2")
    clients = [node.h1(), node.h2()]
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for client in clients:
            assert client.get("/small").body == b"small"
        time.sleep(0.3)
    assert node.metric("selvedge_connections_cut_total") == 0


def test_a_slow_client_is_served_to_the_end(start_node, serve):
    """A file that is larger than all buffers on the way, for three times each limit. The first client empties its buffer
    once a second: its kernel opens the window by whole packets, so that a part of it may not show on the wire."""
    node = start_node(serve, idle_timeout="2", header_timeout="2", stall_timeout="2")
    node.get("/big")
    slow = [Stalling(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", reads=8192, buffer=4096),
            Stalling(OPEN + headers("/big"), each_second=window_update(1, 2048) + window_update(0, 2048)),
            post(9000, each_second=b"x" * 1024)]
    run(slow, address(node), 7)
    assert not any(client.ended for client in slow[:2]), [client.ended for client in slow]
    assert node.metric("selvedge_connections_cut_total", reason="stall") == 0


def test_who_waits_for_a_slow_origin_is_waited_with(start_node, origin):
    node = start_node(origin, idle_timeout="1", header_timeout="1", stall_timeout="1")
    gate = origin.gate()

    def handler(request, response):
        if request.path == "/half":
            response.head(200, {"Content-Length": 2000, "Cache-Control": "max-age=60"})
            response.raw(b"x" * 1000)
        gate.wait()
        if request.path == "/half":
            return response.raw(b"x" * 1000)
        return response.send(200, {"Cache-Control": "max-age=60"}, b"late")
    origin.on("/*", handler)
    h1, h2 = node.h1(), node.h2()
    h1.ask("/late")
    streams = [h2.ask("/late"), h2.ask("/half")]
    half = node.h1()
    half.ask("/half")
    answer = half.at_least(half.head(), 1000)
    streams[1].at_least(1000)
    time.sleep(4)
    gate.open()
    assert h1.answer().body == b"late" and streams[0].rest().body == b"late"
    assert len(streams[1].rest().body) == len(half.rest(answer).body) == 2000
    assert node.metric("selvedge_connections_cut_total", reason="stall") == 0
    assert node.metric("selvedge_connections_cut_total", reason="header") == 0


@pytest.mark.patient(120)
def test_a_hundred_of_them_at_once_do_not_hold_up_another_client(start_node, serve):
    node = start_node(serve, stall_timeout="3", header_timeout="3", idle_timeout="50")
    node.get("/big"), node.get("/small")
    kinds, clients = list({**stalled(), **headless()}), {}
    for number in range(AT_ONCE):
        kind = kinds[number % len(kinds)]
        clients[f"{number}: {kind}"] = {**stalled(), **headless()}[kind]
    good, longest = node.h2(), 0

    def ask():
        nonlocal longest
        start = time.monotonic()
        assert good.request("/small").body == b"small"
        longest = max(longest, time.monotonic() - start)
    before = node.metric("selvedge_memory_bytes")
    run(clients.values(), address(node), 20, ask)
    assert_all_ended(clients, 10 * PATIENCE)
    assert longest < 0.5 * PATIENCE, longest
    assert node.metric("selvedge_connections_cut_total") == AT_ONCE
    node.wait_metric("selvedge_connections", 1)
    node.wait_metric("selvedge_memory_bytes", lambda now: now <= before)
