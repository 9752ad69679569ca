"""A fill is an object that is still growing: whoever asks meanwhile reads along."""
import pytest

from harness.h1 import H1
from harness.h2client import H2
from harness.message import noise
from harness.waiting import together


def held(origin, path, body, chunked=False):
    """The path answers with half of the body once `head` opens, and with the rest once `rest` opens."""
    head, rest = origin.gate("head"), origin.gate("rest")

    def handler(_, response):
        head.wait()
        length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", len(body))
        send = response.chunk if chunked else response.raw
        response.head(200, [length, ("Cache-Control", "max-age=60")])
        send(body[:len(body) // 2])
        rest.wait()
        send(body[len(body) // 2:])
        if chunked:
            response.last_chunk()
    origin.on(path, handler)
    return head, rest


@pytest.mark.parametrize("kind", [H1, H2])
def test_a_hundred_readers_are_one_origin_request(node, origin, kind):
    body = noise(300_000)
    head, rest = held(origin, "/a", body)
    port = node.http_port if kind is H1 else node.https_port

    def read(_):
        with kind(("127.0.0.1", port)) as client:
            return client.get("/a")

    def read_or_release(index):
        if index < 100:
            return read(index)
        node.wait_metric("selvedge_connections", lambda open: open >= 100)
        head.open()
        return rest.open()
    answers = together(101, read_or_release)[:100]
    assert all(answer.body == body for answer in answers)
    assert origin.count("/a") == 1
    states = [answer.cache for answer in answers]
    assert sum(state.get("fwd") == "miss" and "collapsed" not in state for state in states) == 1
    assert sum("collapsed" in state for state in states) > 50
    assert node.metric("selvedge_origin_requests_total") == 1
    node.wait_metric("selvedge_requests_total", 100)
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_objects") == 1


@pytest.mark.parametrize("chunked", [False, True])
def test_bytes_arrive_before_the_end_and_a_late_reader_gets_all_of_them(node, origin, chunked):
    body = noise(200_000)
    head, rest = held(origin, "/a", body, chunked)
    early = node.h2().ask("/a")
    early.client.ping()
    head.open()
    early.at_least(100_000)
    assert not early.ended and node.metric("selvedge_fills") == 1
    late = node.h2(tls=False).ask("/a")
    late.at_least(100_000)
    assert not late.ended
    assert late.answer.cache["collapsed"] and late.answer.cache["fwd"] == "miss"
    rest.open()
    assert early.rest().body == late.rest().body == body
    assert origin.count("/a") == 1
    assert node.get("/a").cache["hit"]
    assert node.get("/a").get("content-length") == "200000"


def test_cache_status_tells_the_one_who_asked_from_those_who_joined(node, origin):
    head, rest = held(origin, "/a", b"body")
    rest.open()
    client = node.h2()
    first, second = client.ask("/a"), client.ask("/a")
    client.ping()
    head.open()
    assert first.rest().get("cache-status") == "selvedge; fwd=miss; stored"
    assert second.rest().get("cache-status") == "selvedge; fwd=miss; stored; collapsed"
    node.saw(miss=2)


def test_a_reader_that_leaves_does_not_disturb_the_others(node, origin):
    body = noise(2_000_000)
    head, rest = held(origin, "/a", body)
    leaving, staying = node.h2().ask("/a"), node.h2().ask("/a")
    leaving.client.ping()
    staying.client.ping()
    head.open()
    leaving.at_least(1)
    leaving.client.abort()
    rest.open()
    assert staying.rest().body == body
    assert origin.count("/a") == 1


def test_a_slow_reader_does_not_hold_up_a_fast_one(node, origin):
    body = noise(3_000_000)
    origin.serve("/a", body, cache_control="max-age=60")
    slow = node.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    assert node.get("/a").body == body
    node.wait_metric("selvedge_fills", 0)
    slow.resume()
    assert slow.rest().body == body
    assert origin.count("/a") == 1


def test_head_and_get_share_one_fill(node, origin):
    head, rest = held(origin, "/a", b"12345678")
    rest.open()
    client = node.h2()
    get, only_head = client.ask("/a"), client.ask("/a", method="HEAD")
    client.ping()
    head.open()
    assert get.rest().body == b"12345678"
    assert only_head.rest().get("content-length") == "8" and only_head.answer.body == b""
    assert origin.count("/a") == 1


def test_different_urls_fill_at_once(node, origin):
    gate = origin.gate()

    def handler(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60"}, request.path.encode())
    origin.on("/many/*", handler)
    client = node.h2()
    streams = [client.ask(f"/many/{number}") for number in range(40)]
    for number in range(40):
        origin.wait_for(f"/many/{number}")
    assert node.metric("selvedge_fills") == 40
    gate.open()
    assert [stream.rest().body for stream in streams] == [b"/many/%d" % number for number in range(40)]
