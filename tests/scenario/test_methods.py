"""GET and HEAD are cached, other methods pass through, some are refused."""
import pytest


@pytest.fixture
def shelf(origin):
    """A path that keeps what is PUT on it."""
    kept = {"body": b"first"}

    def handler(request, response):
        if request.method in ("GET", "HEAD"):
            response.send(200, {"Cache-Control": "max-age=60"}, kept["body"])
        else:
            kept["body"] = request.body or b"after " + request.method.encode()
            response.send(200, {"X-Method": request.method}, b"done")
    origin.on("/shelf", handler)
    return kept


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_pass_with_their_body(client, node, origin, shelf, method):
    for _ in range(2):
        answer = client.request("/shelf?x=1", {"Content-Type": "text/x-test"}, method=method, body=b"payload \0\xff")
        assert (answer.status, answer.body, answer.get("x-method")) == (200, b"done", method)
        assert answer.cache["fwd"] == "method" and "stored" not in answer.cache
    seen = origin.asked("/shelf")
    assert [(r.method, r.target, r.body, r.get("content-type")) for r in seen] == [
        (method, "/shelf?x=1", b"payload \0\xff", "text/x-test")] * 2
    node.saw(**{"pass": 2})


def test_a_method_goes_upstream_as_it_is_however_long(client, origin, shelf):
    method = "M" * 80
    assert client.request("/shelf", method=method).get("x-method") == method
    assert [r.method for r in origin.asked("/shelf")] == [method]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_an_unsafe_method_that_succeeds_invalidates_its_url(client, node, origin, shelf, method):
    assert client.get("/shelf").body == b"first"
    assert client.get("/shelf").cache["hit"]
    assert client.request("/shelf", method=method, body=b"second").status == 200
    assert client.get("/shelf").body == b"second"
    assert [r.method for r in origin.asked("/shelf")] == ["GET", method, "GET"]
    node.saw(**{"miss": 2, "hit": 1, "pass": 1})


def test_an_error_answer_to_an_unsafe_method_keeps_the_stored_response(client, node, origin):
    def handler(request, response):
        if request.method == "GET":
            response.send(200, {"Cache-Control": "max-age=60"}, b"kept")
        else:
            response.send(409, {}, b"no")
    origin.on("/kept", handler)
    client.get("/kept")
    assert client.request("/kept", method="PUT", body=b"x").status == 409
    assert client.get("/kept").cache["hit"]
    assert origin.count("/kept") == 2
    node.saw(**{"miss": 1, "hit": 1, "pass": 1})


def test_a_safe_method_invalidates_nothing(client, origin, shelf):
    client.get("/shelf")
    client.request("/shelf", method="OPTIONS")
    assert client.get("/shelf").cache["hit"]


def test_another_url_is_not_invalidated(client, origin, shelf):
    origin.serve("/other", b"other", cache_control="max-age=60")
    client.get("/other")
    client.request("/shelf", method="PUT", body=b"x")
    assert client.get("/other").cache["hit"]


def test_trace_and_connect_are_refused(node, origin):
    for client in node.h1(), node.h2():
        assert client.request("/shelf", method="TRACE").status == 501
    connect = node.h1()
    connect.send(b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
    assert connect.head().status == 501
    assert origin.count() == 0
    assert node.h1().get("/x").status == 404, "the node goes on"


def test_an_error_answer_to_a_passed_request_says_why(client, node, origin):
    origin.on("/gone", lambda _, response: response.reset())
    answer = client.request("/gone", method="POST", body=b"once only")
    assert answer.status == 502 and answer.cache["detail"]
    assert origin.count("/gone") == 1, "a request that may have had its effect is not sent again"
    node.saw(error=1)
