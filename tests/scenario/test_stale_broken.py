"""An answer that breaks off behind its head is one that failed: as long as nothing of its body has come, what is stale answers
instead. And what the node itself refuses to fetch."""
import pytest

from harness.message import noise
from test_stale import quiet, stale, versions
from test_wasted_bytes import ask_until_refused, begin

ERROR = stale("max-age=60, stale-if-error=6000")


def breaks_off(when):
    def handler(_, response):
        response.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\n")
        if when == "later":
            response.gone(0.3)
        response.close()
    return handler


@pytest.mark.parametrize("when", ["at once", "later"])
@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=1-2"}], ids=["whole", "part"])
def test_it_answers_instead(client, node, origin, when, fields):
    versions(origin, "/a", (200, ERROR, b"old"), breaks_off(when))
    client.get("/a")
    answer = client.request("/a", fields)
    assert (answer.status, answer.body) == ((206, b"ld") if fields else (200, b"old"))
    assert answer.cache["fwd-status"] == 200 and answer.cache["detail"] == "stale-if-error/http_response_incomplete"
    assert answer.get("content-length") == str(len(answer.body)) and answer.age >= 100
    node.saw(miss=1, stale=1)
    quiet(node)
    assert node.metric("selvedge_revalidations_failed_total") == 1


def test_where_it_may_not_the_head_does_not_wait(node, origin):
    gate = origin.gate()

    def handler(_, response):
        response.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nCache-Control: max-age=60\r\n\r\n")
        gate.wait()
        response.raw(b"new")
    versions(origin, "/a", (200, stale("max-age=60, must-revalidate"), b"old"), handler)
    node.get("/a")
    stream = node.h2().ask("/a")
    assert stream.head().status == 200
    gate.open()
    assert stream.rest().body == b"new"


def test_bodies_of_errors_are_not_thrown_away_by_who_asked(start_node, origin):
    paths = [f"/{number}" for number in range(40)]
    body = noise(100_000, "error")

    def handler(request, response):
        if request.number == 1:
            return response.send(200, ERROR, b"old")
        return response.send(503, {}, body)
    origin.on("/*", handler)
    node = start_node(origin, max_address_waste="1M", max_key_waste="1M")
    for _ in range(2):
        for path in paths:
            assert node.get(path).body == b"old"
    quiet(node)
    assert node.metric("selvedge_refused_total") == 0 and origin.count() == 80


def test_who_may_not_ask_the_origin_has_what_is_stale(start_node, origin):
    origin.on("/slow/*", begin)
    versions(origin, "/a", (200, ERROR, b"old"))
    versions(origin, "/must", (200, stale("max-age=60, must-revalidate"), b"old"))
    node = start_node(origin, max_address_waste="2M", max_object="4M", memory="64M")
    for path in "/a", "/must":
        node.get(path)
    ask_until_refused(node, lambda number: f"/slow/{number}", "address_waste", 40)
    answer = node.request("/a")
    assert (answer.status, answer.body, answer.cache["detail"]) == (200, b"old", "stale-if-error/address_waste")
    assert node.request("/must").status == 429 and origin.count("/a") == 1
