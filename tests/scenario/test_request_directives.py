"""What requests say in Cache-Control counts where a site honours it, and nowhere else."""
import pytest


@pytest.fixture
def serve(origin):
    origin.on("/a", lambda request, response: response.send(
        304 if request.get("if-none-match") else 200, {"Cache-Control": "max-age=60", "ETag": '"a"'},
        b"" if request.get("if-none-match") else b"a"))
    origin.on("/old", lambda request, response: response.send(
        304 if request.get("if-none-match") else 200, {"Cache-Control": "max-age=60", "Age": "70", "ETag": '"a"'},
        b"" if request.get("if-none-match") else b"a"))
    origin.on("/bound", lambda request, response: response.send(
        304 if request.get("if-none-match") else 200, {"Cache-Control": "max-age=60, must-revalidate", "Age": "70", "ETag": '"a"'},
        b"" if request.get("if-none-match") else b"a"))
    return origin


@pytest.fixture(params=["h1", "h2"])
def client(request, start_node, serve):
    node = start_node(serve, request_directives="honour")
    return node.h1() if request.param == "h1" else node.h2()


SAID = ["no-cache", "no-store", "max-age=0", "min-fresh=61", "only-if-cached", "max-stale"]


@pytest.mark.parametrize("said", SAID)
def test_it_is_ignored_where_nothing_is_said_of_it(node, serve, said):
    client = node.h2()
    client.get("/a")
    for fields in ({"Cache-Control": said}, {"Pragma": said}):
        assert "hit" in client.get("/a", fields).cache
    assert serve.count("/a") == 1
    assert client.get("/old", {"Cache-Control": said}).status == 200


@pytest.mark.setting("sites[].request_directives")
@pytest.mark.parametrize("fields", [{"Cache-Control": "no-cache"}, {"Pragma": "no-cache"}, {"Cache-Control": "min-fresh=61"},
                                    {"Cache-Control": "x, no-cache, y=\"z\""}, {"Cache-Control": 'min-fresh="61"'},
                                    [("Pragma", "x"), ("Pragma", "no-cache")]])
def test_what_is_stored_is_validated_first(client, serve, fields):
    """RFC 9111 sections 5.2.1.3, 5.2.1.4 and 5.4."""
    client.get("/a")
    answer = client.get("/a", fields)
    assert answer.body == b"a" and answer.cache["fwd"] == "request" and answer.cache["fwd-status"] == 304
    assert [request.get("if-none-match") for request in serve.asked("/a")] == [None, '"a"']
    assert "hit" in client.get("/a").cache


@pytest.mark.parametrize("said", ["max-age=60", "min-fresh=30", "no-store", "max-stale=1", "only-if-cached"])
def test_what_it_takes_is_a_hit(client, serve, said):
    client.get("/a")
    assert "hit" in client.get("/a", {"Cache-Control": said}).cache
    assert serve.count("/a") == 1


def test_an_age_that_it_does_not_take(client, serve):
    client.get("/old", {"Cache-Control": "max-age=70"})
    answer = client.get("/old", {"Cache-Control": "max-age=69, max-stale"})
    assert answer.cache["fwd"] == "stale" and serve.count("/old") == 2


def test_stale_where_the_request_takes_it(client, serve):
    """RFC 9111 section 5.2.1.2."""
    client.get("/old")
    answer = client.get("/old", {"Cache-Control": "max-stale"})
    assert answer.cache["hit"] and answer.cache["ttl"] < 0 and answer.age >= 70
    assert "hit" in client.get("/old", {"Cache-Control": "max-stale=60"}).cache
    assert serve.count("/old") == 1
    assert "hit" not in client.get("/old", {"Cache-Control": "max-stale=5"}).cache
    assert serve.count("/old") == 2


def test_stale_never_where_the_origin_forbids_it(client, serve):
    client.get("/bound")
    assert "hit" not in client.get("/bound", {"Cache-Control": "max-stale"}).cache
    assert serve.count("/bound") == 2


def test_nothing_of_a_request_with_no_store_is_stored(client, serve):
    """RFC 9111 section 5.2.1.5."""
    answer = client.get("/a", {"Cache-Control": "no-store"})
    assert answer.body == b"a" and "stored" not in answer.cache and answer.cache["fwd"] == "miss"
    assert "hit" not in client.get("/a").cache and serve.count("/a") == 2
    assert "hit" in client.get("/a").cache


def test_why_a_request_with_no_store_goes_on(client, serve):
    """RFC 9211 section 2.2: because of what it says only where something fresh is stored that it does not take."""
    fields = {"Cache-Control": "no-store, min-fresh=61"}
    assert client.get("/old", fields).cache["fwd"] == "miss"
    client.get("/a")
    client.get("/old")
    assert [client.get(path, fields).cache["fwd"] for path in ("/a", "/old")] == ["request", "stale"]


def test_only_if_cached(client, serve):
    """RFC 9111 section 5.2.1.7."""
    said = {"Cache-Control": "only-if-cached"}
    answer = client.get("/a", said)
    assert answer.status == 504 and answer.cache["detail"] == "only-if-cached" and serve.count("/a") == 0
    client.get("/a")
    assert client.get("/a", said).body == b"a"
    assert client.get("/a", {"Cache-Control": "only-if-cached, no-cache"}).status == 504
    assert serve.count("/a") == 1


def test_only_if_cached_does_not_wait_for_what_is_being_fetched(client, start_node, origin):
    node = start_node(origin, request_directives="honour")
    gate = origin.gate()
    origin.on("/slow", lambda _, response: (gate.wait(), response.send(200, {"Cache-Control": "max-age=60"}, b"slow")))
    first = node.h1()
    first.ask("/slow")
    origin.wait_for("/slow")
    assert node.h2().get("/slow", {"Cache-Control": "only-if-cached"}).status == 504
    gate.open()
    assert first.answer().body == b"slow"
