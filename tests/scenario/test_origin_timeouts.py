"""Origins that are silent: 504 with a detail before the first byte, an error in the body after it."""
import socket
import time

import pytest

from harness.message import BodyCutShort


def timed(action):
    start = time.monotonic()
    return action(), time.monotonic() - start


@pytest.mark.setting("sites[].origin.first_byte_timeout")
def test_no_first_byte_in_time_is_504(start_node, origin):
    node = start_node(origin, first_byte_timeout="0.5")
    origin.on("/a", lambda _, response: response.gone())
    answer, seconds = timed(lambda: node.get("/a"))
    assert answer.status == 504 and answer.cache["detail"] and 0.4 < seconds < 5
    node.saw(error=1)
    node.wait_metric("selvedge_fills", 0)


@pytest.mark.setting("sites[].origin.between_bytes_timeout")
def test_silence_within_the_body_ends_it_with_an_error(start_node, origin):
    node = start_node(origin, between_bytes_timeout="0.5")
    closed = []

    def handler(_, response):
        response.head(200, {"Content-Length": 100, "Cache-Control": "max-age=60"})
        response.raw(b"x" * 50)
        closed.append(response.gone())
    origin.on("/a", handler)
    for client in node.h1(), node.h2():
        with pytest.raises(BodyCutShort) as cut:
            client.get("/a")
        assert cut.value.answer.status == 200 and cut.value.answer.body == b"x" * 50
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_objects") == 0
    assert closed[:1] == [True], "the origin's connection was closed"


def test_a_slow_but_steady_body_is_whole(start_node, origin):
    node = start_node(origin, between_bytes_timeout="1", first_byte_timeout="1")

    def handler(_, response):
        response.head(200, {"Content-Length": 40, "Cache-Control": "max-age=60"})
        response.paced(b"y" * 40, bytes_per_second=20, piece=4)  # two seconds: longer than either time-out
    origin.on("/a", handler)
    assert node.get("/a").body == b"y" * 40
    assert node.get("/a").cache["hit"]


def test_a_head_that_drips_counts_as_no_answer(start_node, origin):
    node = start_node(origin, first_byte_timeout="1", between_bytes_timeout="1")
    origin.on("/a", lambda _, response: (response.raw(b"HTTP/1.1 200 OK\r\nX-A: "), response.gone()))
    answer = node.get("/a")
    assert answer.status == 504 and answer.cache["detail"]


@pytest.mark.setting("sites[].origin.connect_timeout")
def test_a_connection_that_is_not_accepted_in_time_is_504(start_node):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    address = server.getsockname()
    fillers = [socket.socket() for _ in range(4)]  # they take every place in the queue
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(address)
    node = start_node(f"http://127.0.0.1:{address[1]}", connect_timeout="0.5")
    answer, seconds = timed(lambda: node.get("/a"))
    assert answer.status in (502, 504) and answer.cache["detail"] and seconds < 5
    for sock in [*fillers, server]:
        sock.close()


def test_everybody_who_waits_is_told(start_node, origin):
    node = start_node(origin, first_byte_timeout="1")
    origin.on("/a", lambda _, response: response.gone())
    client = node.h2()
    streams = [client.ask("/a") for _ in range(20)]
    assert {stream.rest().status for stream in streams} == {504}
    assert origin.count("/a") == 1
