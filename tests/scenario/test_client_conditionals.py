"""Clients that have a copy already: 304 from the store, without a word to the origin."""
import pytest

MODIFIED = "Mon, 05 Jan 2026 10:00:00 GMT"
EARLIER = "Sun, 04 Jan 2026 10:00:00 GMT"
LATER = "Tue, 06 Jan 2026 10:00:00 GMT"


@pytest.fixture
def stored(client, origin):
    origin.serve("/a", b"the body", cache_control="max-age=60", etag='"one"', last_modified=MODIFIED, content_type="text/css",
                 vary="Accept-Language", content_location="/a")
    client.get("/a")


@pytest.mark.parametrize("fields", [
    {"If-None-Match": '"one"'}, {"If-None-Match": 'W/"one"'}, {"If-None-Match": "*"}, {"If-None-Match": '"zero", "one"'},
    {"If-Modified-Since": MODIFIED}, {"If-Modified-Since": LATER},
    {"If-None-Match": '"one"', "If-Modified-Since": EARLIER},
    [("If-None-Match", '"zero"'), ("If-None-Match", '"one"')],
], ids=repr)
def test_not_modified(client, node, origin, stored, fields):
    answer = client.get("/a", fields)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.get("etag") == '"one"' and answer.get("cache-control") == "max-age=60"
    assert answer.get("vary") == "Accept-Language" and "date" in answer.fields and "content-type" not in answer.fields
    assert answer.cache["hit"] and answer.age is not None and "via" in answer.fields
    assert client.get("/a").body == b"the body", "the connection goes on"
    assert origin.count("/a") == 1
    node.saw(miss=1, hit=2)


def test_without_last_modified_the_date_counts(client, origin):
    """RFC 9111 section 4.3.2."""
    fields = {"Cache-Control": "max-age=2000000000", "Date": MODIFIED}
    origin.on("/d", lambda _, response: response.send(200, fields, b"the body", date=False))
    client.get("/d")
    assert [client.get("/d", {"If-Modified-Since": date}).status for date in (MODIFIED, LATER, EARLIER)] == [304, 304, 200]
    assert origin.count("/d") == 1


@pytest.mark.parametrize("fields", [
    {"If-None-Match": '"two"'}, {"If-None-Match": "one"}, {"If-None-Match": '"One"'}, {"If-Modified-Since": EARLIER},
    {"If-Modified-Since": "yesterday"}, {"If-None-Match": '"two"', "If-Modified-Since": LATER}, {"If-None-Match": ""},
], ids=repr)
def test_modified(client, origin, stored, fields):
    answer = client.get("/a", fields)
    assert (answer.status, answer.body) == (200, b"the body")
    assert answer.cache["hit"] and origin.count("/a") == 1


def test_head_is_conditional_too(client, stored):
    assert client.request("/a", {"If-None-Match": '"one"'}, method="HEAD").status == 304
    assert client.request("/a", {"If-None-Match": '"two"'}, method="HEAD").status == 200


def test_a_condition_is_for_successes_only(client, origin):
    origin.serve("/gone", b"no", status=404, cache_control="max-age=60", etag='"one"')
    for _ in range(2):
        assert client.get("/gone", {"If-None-Match": '"one"'}).status == 404


def test_a_first_request_may_be_conditional_as_well(client, origin):
    origin.serve("/b", b"the body", cache_control="max-age=60", etag='"one"')
    assert client.get("/b", {"If-None-Match": '"one"'}).status == 304
    assert client.get("/b").body == b"the body", "what was stored is whole"
    assert origin.count("/b") == 1 and "if-none-match" not in origin.asked("/b")[0].fields
