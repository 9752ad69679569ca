"""Origins that lie, break off or talk nonsense: never a short body as if it were whole, never a crash."""
import socket

import pytest

from harness.message import BodyCutShort


def fails(client, path="/a"):
    """The answer's body ends with an error; what came of it. A reset on HTTP/1.1 may take what came before it along."""
    with pytest.raises((BodyCutShort, ConnectionResetError)) as cut:
        client.get(path)
    if client.protocol == "h2":
        assert cut.value.how == "RST_STREAM"
        client.ping()  # the connection goes on
    return cut.value.answer.body if isinstance(cut.value, BodyCutShort) else b""


def head(response, *fields):
    response.head(200, [("Cache-Control", "max-age=60"), *fields])


CUT_SHORT = {
    "reset mid-body": lambda response: (head(response, ("Content-Length", 1000)), response.raw(b"x" * 500), response.reset()),
    "close mid-body": lambda response: (head(response, ("Content-Length", 1000)), response.raw(b"x" * 500), response.close()),
    "close before the body": lambda response: (head(response, ("Content-Length", 1000)), response.close()),
    "close within a chunk": lambda response: (
        head(response, ("Transfer-Encoding", "chunked")), response.raw(b"64\r\n" + b"x" * 50), response.close()),
    "close between chunks": lambda response: (
        head(response, ("Transfer-Encoding", "chunked")), response.chunk(b"x" * 500), response.close()),
    "a chunk that is none": lambda response: (
        head(response, ("Transfer-Encoding", "chunked")), response.chunk(b"x" * 500), response.raw(b"zz\r\n"), response.close()),
}


@pytest.mark.parametrize("how", CUT_SHORT)
def test_a_body_cut_short_is_an_error_to_the_client_and_is_not_stored(node, origin, how):
    def handler(_, response):
        CUT_SHORT[how](response)
        response.keep = False
    origin.on("/a", handler)
    for turn, client in enumerate((node.h1(), node.h2())):
        # What breaks off before the node has sent its head on is still answered in full: with a 502.
        try:
            answer = client.get("/a")
            assert (answer.status, answer.cache["detail"]) == (502, "http_response_incomplete")
        except BodyCutShort as cut:
            assert cut.answer.body == b"x" * len(cut.answer.body)
        assert origin.count("/a") == turn + 1
    node.wait_metric("selvedge_fills", 0)
    node.wait_metric("selvedge_objects", 0)
    origin.serve("/a", b"whole", cache_control="max-age=60")
    assert node.get("/a").body == b"whole"


def test_on_http_1_a_body_of_unknown_length_ends_with_a_reset(node, origin):
    origin.on("/a", lambda _, response: CUT_SHORT["close between chunks"](response))
    client = node.h1()
    client.ask("/a")
    answer = client.head()
    assert answer.get("transfer-encoding") == "chunked"
    with pytest.raises(BodyCutShort) as cut:
        client.rest(answer)
    assert cut.value.how == "reset"


def test_everyone_who_reads_along_is_told(node, origin):
    gate = origin.gate()

    def handler(_, response):
        head(response, ("Content-Length", 1000))
        response.raw(b"x" * 500)
        gate.wait()
        response.reset()
    origin.on("/a", handler)
    client = node.h2()
    streams = [client.ask("/a") for _ in range(10)]
    for stream in streams:
        stream.at_least(500)
    gate.open()
    for stream in streams:
        with pytest.raises(BodyCutShort):
            stream.rest()
    assert origin.count("/a") == 1


def test_more_bytes_than_content_length_are_not_part_of_it(client, node, origin):
    def handler(_, response):
        head(response, ("Content-Length", 5))
        response.raw(b"whole and more")
        response.close()
    origin.on("/a", handler)
    origin.serve("/b", b"next", cache_control="max-age=60")
    assert client.get("/a").body == b"whole"
    assert client.get("/b").body == b"next", "the bytes over are not taken for the next answer"
    assert client.get("/a").body == b"whole"


