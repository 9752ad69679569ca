"""HEAD is answered like GET, without the body."""


def test_head_of_what_is_stored(client, node, origin):
    origin.serve("/a", b"the body", cache_control="max-age=60", etag='"1"')
    got = client.get("/a")
    head = client.request("/a", method="HEAD")
    assert (head.status, head.body, head.get("content-length"), head.get("etag")) == (200, b"", "8", '"1"')
    assert head.cache["hit"] and head.get("content-type") == got.get("content-type")
    assert client.get("/a").body == b"the body"
    assert origin.count("/a") == 1
    node.saw(miss=1, hit=2)


def test_head_of_what_is_not_stored_spoils_nothing(client, origin):
    origin.serve("/a", b"the body", cache_control="max-age=60")
    first = client.request("/a", method="HEAD")
    assert (first.status, first.body, first.get("content-length")) == (200, b"", "8")
    assert client.get("/a").body == b"the body"
    assert client.request("/a", method="HEAD").get("content-length") == "8"


def test_head_of_an_error(client, origin):
    assert client.request("/nothing", method="HEAD").status == 404
    assert client.get("/nothing").body == b"nothing here"


def test_head_of_a_broken_origin(client, origin):
    origin.on("/a", lambda _, response: response.reset())
    answer = client.request("/a", method="HEAD")
    assert answer.status == 502 and answer.body == b"" and answer.cache["detail"]
