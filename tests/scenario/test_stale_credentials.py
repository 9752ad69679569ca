"""One client's credentials (Authorization) decide nothing for others: what they bring may not be stored (RFC 9111 section 3.5), and that
is all. Nor are they sent for what nobody waits for."""
import pytest

from test_stale import fresh, held, is_stale, quiet, reset, stale, versions

MINE = {"Authorization": "Basic bm9uZTpub25l"}
ERROR = stale("max-age=60, stale-if-error=6000")
LATER = stale("max-age=60, stale-while-revalidate=6000")


@pytest.mark.parametrize("answer", [(401, {"Cache-Control": "no-store"}, b"who?"), (403, {"Cache-Control": "no-store"}, b"no"),
                                    (200, {"Cache-Control": "max-age=600"}, b"for one"), (200, {"Cache-Control": "private"}, b"for one"),
                                    (404, {"Cache-Control": "no-store"}, b"none"), (304, fresh(), b"")], ids=lambda answer: str(answer[:2]))
def test_what_they_bring_leaves_what_is_stored_for_others(client, node, origin, answer):
    versions(origin, "/a", (200, ERROR, b"old"), answer, reset)
    client.get("/a")
    mine = client.request("/a", MINE)
    assert (mine.status, mine.body) == ((200, b"old") if answer[0] == 304 else (answer[0], answer[2]))
    assert origin.asked("/a")[1].get("authorization") == MINE["Authorization"]
    other = client.get("/a")
    assert (other.status, other.body) == (200, b"old") and other.cache["detail"].startswith("stale-if-error/")
    assert origin.asked("/a")[2].get("if-none-match") == '"1"'


@pytest.mark.parametrize("answer", [(401, {"Cache-Control": "no-store"}, b"who?"), (200, {"Cache-Control": "max-age=600"}, b"for one")],
                         ids=lambda answer: str(answer[0]))
def test_others_still_wait_for_each_other(node, origin, answer):
    gate = origin.gate()
    versions(origin, "/a", answer, held(gate, 200, fresh(), b"for all"))
    assert node.request("/a", MINE).body == answer[2]
    client = node.h2()
    streams = [client.ask("/a") for _ in range(20)]
    client.ping()
    gate.open()
    assert all(stream.rest().body == b"for all" for stream in streams)
    assert origin.count("/a") == 2


@pytest.mark.parametrize("answer, body", [((200, fresh('"2"'), b"new"), b"new"), ((401, {"Cache-Control": "no-store"}, b"who?"), b"old")],
                         ids=["200", "401"])
def test_what_nobody_waits_for_is_asked_for_without_them(client, node, origin, answer, body):
    versions(origin, "/a", (200, LATER, b"old"), answer, reset)
    client.get("/a")
    assert is_stale(client.request("/a", MINE))
    quiet(node)
    asked = origin.asked("/a")[1]
    assert asked.get("authorization") is None and asked.get("if-none-match") == '"1"'
    assert client.get("/a").body == body


def test_what_is_selected_by_them_is_asked_for_with_them(client, node, origin):
    def handler(request, response):
        fields = stale("public, max-age=60, stale-while-revalidate=6000") if request.number <= 2 else {"Cache-Control": "public, max-age=600"}
        response.send(200, {**fields, "Vary": "Authorization"}, (request.get("authorization") or "nobody").encode())
    origin.on("/a", handler)
    for fields in MINE, {}:
        client.get("/a", fields)
    mine, other = client.get("/a", MINE), client.request("/a")
    assert mine.cache["fwd"] == "stale" and is_stale(other)
    quiet(node)
    mine, other = client.request("/a", MINE), client.request("/a")
    assert (mine.body, other.body) == (MINE["Authorization"].encode(), b"nobody")
    assert mine.cache["hit"] and other.cache["hit"] and mine.cache["ttl"] > 0 and other.cache["ttl"] > 0
    assert origin.count("/a") == 4
