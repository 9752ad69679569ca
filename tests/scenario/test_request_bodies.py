"""Request bodies up to a limit."""
import pytest

from harness.message import BodyCutShort, noise

LIMIT = 64 * 1024


@pytest.fixture
def node(start_node, origin):
    origin.on("/upload", lambda request, response: response.send(200, {}, str(len(request.body)).encode()))
    return start_node(origin, max_request_body="64K")


@pytest.mark.parametrize("length", [0, 1, LIMIT - 1, LIMIT])
def test_a_body_up_to_the_limit_arrives_whole(client, origin, length):
    body = noise(length)
    assert client.request("/upload", method="PUT", body=body).body == str(length).encode()
    assert origin.asked("/upload")[0].body == body


def test_a_chunked_body_arrives_whole(node, origin):
    client = node.h1()
    client.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"5\r\nfirst\r\n")
    client.send(b"7;ext=1\r\n second\r\n0\r\n\r\n")
    assert client.answer().body == b"12"
    assert origin.asked("/upload")[0].body == b"first second"


@pytest.mark.setting("limits.request_body")
def test_a_longer_body_is_413_and_the_origin_hears_nothing(node, origin):
    h1 = node.h1()
    h1.send(b"PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
    assert h1.head().status == 413
    h2 = node.h2()
    stream = h2.ask("/upload", {"Content-Length": str(LIMIT + 1)}, method="PUT", end=False)
    assert stream.head().status == 413
    assert origin.count("/upload") == 0
    assert node.request("/upload", method="PUT", body=b"fits").status == 200


def test_a_body_of_unknown_length_is_cut_at_the_limit_too(node, origin):
    h1 = node.h1()
    h1.send(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    h1.send(b"%x\r\n" % (LIMIT + 1) + noise(LIMIT + 1))
    assert h1.head().status == 413
    h2 = node.h2()
    stream = h2.ask("/upload", method="POST", end=False)
    h2.send_body(stream, noise(LIMIT + 1))
    with pytest.raises(BodyCutShort):  # without a length the library has no answer but a reset
        stream.head()
    assert origin.count("/upload") == 0
