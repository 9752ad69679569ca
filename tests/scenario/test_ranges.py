"""Parts of a response: from the store, from what still grows, and from what is too large to be stored."""
import pytest

from harness.message import noise

MIB = 1 << 20
MODIFIED = "Mon, 05 Jan 2026 10:00:00 GMT"
BODY = noise(1000)


@pytest.fixture
def stored(client, origin):
    origin.serve("/a", BODY, cache_control="max-age=60", etag='"one"', last_modified=MODIFIED, content_type="text/css",
                 content_md5="x", x_own="kept")
    client.get("/a")


def part(answer, first, end, length):
    assert (answer.status, answer.get("content-range")) == (206, f"bytes {first}-{end - 1}/{length}")
    assert answer.get("content-length") == str(end - first) == str(len(answer.body))
    return answer.body


@pytest.mark.parametrize("value, first, end", [
    ("bytes=0-0", 0, 1), ("bytes=0-", 0, 1000), ("bytes=10-19", 10, 20), ("bytes=999-", 999, 1000), ("bytes=-1", 999, 1000),
    ("bytes=-5000", 0, 1000), ("bytes=990-5000", 990, 1000), ("bytes=5-99999999999999999999999", 5, 1000),
])
def test_one_range_of_a_stored_response(client, node, origin, stored, value, first, end):
    answer = client.get("/a", {"Range": value})
    assert part(answer, first, end, 1000) == BODY[first:end]
    assert answer.get("etag") == '"one"' and answer.get("last-modified") == MODIFIED and answer.get("x-own") == "kept"
    assert answer.get("content-type") == "text/css" and answer.get("cache-control") == "max-age=60"
    assert answer.fields.all("date") and answer.age is not None and answer.get("accept-ranges") == "bytes"
    assert "content-md5" not in answer.fields, "it is the whole body's"
    assert answer.cache["hit"]
    assert client.get("/a").body == BODY, "the connection goes on"
    assert origin.count("/a") == 1
    node.saw(miss=1, hit=2)


@pytest.mark.parametrize("values", [["items=0-1"], ["bytes=5-4"], ["bytes"], ["bytes=x-y"], [""],
                                    ["bytes=1-2", "bytes=3-4"]], ids=repr)
def test_what_is_no_range_of_bytes_is_ignored(client, origin, stored, values):
    answer = client.get("/a", [("Range", value) for value in values])
    assert (answer.status, answer.body) == (200, BODY) and "content-range" not in answer.fields
    assert answer.get("accept-ranges") == "bytes" and answer.get("content-md5") == "x" and answer.cache["hit"]


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=99999999999999999999-", "bytes=-0"])
def test_no_such_byte_is_416(client, node, origin, stored, value):
    answer = client.get("/a", {"Range": value})
    assert (answer.status, answer.get("content-range")) == (416, "bytes */1000")
    assert "cache-control" not in answer.fields and "etag" not in answer.fields, "of the error nothing is kept"
    assert answer.cache == {"hit": True, "detail": "range_not_satisfiable"}
    assert client.get("/a").body == BODY, "the connection goes on"
    node.saw(miss=1, hit=2)


@pytest.mark.parametrize("fields, status", [
    ({"If-None-Match": '"one"'}, 304), ({"If-None-Match": '"two"'}, 206), ({"If-Modified-Since": MODIFIED}, 304),
    ({"If-Match": '"one"'}, 206), ({"If-Match": '"two"'}, 412), ({"If-Match": 'W/"one"'}, 412), ({"If-Match": "*"}, 206),
    ({"If-Unmodified-Since": MODIFIED}, 206), ({"If-Unmodified-Since": "Sun, 04 Jan 2026 10:00:00 GMT"}, 412),
    ({"If-Range": '"one"'}, 206), ({"If-Range": '"two"'}, 200), ({"If-Range": 'W/"one"'}, 200), ({"If-Range": MODIFIED}, 206),
    ({"If-Range": "Tue, 06 Jan 2026 10:00:00 GMT"}, 200), ({"If-Range": "one"}, 200),
], ids=repr)
def test_conditions_go_first(client, stored, fields, status):
    for value in ("bytes=0-9", "bytes=1000-"):
        answer = client.get("/a", {"Range": value, **fields})
        assert answer.status == (416 if status == 206 and value == "bytes=1000-" else status)
        assert answer.body == {206: BODY[:10], 200: BODY, 304: b""}.get(answer.status, answer.body)
        assert answer.cache["hit"]


