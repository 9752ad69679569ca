"""What the node says of itself on every response: Via and Cache-Status, exactly."""
import re

import pytest


@pytest.fixture
def paths(origin):
    origin.serve("/stored", b"a", cache_control="max-age=60")
    origin.serve("/empty", b"", cache_control="max-age=60")
    origin.serve("/private", b"a", cache_control="private")
    origin.serve("/gone", b"no", status=404)
    origin.on("/broken", lambda _, response: response.reset())


def test_via_is_on_every_response(client, origin, paths):
    for path in ("/stored", "/stored", "/private", "/gone", "/broken", "/%00"):
        answer = client.get(path)
        assert answer.fields.all("via") == ["1.1 selvedge"], (path, answer)
        assert answer.cache is not None, (path, answer)


def test_via_of_others_is_kept(client, origin):
    origin.serve("/a", b"a", via="1.0 upstream", cache_control="max-age=60")
    for _ in range(2):
        assert client.get("/a").get("via") == "1.0 upstream, 1.1 selvedge"


def test_cache_status_of_a_stored_miss_and_its_hits(client, paths):
    for path in "/stored", "/empty":
        assert client.get(path).get("cache-status") == "selvedge; fwd=miss; stored"
        assert re.fullmatch(r"selvedge; hit; ttl=(59|60)", client.get(path).get("cache-status"))


def test_cache_status_of_what_is_not_stored(client, paths):
    first, second = client.get("/private").get("cache-status"), client.get("/private").get("cache-status")
    assert first.startswith("selvedge; fwd=miss") and "stored" not in first and "hit" not in first
    assert re.match(r"selvedge; fwd=(miss|bypass)", second) and "stored" not in second and "hit" not in second


def test_cache_status_of_other_methods(client, paths):
    assert client.request("/stored", method="POST", body=b"").get("cache-status").startswith("selvedge; fwd=method")


def test_cache_status_of_a_revalidation(client, origin):
    def handler(request, response):
        fields = {"ETag": '"1"', "Cache-Control": "max-age=0" if request.number == 1 else "max-age=60"}
        response.send(200 if request.number == 1 else 304, fields, b"a" if request.number == 1 else b"")
    origin.on("/a", handler)
    client.get("/a")
    assert client.get("/a").get("cache-status") == "selvedge; fwd=stale; fwd-status=304; stored"


@pytest.mark.parametrize("asked, status, rest", [
    ({"Range": "bytes=2-3"}, 206, "stored"), ({"Range": "bytes=0-0,5-5"}, 206, "stored"), ({"If-None-Match": '"e"'}, 304, "stored"),
    ({"Range": "bytes=20-"}, 416, "stored; detail=range_not_satisfiable"),
    ({"If-Match": '"x"'}, 412, "stored; detail=precondition_failed"), ({}, 200, None),
], ids=repr)
def test_cache_status_where_upstreams_is_not_the_answers(client, origin, asked, status, rest):
    """RFC 9211 section 2.3: without fwd-status, upstream would have answered what the client is answered."""
    origin.serve("/a", b"0123456789", cache_control="max-age=60", etag='"e"')
    answer = client.get("/a", asked)
    assert answer.status == status and [request.get("range") for request in origin.asked("/a")] == [None]
    assert answer.get("cache-status") == (f"selvedge; fwd=miss; fwd-status=200; {rest}" if rest else "selvedge; fwd=miss; stored")
    assert "fwd-status" not in client.get("/a", asked).cache, "nobody was asked"


def test_cache_status_of_others_is_kept_before_ours(client, origin):
    origin.serve("/a", b"a", cache_control="max-age=60", cache_status="shield; hit")
    assert client.get("/a").get("cache-status") == "shield; hit, selvedge; fwd=miss; stored"


def test_the_servers_own_library_is_not_told(client, paths):
    for path in "/stored", "/broken":
        assert "h2o" not in str(client.get(path).fields).lower()


def test_one_date_and_one_length(client, paths):
    for _ in range(2):
        answer = client.get("/stored")
        assert len(answer.fields.all("date")) == 1 and answer.fields.all("content-length") == ["1"]
