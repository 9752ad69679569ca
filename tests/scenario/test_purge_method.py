"""The method PURGE on client listeners: off by default, with the admin token, true once it is answered."""
import json

import pytest

from harness.message import noise


@pytest.fixture
def node(start_node, origin):
    return start_node(origin, purge_method="on")


def purge(client, token, target="/a", **more):
    fields = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.request(target, fields, method="PURGE", **more)


@pytest.mark.setting("sites[].purge_method")
def test_it_purges_that_url_hard(client, node, origin):
    for path in ("/a", "/b"):
        origin.serve(path, b"old", cache_control="max-age=60", etag='"old"')
        client.get(path)
    origin.serve("/a", b"new", cache_control="max-age=60")
    before = node.status()["sequence"]
    answer = purge(client, node.token)
    said = json.loads(bytes(answer.body))
    assert answer.status == 200 and answer.get("content-type") == "application/json"
    assert said["applied_here"] is True and said["sequence"] == before + 1 == node.status()["sequence"]
    assert client.get("/a").body == b"new" and client.get("/b").cache["hit"]
    assert "if-none-match" not in origin.asked("/a")[1].fields, "not even to ask about it"
    assert [request.method for request in origin.asked()] == ["GET"] * 3, "the origin never hears of a PURGE"
    assert node.metric("selvedge_purges_total", kind="url", mode="hard") == 1
    node.saw(miss=3, hit=1, **{"pass": 1})


@pytest.mark.parametrize("spelling", ["/x/../%61", "/%61", "/./a"])
def test_another_spelling_of_the_url_is_the_same(node, client, origin, spelling):
    origin.serve("/a", b"old", cache_control="max-age=60")
    client.get("/a")
    assert purge(client, node.token, spelling).status == 200
    assert client.get("/a").cache["fwd"] == "miss" and origin.count("/a") == 2


def test_without_the_token_nothing_is_purged(client, node, origin):
    origin.serve("/a", b"old", cache_control="max-age=60")
    client.get("/a")
    for wrong in (None, "x", node.token[:-1], node.token + "x", node.token.swapcase()):
        answer = purge(client, wrong)
        assert answer.status == 403 and json.loads(bytes(answer.body))["error"]["code"] == "forbidden"
        assert node.token.encode() not in answer.body
    assert client.get("/a").cache["hit"] and node.status()["sequence"] == 0
    node.saw(miss=1, hit=1, error=5)


def test_it_is_off_by_default(start_node, origin):
    node = start_node(origin)
    origin.serve("/a", b"old", cache_control="max-age=60")
    with node.h1() as client:
        client.get("/a")
        answer = purge(client, node.token)
        assert answer.status == 405 and "PURGE" not in answer.get("allow") and "GET" in answer.get("allow")
        assert client.get("/a").cache["hit"]
    assert origin.count() == 1 and node.status()["sequence"] == 0


def test_a_fill_in_flight_does_not_bring_the_old_content_back(node, origin):
    gate, body = origin.gate(), noise(5000)

    def handler(request, response):
        response.head(200, {"Content-Length": len(body), "Cache-Control": "max-age=60"})
        if request.number == 1:
            gate.wait()
        response.raw(body)
    origin.on("/a", handler)
    client = node.h2()
    first = client.ask("/a")
    origin.wait_for("/a")
    assert purge(client, node.token).status == 200
    gate.open()
    assert first.rest().body == body
    assert client.get("/a").cache["fwd"] == "miss" and origin.count("/a") == 2


def test_many_at_once_each_have_their_own_sequence(node):
    client = node.h2()
    streams = [client.ask("/a", {"Authorization": f"Bearer {node.token}"}, method="PURGE") for _ in range(50)]
    sequences = [json.loads(bytes(stream.rest().body))["sequence"] for stream in streams]
    assert sorted(sequences) == list(range(1, 51)) and node.status()["sequence"] == 50


def test_clients_that_do_not_wait_for_the_answer(node, origin):
    for _ in range(20):
        with node.h2() as client:
            stream = client.ask("/a", {"Authorization": f"Bearer {node.token}"}, method="PURGE")
            stream.cancel()
            client.ping()
    node.wait_metric("selvedge_connections", 0)