def test_bytes_over_that_look_like_an_answer_are_nobodys_answer(client, node, origin):
    def handler(_, response):
        head(response, ("Content-Length", 5))
        response.raw(b"wholeHTTP/1.1 200 OK\r\nContent-Length: 8\r\nCache-Control: max-age=60\r\n\r\nsmuggled")
    origin.on("/lies/*", handler)
    origin.on("/true/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=60"}, request.path.encode()))
    for number in range(50):
        assert client.get(f"/lies/{number}").body == b"whole"
        assert client.get(f"/true/{number}").body == b"/true/%d" % number


def test_the_head_goes_on_before_the_body_comes(client, origin):
    gate = origin.gate()

    def handler(_, response):
        head(response, ("Content-Length", 5))
        gate.wait()
        response.raw(b"whole")
    origin.on("/a", handler)
    asked = client.ask("/a")
    answer = client.head() if client.protocol == "h1" else asked.head()
    assert answer.status == 200 and not gate.is_open()
    gate.open()
    assert (client.rest(answer) if client.protocol == "h1" else asked.rest()).body == b"whole"


NO_ANSWER = {
    "closed at once": lambda response: response.close(),
    "reset at once": lambda response: response.reset(),
    "garbage": lambda response: (response.raw(b"\x00\x01garbage\r\n\r\n"), response.close()),
    "half a head": lambda response: (response.raw(b"HTTP/1.1 200 OK\r\nContent-Len"), response.close()),
    "a status that is none": lambda response: (response.raw(b"HTTP/1.1 abc OK\r\n\r\n"), response.close()),
    "a length that is none": lambda response: (head(response, ("Content-Length", "abc")), response.close()),
    "a negative length": lambda response: (head(response, ("Content-Length", "-5")), response.close()),
    "two lengths": lambda response: (
        head(response, ("Content-Length", 5), ("Content-Length", 6)), response.raw(b"123456"), response.close()),
    "an unknown coding": lambda response: (
        head(response, ("Transfer-Encoding", "rot13")), response.raw(b"uryyb"), response.close()),
    "a head without an end": lambda response: (
        response.raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"x" * 500_000 + b"\r\n\r\n"), response.close()),
    "a switch of protocols": lambda response: (response.raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"), response.close()),
}


@pytest.mark.parametrize("how", NO_ANSWER)
def test_no_usable_answer_is_502_with_a_detail(client, node, origin, how):
    def handler(_, response):
        NO_ANSWER[how](response)
        response.keep = False
    origin.on("/a", handler)
    answer = client.get("/a")
    assert answer.status == 502, answer
    assert answer.cache["fwd"] == "miss" and answer.cache["detail"], answer
    assert "stored" not in answer.cache
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_objects") == 0
    node.saw(error=1)
    origin.serve("/a", b"whole", cache_control="max-age=60")
    assert client.get("/a").body == b"whole", "an error is not remembered"


def test_connection_refused_is_502_with_a_detail(start_node):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    node = start_node(f"http://127.0.0.1:{port}")
    for client in node.h1(), node.h2():
        answer = client.get("/a")
        assert answer.status == 502 and answer.cache["detail"], answer
    node.saw(error=2)


def test_an_unknown_host_is_502_with_a_detail(start_node):
    node = start_node("http://nowhere.invalid")
    answer = node.get("/a")
    assert answer.status in (502, 504) and answer.cache["detail"], answer


def test_an_origin_that_ends_between_requests_is_asked_again_on_a_new_connection(node, origin):
    def handler(_, response):
        response.send(200, {"Cache-Control": "no-store"}, b"a")
        response.close()  # without having said so
    origin.on("/a", handler)
    client = node.h1()
    assert [client.get("/a").body for _ in range(10)] == [b"a"] * 10
    assert len({request.connection for request in origin.asked("/a")}) == 10


def test_connections_to_the_origin_are_kept(client, node, origin):
    origin.serve("/a", b"a", cache_control="no-store")
    for _ in range(20):
        assert client.get("/a").body == b"a"
    assert len({request.connection for request in origin.asked("/a")}) <= 2
