"""A connection may give up so many streams, and keep so many fills in flight; then it is told to calm down. Rapid reset
(CVE-2023-44487), MadeYouReset (CVE-2025-8671), and readers who cancel now and then."""
import socket
import time

import pytest

from harness.raw import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PADDED, PING,
                         RST_STREAM, Raw, frame, get, headers, priority, request_block, rst_stream, settings, window_update)

ATTACKS = {
    "rapid reset": lambda stream, path: get(stream, path) + rst_stream(stream),
    "MadeYouReset by a window of nothing": lambda stream, path: get(stream, path) + window_update(stream, 0),
    "MadeYouReset by a window too large": lambda stream, path: get(stream, path) + window_update(stream, (1 << 31) - 1),
    "MadeYouReset by data after the end": lambda stream, path: get(stream, path) + frame(DATA, 0, stream, b"more"),
}


def connect(node, **more):
    return Raw(("127.0.0.1", node.http_port), **more)


def stopped(node, reason):
    return node.metric("selvedge_guard_stopped_total", reason=reason)


@pytest.mark.parametrize("attack", ATTACKS)
def test_distinct_cold_urls_given_up_reach_the_origin_at_most_264_times(node, origin, attack):
    """200 resets and 64 fills in flight; the origin never answers. The connection ends, nobody else notices."""
    origin.on("/cold/*", lambda request, response: response.gone())
    with connect(node) as raw:
        raw.send(b"".join(ATTACKS[attack](stream, f"/cold/{stream}") for stream in range(1, 4001, 2)))
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_resets") + stopped(node, "too_many_fills") == 1
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_origin_requests_total") <= 264
    assert origin.count() <= 264
    origin.serve("/after", b"still here")
    assert node.get("/after").body == b"still here"


@pytest.mark.setting("http2.reset_budget")
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_budget_is_as_large_as_it_is_set(start_node, origin, attack):
    node = start_node(origin, http2_reset_budget=7)
    with connect(node) as raw:
        for stream in range(1, 15, 2):
            raw.send(ATTACKS[attack](stream, "/x"))
        assert raw.ping()
        assert stopped(node, "too_many_resets") == 0
        # One more is enough, and as many more as seconds have passed on a machine that is busy elsewhere.
        raw.send(b"".join(ATTACKS[attack](stream, "/x") for stream in range(15, 55, 2)) + get(55, "/x"))
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_resets") == 1


def test_the_budget_grows_again_by_one_each_second(start_node, origin):
    """A reader who cancels now and then is not an attacker, however long the connection lasts."""
    node = start_node(origin, http2_reset_budget=1)
    origin.on("/slow", lambda request, response: response.gone())
    with connect(node) as raw:
        raw.send(get(1, "/slow") + rst_stream(1))
        for stream in (3, 5):
            assert raw.ping()
            time.sleep(1.2)  # what is measured here
            raw.send(get(stream, "/slow") + rst_stream(stream))
        assert raw.ping()
        raw.send(get(7, "/slow") + rst_stream(7))
        raw.send(get(9, "/slow"))
        assert raw.ended() == ENHANCE_YOUR_CALM


def test_what_is_reset_after_its_end_costs_nothing(start_node, origin):
    node = start_node(origin, http2_reset_budget=2)
    origin.serve("/hot", b"hot", cache_control="max-age=60")
    node.get("/hot")
    with connect(node) as raw:
        for stream in range(1, 101, 2):
            raw.send(get(stream, "/hot"))
            assert raw.await_frame(DATA, stream, END_STREAM)
            raw.send(rst_stream(stream))
        assert raw.ping()
    assert stopped(node, "too_many_resets") == 0


def test_an_origin_that_breaks_off_costs_the_client_nothing(start_node, origin):
    """The node resets these streams, but the client did not provoke it."""
    node = start_node(origin, http2_reset_budget=1)

    def cut(request, response):
        response.head(200, {"Content-Length": "1000"})
        response.raw(b"part")
        response.close()
    origin.on("/cut/*", cut)
    with connect(node) as raw:
        for stream in range(1, 21, 2):
            raw.send(get(stream, f"/cut/{stream}"))
            assert raw.await_frame(RST_STREAM, stream)
        assert raw.ping()


def abandon(raw, origin, count):
    """So many fills that nobody waits for, but which the node finishes, as little of them is missing."""
    held = origin.gate()

    def hold(request, response):
        response.head(200, {"Content-Length": "4", "Cache-Control": "max-age=60"})
        held.wait()
        response.raw(b"rest")
    origin.on("/held/*", hold)
    streams = range(1, 2 * count, 2)
    for stream in streams:
        raw.send(get(stream, f"/held/{stream}"))
    for _ in streams:
        assert raw.await_frame(HEADERS)
    raw.send(b"".join(map(rst_stream, streams)))
    assert raw.ping()
    return held


def test_fills_that_nobody_waits_for_count_until_they_end(node, origin):
    """64 are in flight and given up: the connection gets no other, nor any answer more; others get theirs."""
    origin.serve("/new", b"new", cache_control="max-age=60")
    with connect(node) as raw:
        held = abandon(raw, origin, 64)
        assert node.metric("selvedge_fills") == 64
        raw.send(get(201, "/new") + get(203, "/new"))
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_fills") == 1
    assert origin.count("/new") == 0
    assert node.request("/new").body == b"new"
    held.open()
    node.wait_metric("selvedge_fills", 0)


