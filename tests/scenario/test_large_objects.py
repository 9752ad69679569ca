"""Objects over memory.max_object stream through and are not stored."""
import pytest

from harness.message import noise

LIMIT = 1 << 20


@pytest.fixture
def node(start_node, origin):
    return start_node(origin, max_object="1M")


def serve(origin, body, known):
    def handler(_, response):
        length = ("Content-Length", len(body)) if known else ("Transfer-Encoding", "chunked")
        response.head(200, [length, ("Cache-Control", "max-age=60")])
        if known:
            return response.raw(body)
        for start in range(0, len(body), 50_000):
            response.chunk(body[start:start + 50_000])
        return response.last_chunk()
    origin.on("/a", handler)


@pytest.mark.parametrize("known", [True, False], ids=["length known", "chunked"])
def test_at_the_limit_it_is_stored(client, node, origin, known):
    body = noise(LIMIT)
    serve(origin, body, known)
    assert client.get("/a").body == body
    assert client.get("/a").cache.get("hit")
    assert node.metric("selvedge_memory_bytes") >= LIMIT


@pytest.mark.setting("memory.max_object")
@pytest.mark.parametrize("known", [True, False], ids=["length known", "chunked"])
def test_over_the_limit_it_streams_and_is_not_stored(client, node, origin, known):
    body = noise(9 * LIMIT + 1)
    serve(origin, body, known)
    for _ in range(2):
        answer = client.get("/a")
        assert answer.body == body
        assert "hit" not in answer.cache
        assert not known or "stored" not in answer.cache
    assert origin.count("/a") == 2
    node.wait_metric("selvedge_objects", 0)
    node.wait_metric("selvedge_memory_bytes", 0)


def test_a_reader_that_stops_is_cut_off_so_that_the_window_stays_small(node, origin):
    body = noise(40 * LIMIT)
    serve(origin, body, True)
    slow = node.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    assert node.metric("selvedge_memory_bytes") <= 16 * LIMIT
    slow.client.abort()
    node.wait_metric("selvedge_fills", 0)
    node.wait_metric("selvedge_memory_bytes", 0)


def test_two_readers_share_the_window(node, origin):
    gate, body = origin.gate(), noise(9 * LIMIT)

    def handler(_, response):
        gate.wait()
        response.head(200, [("Content-Length", len(body)), ("Cache-Control", "max-age=60")])
        response.raw(body)
    origin.on("/a", handler)
    client = node.h2(window=1 << 24)
    streams = [client.ask("/a"), client.ask("/a")]
    client.ping()
    gate.open()
    assert streams[0].rest().body == body and streams[1].rest().body == body
    assert origin.count("/a") <= 2
