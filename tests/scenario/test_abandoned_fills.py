"""A fill whose last reader left: finished when little is missing, else cancelled."""
import queue

MIB = 1 << 20


def slow(origin, length, sent_first):
    """Sends a part at once and the rest when `rest` opens. `ends` tells whether the node was there until the end."""
    rest, ends = origin.gate("rest"), queue.Queue()

    def handler(_, response):
        response.head(200, {"Content-Length": length, "Cache-Control": "max-age=60"})
        response.raw(b"x" * sent_first)
        rest.wait()
        try:
            response.raw(b"x" * (length - sent_first))
            ends.put("sent")
        except OSError:
            ends.put("closed")
            raise
    origin.on("/a", handler)
    return rest, ends


def leave(node, read):
    """A client that reads so much, and goes."""
    with node.h2() as client:
        stream = client.ask("/a")
        stream.at_least(read)
        stream.cancel()
        client.ping()


def test_a_little_missing_is_fetched_and_stored(node, origin):
    rest, ends = slow(origin, 3 * MIB, 2 * MIB + 1000)
    leave(node, 2 * MIB)
    assert node.metric("selvedge_fills") == 1, "it goes on without readers"
    rest.open()
    assert ends.get(timeout=20) == "sent"
    node.wait_metric("selvedge_fills", 0)
    answer = node.get("/a")
    assert answer.cache["hit"] and answer.body == b"x" * 3 * MIB
    assert origin.count("/a") == 1


def test_much_missing_is_cancelled_and_the_origin_sees_it(node, origin):
    closed = queue.Queue()

    def handler(_, response):
        response.head(200, {"Content-Length": 8 * MIB, "Cache-Control": "max-age=60"})
        response.raw(b"x" * MIB)
        closed.put(response.gone())
    origin.on("/a", handler)
    leave(node, MIB // 2)
    assert closed.get(timeout=20) is True
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_objects") == 0
    node.wait_metric("selvedge_memory_bytes", 0)


def test_of_unknown_length_is_cancelled(node, origin):
    closed = queue.Queue()

    def handler(_, response):
        response.head(200, {"Transfer-Encoding": "chunked", "Cache-Control": "max-age=60"})
        response.chunk(b"x" * 1000)
        closed.put(response.gone())
    origin.on("/a", handler)
    leave(node, 1000)
    assert closed.get(timeout=20) is True
    node.wait_metric("selvedge_fills", 0)


def test_before_the_head_it_is_cancelled_or_kept_but_never_stuck(start_node, origin):
    node = start_node(origin, first_byte_timeout="2")
    origin.on("/a", lambda _, response: response.gone())
    with node.h2() as client:
        stream = client.ask("/a")
        origin.wait_for("/a")
        stream.cancel()
        client.ping()
    node.wait_metric("selvedge_fills", 0)


def test_one_who_stays_keeps_it(node, origin):
    rest, ends = slow(origin, 8 * MIB, MIB)
    staying = node.h2().ask("/a")
    staying.at_least(MIB // 2)
    leave(node, MIB // 2)
    rest.open()
    assert len(staying.rest().body) == 8 * MIB
    assert origin.count("/a") == 1 and ends.get(timeout=20) == "sent"


def test_one_who_comes_after_a_cancelled_fill_gets_a_new_one(node, origin):
    first = origin.gate()

    def handler(request, response):
        if request.number > 1:
            return response.send(200, {"Cache-Control": "max-age=60"}, b"y" * 8 * MIB)
        response.head(200, {"Content-Length": 8 * MIB, "Cache-Control": "max-age=60"})
        response.raw(b"x" * MIB)
        first.open()
        return response.gone()
    origin.on("/a", handler)
    leave(node, MIB // 2)
    first.wait()
    node.wait_metric("selvedge_fills", 0)
    assert node.get("/a").body == b"y" * 8 * MIB