def test_fills_that_have_ended_count_no_more(node, origin):
    origin.serve("/new/*", b"new", cache_control="max-age=60")
    with connect(node) as raw:
        held = abandon(raw, origin, 64)
        held.open()
        node.wait_metric("selvedge_fills", 0)
        for stream in range(201, 401, 2):
            raw.send(get(stream, f"/new/{stream}"))
        for stream in range(201, 401, 2):
            raw.await_frame(DATA, flags=END_STREAM)
        assert raw.ping()
    assert stopped(node, "too_many_fills") == 0
    assert origin.count() == 64 + 100


def test_a_page_of_a_hundred_cold_urls_at_once_is_served(node, origin):
    """Requests beyond 64 wait for the first to be answered: who gives nothing up is never over the limit."""
    origin.serve("/page/*", b"x", cache_control="max-age=60")
    with connect(node) as raw:
        for turn in range(10):
            streams = range(1 + 200 * turn, 200 + 200 * turn, 2)
            raw.send(b"".join(get(stream, f"/page/{stream}") for stream in streams))
            for _ in streams:
                assert raw.await_frame(DATA, flags=END_STREAM)
    assert stopped(node, "too_many_fills") == 0
    assert origin.count() == 1000


def test_requests_that_wait_are_not_run_by_the_end_of_their_connection(node, origin):
    """64 run and 36 wait; then the client resets the connection, so that a write fails. (The library, by itself, would run
    a waiting request within the connection's end, and reach an assertion.)"""
    origin.serve("/large", b"x" * (1 << 20), cache_control="max-age=60")
    node.get("/large")
    pid = node.serving_pid
    for _ in range(20):
        with connect(node, receive_buffer=4096) as raw:
            raw.send(window_update(0, 1 << 30) + b"".join(get(stream, "/large") for stream in range(1, 200, 2)))
            assert raw.await_frame(HEADERS)
            raw.send(frame(PING, 0, 0, b"narrower") * 100)
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert node.get("/large").status == 200
    assert node.serving_pid == pid


def test_settings_without_end_are_stopped(node):
    with connect(node) as raw:
        raw.send(settings(initial_window_size=1000) * 99)
        assert raw.ping()
        raw.send(settings(initial_window_size=1000) * 3)
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_settings") == 1


NOTHING = {
    "PING": frame(PING, 0, 0, b"to & fro"),
    "its acknowledgement": frame(PING, ACK, 0, b"to & fro"),
    "PRIORITY": priority(1, 0, 7),
    "empty DATA": frame(DATA, 0, 1),
    "DATA of a byte": frame(DATA, 0, 1, b"1"),
    "DATA of padding": frame(DATA, PADDED, 1, b"\x07" + bytes(7)),
    "WINDOW_UPDATE": window_update(0, 1),
    "unknown frames": frame(0x21, 0, 0, b"GREASE"),
    "resets of nothing": rst_stream(1),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_frames_that_bring_nothing_are_stopped(node, kind):
    with connect(node) as raw:
        raw.send(headers(1, request_block("/", method="POST"), END_HEADERS) + NOTHING[kind] * 950)
        assert raw.ping()
        raw.send(NOTHING[kind] * 2000)
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_frames") == 1


def test_a_header_block_in_endless_pieces_is_stopped(node):
    with connect(node) as raw:
        raw.send(headers(1, request_block("/"), END_STREAM) + frame(CONTINUATION, 0, 1) * 2000)
        assert raw.ended() == ENHANCE_YOUR_CALM
    assert stopped(node, "too_many_frames") == 1


def test_who_asks_may_order_its_streams(node, origin):
    """Eight PRIORITY frames for each request, for as long as it likes."""
    origin.serve("/hot", b"hot", cache_control="max-age=60")
    with connect(node) as raw:
        for stream in range(1, 1001, 2):
            raw.send(get(stream, "/hot") + b"".join(priority(stream, 0, weight) for weight in range(10, 18)))
            assert raw.await_frame(DATA, stream)
    assert stopped(node, "too_many_frames") == 0


def test_who_takes_bytes_may_acknowledge_each_part_of_them(node, origin):
    """A WINDOW_UPDATE for each two kilobytes, of the stream and of the connection: ten thousand in all."""
    origin.serve("/large", b"x" * 10_000_000, cache_control="max-age=60")
    with connect(node) as raw:
        raw.send(get(1, "/large"))
        taken = 0
        while taken < 10_000_000:
            found = raw.frame()
            assert found is not None
            if found.kind == DATA:
                taken += len(found.payload)
                parts = [2000] * (len(found.payload) // 2000) + [len(found.payload) % 2000]
                raw.send(b"".join(window_update(1, part) + window_update(0, part) for part in parts if part))
    assert stopped(node, "too_many_frames") == 0


def test_requests_in_one_piece_end_their_connection_with_an_answer(node, origin):
    """Pipelined over HTTP/1, 64 of them in one turn of the loop: the last answer says that it is the last."""
    origin.serve("/hot", b"hot", cache_control="max-age=60")
    node.get("/hot")
    one = b"GET /hot HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(node, preface=b"") as raw:
        raw.send(one * 1000)
        answers = raw.rest().split(b"HTTP/1.1 ")[1:]
    assert len(answers) < 1000 and all(answer.startswith(b"200 ") for answer in answers)
    assert [b"connection: close" in answer.lower() for answer in answers[-2:]] == [False, True]
    assert stopped(node, "too_many_at_once") == 1


def test_requests_that_come_one_after_the_other_do_not(node, origin):
    origin.serve("/hot", b"hot", cache_control="max-age=60")
    with node.h1() as client:
        for _ in range(500):
            assert client.request("/hot").body == b"hot"
    with connect(node, preface=b"") as raw:
        raw.send(b"GET /hot HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20 +
                 b"GET /hot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.rest().count(b"HTTP/1.1 200 ") == 21
    assert stopped(node, "too_many_at_once") == 0
