"""What a Set-Cookie does to an answer is the site's choice."""
import pytest

FIELDS = [("Cache-Control", "max-age=60"), ("Set-Cookie", "id=1"), ("Set-Cookie", "b=2"), ("X-A", "b")]


@pytest.fixture
def serve(origin):
    origin.on("/a", lambda _, response: response.send(200, FIELDS, b"a"))
    return origin


def ask_twice(node, path="/a", method="GET"):
    return [node.h2().get(path, method=method) for _ in range(2)]


@pytest.mark.setting("sites[].set_cookie")
def test_removed_the_rest_is_stored(start_node, serve):
    node = start_node(serve, set_cookie="remove")
    answers = ask_twice(node)
    assert "hit" in answers[1].cache and serve.count("/a") == 1
    for answer in answers:
        assert not answer.get("set-cookie") and answer.get("x-a") == "b"


def test_stored_everybody_gets_it(start_node, serve):
    node = start_node(serve, set_cookie="store")
    answers = ask_twice(node)
    assert "hit" in answers[1].cache and serve.count("/a") == 1
    for answer in answers:
        assert answer.fields.all("set-cookie") == ["id=1", "b=2"]


def test_an_origin_can_still_forbid_it(start_node, origin):
    origin.on("/a", lambda _, response: response.send(200, {"Cache-Control": "private, max-age=60", "Set-Cookie": "a=b"}, b"a"))
    for choice in ("store", "remove"):
        assert all("hit" not in answer.cache for answer in ask_twice(start_node(origin, set_cookie=choice)))


def test_who_logs_in_gets_the_cookie(start_node, serve):
    node = start_node(serve, set_cookie="remove")
    assert node.h2().get("/a", method="POST").fields.all("set-cookie") == ["id=1", "b=2"]


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_who_logs_in_by_get_gets_the_cookie(start_site, origin, protocol):
    """What is neither stored nor shared has no other client that could get it."""
    for path, control in ("/private", "private"), ("/no-store", "no-store"), ("/login/a", "max-age=60"), ("/a", "max-age=60"), ("/b", "must-revalidate"):
        origin.serve(path, b"a", cache_control=control, set_cookie="id=1")
    client = getattr(start_site(set_cookie="remove", rules=[{"path": "/login/*", "bypass": "on"}]), protocol)()
    for path in "/private", "/no-store", "/login/a":
        for _ in range(2):
            assert client.get(path).get("set-cookie") == "id=1"
        assert origin.count(path) == 2
    assert not client.get("/a").get("set-cookie"), "this is stored"
    assert not client.get("/b").get("set-cookie"), "this is shared with those who wait"


def test_a_304_that_is_private_brings_its_client_the_cookie(start_node, origin):
    def handler(request, response):
        validated = request.get("if-none-match") is not None
        fields = [("Cache-Control", "private" if validated else "max-age=0"), ("ETag", '"a"'), ("Set-Cookie", f"id={request.number}")]
        response.send(304 if validated else 200, fields, b"" if validated else b"a")
    origin.on("/a", handler)
    node = start_node(origin, set_cookie="remove")
    answers = ask_twice(node)
    assert [answer.get("set-cookie") for answer in answers] == [None, "id=2"] and answers[1].body == b"a"
    assert node.get("/a").get("set-cookie") != "id=2", "and nobody else"


def test_after_a_304_it_is_still_removed(start_node, origin):
    """The stored head is made anew, of what was stored and of what the 304 says."""
    def handler(request, response):
        fields = [("Cache-Control", "max-age=0"), ("ETag", '"a"'), ("Set-Cookie", "id=1")]
        response.send(304 if request.get("if-none-match") else 200, fields, b"" if request.get("if-none-match") else b"a")
    origin.on("/a", handler)
    node = start_node(origin, set_cookie="remove")
    for answer in ask_twice(node):
        assert answer.status == 200 and answer.body == b"a" and not answer.get("set-cookie")
    assert origin.count("/a") == 2


def test_stored_a_304_brings_the_next_one(start_node, origin):
    """RFC 9111 section 3.2."""
    def handler(request, response):
        fields = [("Cache-Control", "max-age=0"), ("ETag", '"a"'), ("Set-Cookie", f"id={request.number}")]
        response.send(304 if request.get("if-none-match") else 200, fields, b"" if request.get("if-none-match") else b"a")
    origin.on("/a", handler)
    answers = ask_twice(start_node(origin, set_cookie="store"))
    assert [answer.fields.all("set-cookie") for answer in answers] == [["id=1"], ["id=2"]]


@pytest.mark.parametrize("choice", ["bypass", "store"])
def test_what_was_taken_out_goes_to_nobody_after_a_reload(start_site, origin, choice):
    """It is not kept, so no later decision can bring it back."""
    def handler(request, response):
        validated = request.get("if-none-match") is not None
        fields = [("Cache-Control", "max-age=0"), ("ETag", '"a"')] + ([] if validated else [("Set-Cookie", "of=the-first")])
        response.send(304 if validated else 200, fields, b"" if validated else b"a")
    origin.on("/a", handler)
    node = start_site(set_cookie="remove")
    assert not node.get("/a").get("set-cookie")
    start_site.again(set_cookie=choice)
    answer = node.get("/a")
    assert answer.cache["fwd-status"] == 304 and not answer.get("set-cookie")


def test_a_304_with_one_is_for_its_client_alone(client, origin):
    """As is a 200 with one, where the site says nothing."""
    def handler(request, response):
        validated = request.get("if-none-match") is not None
        fields = [("Cache-Control", "max-age=60" if validated else "max-age=0"), ("ETag", '"a"')]
        response.send(304 if validated else 200, fields + ([("Set-Cookie", f"id={request.number}")] if validated else []),
                      b"" if validated else b"a")
    origin.on("/a", handler)
    assert not client.get("/a").get("set-cookie")
    assert client.get("/a").get("set-cookie") == "id=2"
    after = client.get("/a")
    assert "hit" not in after.cache and after.get("set-cookie") != "id=2" and after.body == b"a"
