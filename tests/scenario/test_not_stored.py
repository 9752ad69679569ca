"""What must not be stored, or not shared, is not; each says why."""
import pytest

NOT_STORED = {
    "no-store": [("Cache-Control", "no-store, max-age=60")],
    "private": [("Cache-Control", "private, max-age=60")],
    "private for some fields": [("Cache-Control", 'private="x", max-age=60')],
    "Set-Cookie": [("Cache-Control", "max-age=60"), ("Set-Cookie", "id=1")],
    "nonsense": [("Cache-Control", "max-age=60, =")],
    "max-age given twice, differently": [("Cache-Control", "max-age=60, max-age=6000")],
    "a lifetime that is no number": [("Cache-Control", "max-age=60x")],
    "no lifetime": [("X-A", "b")],
    "Vary: *": [("Cache-Control", "max-age=60"), ("Vary", "*")],
}

STORED = {
    "a directive that nobody knows": (200, [("Cache-Control", "max-age=60, fancy=1")]),
    "must-understand": (200, [("Cache-Control", "max-age=60, must-understand, no-store")]),
    "a range nobody asked for": (200, [("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-0/5")]),
    "an error that says how long": (503, [("Cache-Control", "max-age=60")]),
    "a status that nobody knows": (599, [("Cache-Control", "max-age=60")]),
}


@pytest.mark.parametrize("what", STORED)
def test_stored_as_nothing_forbids_it(client, node, origin, what):
    status, fields = STORED[what]
    origin.on("/a", lambda _, response: response.send(status, fields, b"a"))
    answers = [client.get("/a") for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(status, b"a")] * 2
    assert "hit" in answers[1].cache and origin.count("/a") == 1


def test_what_must_be_understood_and_is_not_is_not_stored(client, origin):
    """RFC 9111 section 5.2.2.3."""
    origin.on("/a", lambda _, response: response.send(299, {"Cache-Control": "max-age=60, must-understand, no-store"}, b"a"))
    assert all("hit" not in client.get("/a").cache for _ in range(2))
    assert origin.count("/a") == 2


@pytest.mark.parametrize("what", NOT_STORED)
def test_not_stored(client, node, origin, what):
    origin.on("/a", lambda request, response: response.send(200, NOT_STORED[what], b"answer %d" % request.number))
    answers = [client.get("/a") for _ in range(3)]
    assert [bytes(answer.body) for answer in answers] == [b"answer 1", b"answer 2", b"answer 3"]
    assert all("hit" not in answer.cache and "stored" not in answer.cache for answer in answers)
    node.wait_metric("selvedge_objects", 0)


@pytest.mark.parametrize("status", [201, 206, 302, 307, 400, 401, 403, 500, 502, 503])
def test_statuses_without_a_lifetime_are_not_stored(client, origin, status):
    origin.serve("/a", b"a", status=status, last_modified="Mon, 05 Jan 2026 10:00:00 GMT")
    assert [client.get("/a").status for _ in range(2)] == [status] * 2
    assert origin.count("/a") == 2


@pytest.mark.parametrize("directive, stored", [
    ("max-age=60", False), ("public, max-age=60", True), ("s-maxage=60", True), ("must-revalidate, max-age=60", True),
    ("private, max-age=60", False),
])
def test_answers_to_authorization_are_stored_only_when_they_say_so(client, origin, directive, stored):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": directive}, (request.get("authorization") or "nobody").encode()))
    assert client.get("/a", {"Authorization": "Basic bWU6bWU="}).body == b"Basic bWU6bWU="
    second = client.get("/a")
    assert ("hit" in second.cache) == stored
    assert second.body == (b"Basic bWU6bWU=" if stored else b"nobody")


def test_those_without_authorization_do_not_join_a_personal_fill(node, origin):
    gate = origin.gate()

    def handler(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60"}, (request.get("authorization") or "nobody").encode())
    origin.on("/a", handler)
    client = node.h2()
    mine, other = client.ask("/a", {"Authorization": "Basic bWU6bWU="}), client.ask("/a")
    client.ping()
    gate.open()
    assert mine.rest().body == b"Basic bWU6bWU="
    assert other.rest().body == b"nobody"


def test_a_body_that_ends_with_the_connection_is_not_stored(client, node, origin):
    def handler(_, response):
        response.head(200, {"Cache-Control": "max-age=60"})
        response.raw(b"until the close")
        response.close()
    origin.on("/a", handler)
    assert [client.get("/a").body for _ in range(2)] == [b"until the close"] * 2
    assert origin.count("/a") == 2
    node.wait_metric("selvedge_objects", 0)


def test_a_new_answer_that_may_not_be_stored_takes_the_old_one_away(client, node, origin):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=0" if request.number == 1 else "no-store", "ETag": f'"{request.number}"'}, b"a"))
    client.get("/a")
    client.get("/a")
    client.get("/a")
    assert "if-none-match" not in origin.asked("/a")[2].fields
    node.wait_metric("selvedge_objects", 0)
