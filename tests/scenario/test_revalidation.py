"""A stale response is checked with the origin: 304 keeps the body and freshens the head, 200 replaces it."""
import pytest

STALE = "max-age=0"


def versions(origin, *answers):
    """The n-th request gets the n-th answer: (status, fields, body); the last one for ever."""
    def handler(request, response):
        response.send(*answers[min(request.number, len(answers)) - 1])
    origin.on("/a", handler)


@pytest.mark.parametrize("validator, conditional", [
    (("ETag", '"one"'), "if-none-match"), (("ETag", 'W/"one"'), "if-none-match"),
    (("Last-Modified", "Mon, 05 Jan 2026 10:00:00 GMT"), "if-modified-since"),
])
def test_304_keeps_the_body_and_freshens_the_head(client, node, origin, validator, conditional):
    versions(origin, (200, [validator, ("Cache-Control", STALE), ("X-Version", "1")], b"the body"),
             (304, [validator, ("Cache-Control", "max-age=60"), ("X-Version", "2")], b""))
    assert client.get("/a").body == b"the body"
    revalidated = client.get("/a")
    assert (revalidated.status, revalidated.body, revalidated.get("x-version")) == (200, b"the body", "2")
    assert revalidated.cache["fwd"] == "stale" and revalidated.cache["fwd-status"] == 304
    assert revalidated.get("content-length") == "8"
    assert origin.asked("/a")[1].get(conditional) == validator[1]
    assert client.get("/a").cache["hit"], "it is fresh again"
    assert origin.count("/a") == 2
    node.saw(miss=1, revalidated=1, hit=1)
    assert node.metric("selvedge_objects") == 1


@pytest.mark.parametrize("etag, asked", [('"one"', '"one"'), ('W/"one"', 'W/"one"'), ("", None)])
def test_the_origin_is_asked_with_all_validators(client, origin, etag, asked):
    """RFC 9111 section 4.3.1: with Last-Modified beside the ETag. An empty one is none, and must not hide the other (RFC 9110
    section 13.1.3)."""
    fields = [("ETag", etag), ("Last-Modified", "Mon, 05 Jan 2026 10:00:00 GMT"), ("Cache-Control", STALE)]
    versions(origin, (200, fields, b"the body"), (304, fields, b""))
    client.get("/a")
    assert client.get("/a").cache["fwd-status"] == 304
    second = origin.asked("/a")[1]
    assert second.fields.all("if-none-match") == ([asked] if asked else [])
    assert second.get("if-modified-since") == "Mon, 05 Jan 2026 10:00:00 GMT" and origin.count("/a") == 2


def test_200_replaces_it(client, node, origin):
    versions(origin, (200, {"ETag": '"1"', "Cache-Control": STALE}, b"old"),
             (200, {"ETag": '"2"', "Cache-Control": "max-age=60"}, b"newer"))
    assert client.get("/a").body == b"old"
    replaced = client.get("/a")
    assert (replaced.body, replaced.get("etag")) == (b"newer", '"2"')
    assert replaced.cache["fwd"] == "stale" and replaced.cache["stored"]
    hit = client.get("/a")
    assert hit.body == b"newer" and hit.cache["hit"]
    node.wait_metric("selvedge_objects", 1)


def test_without_a_validator_it_is_fetched_whole(client, origin):
    versions(origin, (200, {"Cache-Control": STALE}, b"one"), (200, {"Cache-Control": STALE}, b"two"))
    assert [client.get("/a").body for _ in range(2)] == [b"one", b"two"]
    second = origin.asked("/a")[1]
    assert "if-none-match" not in second.fields and "if-modified-since" not in second.fields


def test_the_clients_own_condition_is_not_what_the_origin_is_asked(client, origin):
    versions(origin, (200, {"ETag": '"1"', "Cache-Control": STALE}, b"one"), (304, {"ETag": '"1"', "Cache-Control": STALE}, b""))
    client.get("/a", {"If-None-Match": '"unknown"'})
    assert "if-none-match" not in origin.asked("/a")[0].fields
    answer = client.get("/a", {"If-None-Match": '"unknown"'})
    assert (answer.status, answer.body) == (200, b"one")
    assert origin.asked("/a")[1].get("if-none-match") == '"1"'
    assert client.get("/a", {"If-None-Match": '"1"'}).status == 304


def test_a_304_for_another_version_is_not_believed(client, origin):
    versions(origin, (200, {"ETag": '"1"', "Cache-Control": STALE}, b"one"),
             (304, {"ETag": '"2"', "Cache-Control": "max-age=60"}, b""), (200, {"ETag": '"2"', "Cache-Control": "max-age=60"}, b"two"))
    client.get("/a")
    answer = client.get("/a")
    assert (answer.status, answer.body) in [(200, b"two"), (502, answer.body)], "never the old bytes under the new tag"
    assert answer.body != b"one"


def test_an_unasked_for_304_is_an_error(client, origin):
    versions(origin, (304, {"ETag": '"1"'}, b""))
    answer = client.get("/a")
    assert answer.status == 502 and answer.cache["detail"]


def test_a_304_may_say_no_store(client, node, origin):
    versions(origin, (200, {"ETag": '"1"', "Cache-Control": STALE}, b"one"),
             (304, {"ETag": '"1"', "Cache-Control": "no-store"}, b""), (200, {"ETag": '"1"', "Cache-Control": "no-store"}, b"one"))
    assert [client.get("/a").body for _ in range(3)] == [b"one"] * 3
    assert origin.count("/a") == 3
    node.wait_metric("selvedge_objects", 0)


def test_many_who_find_it_stale_ask_the_origin_once(node, origin):
    gate = origin.gate()

    def handler(request, response):
        if request.number > 1:
            gate.wait()
            return response.send(304, {"ETag": '"1"', "Cache-Control": "max-age=60"})
        return response.send(200, {"ETag": '"1"', "Cache-Control": STALE}, b"body")
    origin.on("/a", handler)
    client = node.h2()
    client.get("/a")
    streams = [client.ask("/a") for _ in range(20)]
    client.ping()
    gate.open()
    assert all(stream.rest().body == b"body" for stream in streams)
    assert origin.count("/a") == 2


def test_an_origin_that_fails_does_not_make_stale_usable(client, origin):
    versions(origin, (200, {"ETag": '"1"', "Cache-Control": "max-age=0, must-revalidate"}, b"one"), (503, {}, b"down"))
    client.get("/a")
    assert client.get("/a").status == 503
