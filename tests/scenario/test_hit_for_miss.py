"""What may not be shared makes nobody wait for anybody: everyone gets an answer of their own, at once."""
import pytest


def personal(origin, directive, gate=None):
    def handler(request, response):
        if gate and request.number == 1:
            gate.wait()
        response.send(200, {"Cache-Control": directive}, b"answer %d" % request.number)
    origin.on("/a", handler)


@pytest.mark.parametrize("directive", ["private", "no-store", "private, max-age=60"])
def test_those_who_waited_get_their_own(node, origin, directive):
    gate = origin.gate()
    personal(origin, directive, gate)
    client = node.h2()
    streams = [client.ask("/a") for _ in range(20)]
    client.ping()
    assert origin.wait_for("/a") and origin.count("/a") == 1, "they wait for the first"
    gate.open()
    bodies = {bytes(stream.rest().body) for stream in streams}
    assert bodies == {b"answer %d" % number for number in range(1, 21)}
    node.wait_metric("selvedge_objects", 0)


def test_afterwards_they_go_in_parallel(node, origin):
    personal(origin, "private")
    client, gate = node.h2(), origin.gate()
    client.get("/a")

    def held(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "private"}, b"answer %d" % request.number)
    origin.on("/a", held)
    streams = [client.ask("/a") for _ in range(10)]
    origin.wait_for("/a", 11)  # all of them are at the origin before the first has an answer
    gate.open()
    assert len({bytes(stream.rest().body) for stream in streams}) == 10
    assert all("stored" not in stream.answer.cache for stream in streams)


def test_the_first_answer_that_may_be_stored_clears_the_mark(node, origin):
    personal(origin, "private")
    client = node.h2()
    client.get("/a")
    personal(origin, "max-age=60")
    assert client.get("/a").body == b"answer 2"
    assert client.get("/a").cache.get("hit"), "stored, and found"
    assert origin.count("/a") == 2


def test_a_purge_clears_the_mark(node, origin):
    personal(origin, "private")
    client, gate = node.h2(), origin.gate()
    client.get("/a")
    node.purge(urls=[node.url("/a")])

    def held(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60"}, b"shared")
    origin.on("/a", held)
    streams = [client.ask("/a") for _ in range(10)]
    client.ping()
    gate.open()
    assert all(stream.rest().body == b"shared" for stream in streams)
    assert origin.count("/a") == 2, "they collapse again"