def test_of_a_weak_etag_no_part_is_promised(client, origin):
    origin.serve("/a", BODY, cache_control="max-age=60", etag='W/"one"')
    client.get("/a")
    assert client.get("/a", {"Range": "bytes=0-9", "If-Range": 'W/"one"'}).body == BODY
    assert client.get("/a", {"Range": "bytes=0-9"}).body == BODY[:10]


@pytest.mark.parametrize("asked, said", [("bytes=1-2", ["bytes 1-2/10"]), ("bytes=1-2,5-6", [])])
def test_a_part_has_its_own_content_range_alone(client, origin, asked, said):
    """On a 200 it means nothing (RFC 9110 section 14.4), and where there are several parts each has its own (section 15.3.7.2)."""
    origin.serve("/a", b"0123456789", cache_control="max-age=60", content_range="bytes 0-9/20")
    for _ in range(2):
        answer = client.get("/a", {"Range": asked})
        assert answer.status == 206 and answer.fields.all("content-range") == said


def test_head_has_no_ranges(client, stored):
    answer = client.request("/a", {"Range": "bytes=0-9"}, method="HEAD")
    assert (answer.status, answer.get("content-length"), answer.get("accept-ranges")) == (200, "1000", "bytes")


def test_only_a_200_has_ranges(client, origin):
    origin.serve("/gone", b"not here", status=404, cache_control="max-age=60")
    for _ in range(2):
        answer = client.get("/gone", {"Range": "bytes=0-1"})
        assert (answer.status, answer.body) == (404, b"not here") and "accept-ranges" not in answer.fields


@pytest.mark.parametrize("theirs", ["none", "bytes", None])
def test_the_node_says_what_it_can_whatever_the_origin_does(client, origin, theirs):
    origin.serve("/a", BODY, cache_control="max-age=60", accept_ranges=theirs)
    for _ in range(3):
        assert client.get("/a").fields.all("accept-ranges") == ["bytes"]
    origin.serve("/private", BODY, cache_control="no-store", accept_ranges=theirs)
    assert client.get("/private").get("accept-ranges") == theirs, "what is not stored is the origin's own matter"


def test_a_part_of_what_is_not_stored_and_has_just_ended(client, origin):
    """The answer's fields lie in what nobody else holds any more."""
    origin.serve("/private", BODY, cache_control="no-store", x_long="x" * 400)
    for _ in range(30):
        answer = client.get("/private", {"Range": "bytes=2-5"})
        assert answer.status == 206 and answer.body == BODY[2:6] and answer.get("x-long") == "x" * 400


def test_what_came_without_a_length_has_ranges_once_it_is_whole(client, origin):
    def handler(_, response):
        response.head(200, [("Transfer-Encoding", "chunked"), ("Cache-Control", "max-age=60")])
        response.chunk(BODY)
        response.last_chunk()
    origin.on("/a", handler)
    first = client.get("/a", {"Range": "bytes=0-9"})
    assert first.body in (BODY, BODY[:10]), "it may be whole before the first byte goes out"
    for _ in range(2):
        assert client.get("/a").fields.all("accept-ranges") == ["bytes"]
        assert part(client.get("/a", {"Range": "bytes=-10"}), 990, 1000, 1000) == BODY[990:]


def test_an_empty_body(client, origin):
    origin.serve("/a", b"", cache_control="max-age=60")
    client.get("/a")
    assert client.get("/a", {"Range": "bytes=0-"}).get("content-range") == "bytes */0"
    assert client.get("/a", {"Range": "bytes=-1"}).status == 200


def test_a_miss_fetches_the_whole_and_stores_it(client, node, origin):
    origin.serve("/a", BODY, cache_control="max-age=60")
    answer = client.get("/a", {"Range": "bytes=100-199"})
    assert part(answer, 100, 200, 1000) == BODY[100:200]
    assert answer.cache == {"fwd": "miss", "fwd-status": 200, "stored": True}
    assert "range" not in origin.asked("/a")[0].fields
    node.wait_metric("selvedge_objects", 1)
    answer = client.get("/a")
    assert answer.body == BODY and answer.cache["hit"] and origin.count("/a") == 1
    node.saw(miss=1, hit=1)


