"""What an answer to an unsafe method names beside its own URL is forgotten, too (RFC 9111 section 4.4)."""
import pytest


@pytest.fixture
def shop(origin):
    """The answers of /dir/order name the place that the request does; /kept and /dir/kept are stored for a minute."""
    def order(request, response):
        response.send(int(request.get("x-status")), {request.get("x-name"): request.get("x-place")}, b"done")
    origin.on("/dir/order", order)
    for path in "/kept", "/dir/kept":
        origin.serve(path, b"kept", cache_control="max-age=60")


def is_kept(client, path):
    return "hit" in client.get(path).cache


def order(client, place, name="Location", status=201, method="POST", **more):
    fields = {"X-Status": str(status), "X-Name": name, "X-Place": place}
    answer = client.request("/dir/order", fields, method=method, body=b"x", **more)
    assert answer.status == status


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "M-SEARCH"])
def test_what_is_named_is_forgotten(start_node, origin, shop, name, method):
    node = start_node(origin, forward="all")
    with node.h1() as client:
        assert not is_kept(client, "/kept") and not is_kept(client, "/dir/kept")
        order(client, "/kept", name, method=method)
        assert is_kept(client, "/dir/kept")
        assert not is_kept(client, "/kept")


@pytest.mark.parametrize("reference, forgotten", [
    ("kept", "/dir/kept"), ("../kept", "/kept"), ("./kept#part", "/dir/kept"), ("/dir/%6bept", "/dir/kept"),
    ("//{host}/kept", "/kept"), ("{scheme}://{host}/kept", "/kept"), ("{scheme}://{HOST}/dir/../kept", "/kept"),
])
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_however_it_is_named(start_node, origin, shop, protocol, reference, forgotten):
    node = start_node(origin, forward="all")
    with getattr(node, protocol)() as client:
        port = node.https_port if protocol == "h2" else node.http_port
        host, scheme = f"www.example:{port}", "https" if protocol == "h2" else "http"
        for path in "/kept", "/dir/kept":
            client.request(path, host=host)
        order(client, reference.format(host=host, HOST=host.upper(), scheme=scheme), host=host)
        for path in "/kept", "/dir/kept":
            assert ("hit" in client.request(path, host=host).cache) == (path != forgotten)


@pytest.mark.parametrize("reference", ["http://other.example/kept", "//other.example/kept", "https://www.example/kept",
                                       "http://www.example:1/kept", "http://www.example@other.example/kept", "kept:80", "",
                                       "/../kept", "/%00"])
def test_nothing_of_another_origin_is(start_node, origin, shop, reference):
    node = start_node(origin, forward="all")
    with node.h1() as client:
        for path in "/kept", "/dir/kept":
            client.request(path, host="www.example")
        order(client, reference, host="www.example")
        assert all("hit" in client.request(path, host="www.example").cache for path in ("/kept", "/dir/kept"))


@pytest.mark.parametrize("status, method", [(404, "POST"), (503, "DELETE"), (201, "OPTIONS")])
def test_not_by_an_error_or_a_safe_method(start_node, origin, shop, status, method):
    node = start_node(origin, forward="all")
    with node.h1() as client:
        is_kept(client, "/kept")
        order(client, "/kept", status=status, method=method)
        assert is_kept(client, "/kept")


def test_a_fill_under_way_of_what_is_named_is_not_stored(start_node, origin, shop):
    """It may have begun before the order took effect."""
    node = start_node(origin, forward="all")
    gate = origin.gate("half")

    def slow(_, response):
        response.head(200, {"Cache-Control": "max-age=60", "Content-Length": "8"})
        response.raw(b"half")
        gate.wait()
        response.raw(b"more")
    origin.on("/slow", slow)
    with node.h1() as waiting, node.h1() as client:
        waiting.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = waiting.head()
        order(client, "/slow")
        gate.open()
        assert waiting.rest(answer).body == b"halfmore"
        assert not is_kept(client, "/slow")
