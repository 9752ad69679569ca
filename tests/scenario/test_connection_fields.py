"""What Connection names ends at the node: it neither goes upstream nor selects what is stored. HTTP/1 only."""
import pytest


def echo(origin, name, cache_control="max-age=600"):
    """Each answer says what the origin saw in this field."""
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": cache_control, "Vary": name}, (request.get(name) or "none").encode()))


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("name, value", [("Accept-Language", "de"), ("Origin", "https://app.example")])
@pytest.mark.parametrize("connection", ["{}", "keep-alive, {}", "close , ,{}"])
def test_it_makes_no_variant_of_what_upstream_was_not_told(node, origin, name, value, connection, warm):
    echo(origin, name)
    if warm:
        node.get("/a", {name: "other"})
    hidden = {name: value, "Connection": connection.format(name.lower())}
    assert node.h1().request("/a", hidden).body == b"none"
    assert node.get("/a", {name: value}).body == value.encode()
    assert node.get("/a").body == b"none" and node.get("/a").cache["hit"], "it was stored as what it was"
    assert node.h1().request("/a", hidden).cache["hit"]
    assert origin.count("/a") == 2 + warm


def test_authorization_that_upstream_does_not_see_still_has_nothing_stored(node, origin):
    echo(origin, "Authorization", "public, max-age=600")
    hidden = {"Authorization": "Basic bWU6bWU=", "Connection": "authorization"}
    for _ in range(2):
        answer = node.h1().request("/a", hidden)
        assert answer.body == b"none" and "hit" not in answer.cache and "stored" not in answer.cache
    node.wait_metric("selvedge_objects", 0)
    assert node.get("/a", {"Authorization": "Basic bWU6bWU="}).body == b"Basic bWU6bWU="
    assert node.get("/a").body == b"none"
    assert origin.count("/a") == 4


def test_nor_is_it_answered_with_what_is_stored(node, origin):
    echo(origin, "Accept", "public, max-age=600")
    node.get("/a")
    assert "hit" not in node.h1().request("/a", {"Authorization": "Basic x", "Connection": "Authorization"}).cache
    assert node.get("/a").cache["hit"], "and what is stored stays"


def test_a_loop_cannot_be_hidden(node, origin):
    origin.serve("/a", b"a", cache_control="no-store")
    node.get("/a")
    passed = origin.asked("/a")[0].get("cdn-loop")
    assert node.h1().request("/a", {"CDN-Loop": passed, "Connection": "cdn-loop"}).status == 508


def test_conditions_and_ranges_that_it_names_are_none(node, origin):
    origin.serve("/a", b"abc", cache_control="max-age=600", etag='"a"')
    node.get("/a")
    for name, value, status in ("If-None-Match", '"a"', 304), ("Range", "bytes=0-0", 206):
        assert node.h1().request("/a", {name: value}).status == status
        assert node.h1().request("/a", {name: value, "Connection": name}).status == 200
