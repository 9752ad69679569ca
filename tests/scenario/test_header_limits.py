"""How large a request's head may be: exactly what the settings say, on both protocols, and a clear answer beyond."""
import pytest

from harness import raw

HOST = "www.example"


@pytest.fixture
def limited(start_node, origin):
    origin.serve("/a", b"a", cache_control="max-age=600")
    return start_node(origin, max_header_bytes="2K", max_header_fields="10", max_url_bytes="100")


def ask(client, target="/a", fields=()):
    return client.request(target, fields, host=HOST)


def filled(protocol, target, size):
    """Fields that make the head of a GET exactly so large: on HTTP/1 as it is sent, on HTTP/2 as the node counts it."""
    left = size - len(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n" if protocol == "h1" else f"GET{target}{HOST}")
    fields = []
    while left > 4000:  # the client's time grows with the square of a value's length
        fields.append(("x", "v" * (2000 - len("x: \r\n"))))
        left -= 2000
    return fields + [("x", "v" * (left - len("x: \r\n")))]


@pytest.mark.setting("limits.header_bytes")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_header_bytes(limited, protocol):
    client = limited.h1 if protocol == "h1" else limited.h2
    assert ask(client(), fields=filled(protocol, "/a", 2048)).body == b"a"
    answer = ask(client(), fields=filled(protocol, "/a", 2049))
    assert answer.status == 431 and b"head is too large" in answer.body and answer.cache["detail"] == "refused"
    assert ask(client(), fields=filled(protocol, "/a", 8000)).status == 431
    limited.wait_metric("selvedge_guard_stopped_total", 2, reason="header_too_large")


@pytest.mark.setting("limits.header_fields")
@pytest.mark.parametrize("protocol, most", [("h1", 9), ("h2", 10)])
def test_header_fields(limited, protocol, most):
    """On HTTP/1 the Host is one of them."""
    client = limited.h1 if protocol == "h1" else limited.h2
    assert ask(client(), fields=[("x", "v")] * most).body == b"a"
    answer = ask(client(), fields=[("x", "v")] * (most + 1))
    assert answer.status == 431 and b"too many fields" in answer.body
    assert ask(client(), fields=[("x", "v")] * 110).status == 431
    limited.wait_metric("selvedge_guard_stopped_total", 2, reason="too_many_fields")


@pytest.mark.setting("limits.url_bytes")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_url_bytes(limited, protocol):
    client = limited.h1 if protocol == "h1" else limited.h2
    assert ask(client(), "/a?" + "q" * 97).status == 200
    answer = ask(client(), "/a?" + "q" * 98)
    assert answer.status == 414 and b"target is too long" in answer.body
    assert ask(client(), "/a?" + "q" * 5000).status == 414, "though the head is too large as well"
    limited.wait_metric("selvedge_guard_stopped_total", 2, reason="url_too_long")


def test_on_http_2_the_others_of_the_connection_go_on(limited):
    client = limited.h2()
    for fields, target, status in (filled("h2", "/a", 2049), "/a", 431), ([("x", "v")] * 11, "/a", 431), ((), "/a?" + "q" * 98, 414):
        assert ask(client, target, fields).status == status
        assert ask(client, "/a").body == b"a"
    stream = client.ask("/a", filled("h2", "/a", 2049), method="POST", host=HOST, end=False)
    assert stream.head().status == 431, "though a body was to come"
    assert ask(client, "/a").body == b"a" and client.goaway is None


def test_far_beyond_the_limits_an_http_2_connection_ends_before_it_is_decoded(limited):
    for block in raw.request_block("/a", [("x", "v" * 9000)]), raw.request_block("/a", [("x", "v")] * 129):
        with raw.Raw(("127.0.0.1", limited.http_port)) as client:
            client.send(raw.headers(1, block))
            assert client.ended() == 11, "ENHANCE_YOUR_CALM"


def test_the_highest_limits_hold(start_node, origin):
    origin.serve("/a", b"a", cache_control="max-age=600")
    node = start_node(origin, max_header_bytes="128K", max_header_fields="100", max_url_bytes="128K")
    assert ask(node.h1(), "/a?" + "q" * 120000).body == b"a"
    for protocol, client in ("h1", node.h1), ("h2", node.h2):
        assert ask(client(), fields=filled(protocol, "/a", 128 << 10)).body == b"a"
        assert ask(client(), fields=filled(protocol, "/a", (128 << 10) + 1)).status == 431


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_field_as_long_as_the_limit_goes_upstream(start_node, origin, protocol):
    origin.on("/a", lambda request, response: response.send(200, {}, str(len(request.get("user-agent"))).encode()))
    node = start_node(origin, max_header_bytes="128K")
    client = node.h1() if protocol == "h1" else node.h2()
    for length in 65520, 65535, 65536, 120000:
        assert ask(client, fields=[("user-agent", "x" * length)]).body == str(length).encode()


def test_a_stored_etag_as_long_as_an_origins_head_may_be_is_asked_about(node, origin):
    etag = f'"{"e" * 65400}"'
    origin.serve("/a", b"a", cache_control="no-cache", etag=etag)
    assert [node.get("/a").body for _ in range(2)] == [b"a", b"a"]
    assert origin.asked("/a")[1].get("if-none-match") == etag