def test_a_part_in_many_blocks(client, origin):
    body = noise(3 * MIB + 11)
    origin.serve("/a", body, cache_control="max-age=60")
    assert client.get("/a").body == body
    for first, end in [(0, MIB), (MIB // 2 - 1, MIB // 2 + 1), (MIB + 7, 3 * MIB + 5), (3 * MIB, 3 * MIB + 11)]:
        answer = client.get("/a", {"Range": f"bytes={first}-{end - 1}"})
        assert part(answer, first, end, len(body)) == body[first:end] and answer.cache["hit"]


def test_of_what_grows_the_part_that_has_come_is_sent_at_once(node, origin):
    rest, body = origin.gate("rest"), noise(200_000)

    def handler(_, response):
        response.head(200, {"Content-Length": len(body), "Cache-Control": "max-age=60"})
        response.raw(body[:100_000])
        rest.wait()
        response.raw(body[100_000:])
    origin.on("/a", handler)
    client = node.h2()
    whole = client.ask("/a")
    whole.at_least(100_000)
    answer = client.request("/a", {"Range": "bytes=50000-59999"})
    assert part(answer, 50_000, 60_000, len(body)) == body[50_000:60_000] and answer.cache["collapsed"]
    later = client.ask("/a", {"Range": "bytes=95000-150000"})
    later.at_least(5_000)
    assert later.answer.get("content-range") == "bytes 95000-150000/200000" and not rest.is_open()
    assert client.request("/a", {"Range": "bytes=200000-"}).get("content-range") == "bytes */200000"
    rest.open()
    assert later.rest().body == body[95_000:150_001]
    assert whole.rest().body == body and origin.count("/a") == 1


def test_a_part_of_unknown_length_that_grows_is_the_whole(node, origin):
    rest = origin.gate("rest")

    def handler(_, response):
        response.head(200, [("Transfer-Encoding", "chunked"), ("Cache-Control", "max-age=60")])
        response.chunk(BODY[:500])
        rest.wait()
        response.chunk(BODY[500:])
        response.last_chunk()
    origin.on("/a", handler)
    stream = node.h2().ask("/a", {"Range": "bytes=0-9"})
    stream.at_least(500)
    rest.open()
    answer = stream.rest()
    assert (answer.status, answer.body) == (200, BODY) and "accept-ranges" not in answer.fields


def test_a_part_that_breaks_off_is_an_error(node, origin):
    def handler(_, response):
        response.head(200, {"Content-Length": 1000, "Cache-Control": "max-age=60"})
        response.raw(BODY[:500])
        rest.wait()
        response.reset()
    rest = origin.gate("rest")
    origin.on("/a", handler)
    stream = node.h2().ask("/a", {"Range": "bytes=400-599"})
    stream.at_least(100)
    rest.open()
    with pytest.raises(Exception, match="RST_STREAM"):
        stream.rest()
    node.wait_metric("selvedge_objects", 0)


# ---- too large to be stored: it streams through a window of 4 MiB

@pytest.fixture
def small(start_node, origin):
    return start_node(origin, max_object="1M")


def serve_large(origin, body, takes_ranges):
    def handler(request, response):
        asked = request.get("range")
        if not takes_ranges or not asked:
            return response.send(200, {"Cache-Control": "max-age=60", "ETag": '"one"'}, body)
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        return response.send(206, {"Content-Range": f"bytes {first}-{last}/{len(body)}", "ETag": '"one"',
                                   "Cache-Control": "max-age=60"}, body[first:last + 1])
    origin.on("/a", handler)


@pytest.mark.parametrize("takes_ranges", [True, False], ids=["the origin takes ranges", "the origin ignores ranges"])
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_part_far_into_what_is_not_stored(small, origin, protocol, takes_ranges):
    body = noise(20 * MIB)
    serve_large(origin, body, takes_ranges)
    client = small.h1() if protocol == "h1" else small.h2()
    first, end = 15 * MIB, 15 * MIB + 5000
    answer = client.get("/a", {"Range": f"bytes={first}-{end - 1}", "If-Range": '"one"'})
    assert part(answer, first, end, len(body)) == body[first:end] and "stored" not in answer.cache
    asked = origin.asked("/a")
    assert [request.get("range") for request in asked] == [None, f"bytes={first}-{end - 1}"]
    assert asked[1].get("if-range") == '"one"'
    small.wait_metric("selvedge_fills", 0)
    small.wait_metric("selvedge_memory_bytes", 0)
    assert client.get("/a", {"Range": "bytes=10-19"}).body == body[10:20], "and one near the front is read from the stream"
    assert origin.count("/a") == 3


def test_two_parts_of_one_stream_do_not_wait_for_each_other(small, origin):
    gate, body = origin.gate(), noise(9 * MIB)

    def handler(_, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60"}, body)
    origin.on("/a", handler)
    client = small.h2(window=1 << 24)
    front = client.ask("/a", {"Range": "bytes=0-9"})
    whole = client.ask("/a")
    client.ping()
    gate.open()
    assert front.rest().body == body[:10] and whole.rest().body == body
