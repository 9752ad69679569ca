"""Several ranges in one request are answered by their parts (multipart/byteranges, RFC 9110 section 14.6)."""
import email
import itertools
import re

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


def parts(answer, length, content_type="text/css"):
    """[(first, end)] and [bytes], read by the boundary and, once more, by somebody else's parser."""
    assert answer.status == 206 and "content-range" not in answer.fields
    assert answer.get("content-length") == str(len(answer.body))
    kind, boundary = re.fullmatch(r"(multipart/byteranges); boundary=(\w+)", answer.get("content-type")).groups()
    assert answer.body.endswith(f"\r\n--{boundary}--\r\n".encode())
    ranges, bodies = [], []
    rest = b"\r\n" + answer.body[:-len(boundary) - 8]
    for piece in rest.split(f"\r\n--{boundary}\r\n".encode())[1:]:
        head, body = piece.split(b"\r\n\r\n", 1)
        fields = email.message_from_bytes(head + b"\r\n\r\n")
        first, last, whole = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", fields["Content-Range"]).groups())
        assert (whole, len(body)) == (length, last + 1 - first) and fields["Content-Type"] == content_type
        ranges.append((first, last + 1))
        bodies.append(body)
    whole = email.message_from_bytes(f"Content-Type: {answer.get('content-type')}\r\n\r\n".encode() + answer.body)
    assert whole.is_multipart() and len(whole.get_payload()) == len(ranges) and kind
    return ranges, bodies


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("value, wanted", [
    ("bytes=0-0,-1", [(0, 1), (999, 1000)]),
    ("bytes= 0-9, 500-599 , -10", [(0, 10), (500, 600), (990, 1000)]),
    ("bytes=900-,0-9", [(900, 1000), (0, 10)]),
    ("bytes=0-9,500-509,5-19", [(0, 20), (500, 510)]),
    ("bytes=0-9,1000-,20-29", [(0, 10), (20, 30)]),
    ("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 32, 2)), [(at, at + 1) for at in range(0, 32, 2)]),
])
def test_several_ranges_of_a_stored_response(node, origin, stored, protocol, value, wanted):
    client = node.h1() if protocol == "h1" else node.h2()
    answer = client.get("/a", {"Range": value})
    ranges, bodies = parts(answer, 1000)
    assert ranges == wanted and bodies == [BODY[first:end] for first, end in wanted]
    assert answer.get("etag") == '"one"' and answer.get("last-modified") == MODIFIED and answer.get("x-own") == "kept"
    assert answer.get("cache-control") == "max-age=60" and answer.get("accept-ranges") == "bytes"
    assert answer.fields.all("date") and answer.age is not None and answer.cache["hit"]
    assert "content-md5" not in answer.fields and len(answer.fields.all("content-type")) == 1
    assert client.get("/a").body == BODY, "the connection goes on"
    assert origin.count("/a") == 1
    node.saw(miss=1, hit=2)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("says, sent", [
    ({"response_fields": {"set": {"Content-Type": "text/plain"}}}, "text/plain"), ({"response_fields": {"remove": ["Content-Type"]}}, None),
    ({"response_fields": {"add": {"X-A": "b"}}}, "text/css"),
], ids=["set", "removed", "left"])
def test_parts_have_the_type_that_the_site_says(start_site, origin, protocol, says, sent):
    origin.serve("/a", BODY, cache_control="max-age=60", etag='"one"', content_type="text/css")
    node = start_site(**says)
    client = getattr(node, protocol)()
    assert client.get("/a").get("content-type") == client.get("/a", {"Range": "bytes=0-1"}).get("content-type") == sent
    ranges, bodies = parts(client.get("/a", {"Range": "bytes=0-1,500-509"}), 1000, sent)
    assert ranges == [(0, 2), (500, 510)] and bodies == [BODY[:2], BODY[500:510]]
    assert origin.count("/a") == 1


@pytest.mark.parametrize("value, first, end", [
    ("bytes=0-1,2-5", 0, 6), ("bytes=10-19,0-15", 0, 20), ("bytes=5-9,1000-", 5, 10), ("bytes=0-0,0-0,0-0", 0, 1),
    ("bytes=" + ",".join(["0-"] * 200), 0, 1000),
], ids=range(5))
def test_several_that_are_one_are_a_plain_206(client, stored, value, first, end):
    answer = client.get("/a", {"Range": value})
    assert (answer.status, answer.get("content-range")) == (206, f"bytes {first}-{end - 1}/1000")
    assert answer.body == BODY[first:end] and answer.get("content-type") == "text/css"


@pytest.mark.parametrize("value", ["bytes=0-1,5-4", "bytes=0-1,x", "items=0-1,3-4", "bytes=,",
                                   "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 34, 2))], ids=range(5))
def test_what_is_malformed_or_too_much_gets_the_whole(client, stored, value):
    answer = client.get("/a", {"Range": value})
    assert (answer.status, answer.body) == (200, BODY) and "content-range" not in answer.fields


def test_none_of_them_is_there(client, stored):
    answer = client.get("/a", {"Range": "bytes=1000-,-0,2000-3000"})
    assert (answer.status, answer.get("content-range")) == (416, "bytes */1000")


@pytest.mark.parametrize("fields, status", [
    ({"If-None-Match": '"one"'}, 304), ({"If-Match": '"two"'}, 412), ({"If-Range": '"one"'}, 206), ({"If-Range": '"two"'}, 200),
    ({"If-Range": MODIFIED}, 206), ({"If-Range": "Tue, 06 Jan 2026 10:00:00 GMT"}, 200),
], ids=repr)
def test_conditions_go_first(client, stored, fields, status):
    answer = client.get("/a", {"Range": "bytes=0-9,20-29", **fields})
    assert answer.status == status
    if status == 206:
        assert parts(answer, 1000)[1] == [BODY[:10], BODY[20:30]]


def test_head_has_no_parts(client, stored):
    answer = client.request("/a", {"Range": "bytes=0-0,2-2"}, method="HEAD")
    assert (answer.status, answer.get("content-length"), answer.get("content-type")) == (200, "1000", "text/css")


def test_the_boundary_is_new_each_time_and_in_no_part(client, origin):
    """Whoever makes the body cannot know it: not from an answer of before either."""
    origin.serve("/a", BODY, cache_control="max-age=60")
    client.get("/a")
    seen = [client.get("/a", {"Range": "bytes=0-0,2-2"}).get("content-type") for _ in range(20)]
    assert len(set(seen)) == 20 and all(re.fullmatch(r"multipart/byteranges; boundary=[0-9a-f]{32}", kind) for kind in seen)


def test_a_part_has_no_type_where_the_whole_has_none(client, origin):
    origin.serve("/a", BODY, cache_control="max-age=60")
    client.get("/a")
    assert parts(client.get("/a", {"Range": "bytes=1-2,4-5"}), 1000, None)[1] == [BODY[1:3], BODY[4:6]]


def test_of_what_is_coded_no_parts(client, origin):
    """Only identity has ranges: of a coding they would be other bytes than who asks for them knows of."""
    origin.serve("/a", BODY, cache_control="max-age=60", content_encoding="x-own")
    client.get("/a")
    for asked in "bytes=0-1,4-5", "bytes=0-1", "bytes=-1", f"bytes={len(BODY)}-":
        answer = client.get("/a", {"Range": asked})
        assert (answer.status, answer.body, answer.get("content-encoding")) == (200, BODY, "x-own"), asked


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_parts_in_many_blocks_in_any_order(node, origin, protocol):
    body = noise(3 * MIB + 11)
    origin.serve("/a", body, cache_control="max-age=60")
    client = node.h1() if protocol == "h1" else node.h2(window=1 << 24)
    assert client.get("/a").body == body
    asked = [(MIB // 2 - 1, MIB // 2 + 1), (MIB, 2 * MIB), (3 * MIB, 3 * MIB + 11), (100, MIB // 4)]
    for order in itertools.islice(itertools.permutations(asked), 0, None, 5):
        answer = client.get("/a", {"Range": "bytes=" + ",".join(f"{first}-{end - 1}" for first, end in order)})
        ranges, bodies = parts(answer, len(body), None)
        assert ranges == list(order) and bodies == [body[first:end] for first, end in order]


def test_a_miss_fetches_the_whole_and_stores_it(client, node, origin):
    origin.serve("/a", BODY, cache_control="max-age=60")
    answer = client.get("/a", {"Range": "bytes=0-9,990-"})
    assert parts(answer, 1000, None)[1] == [BODY[:10], BODY[990:]] and answer.cache == {"fwd": "miss", "fwd-status": 200, "stored": True}
    assert "range" not in origin.asked("/a")[0].fields
    assert client.get("/a").cache["hit"] and origin.count("/a") == 1
    node.saw(miss=1, hit=1)


def test_of_what_grows_each_part_is_sent_as_it_comes(node, origin):
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
    several = client.ask("/a", {"Range": "bytes=90000-109999,0-9,199990-"})
    several.at_least(10_000)
    rest.open()
    ranges, bodies = parts(several.rest(), len(body), None)
    assert ranges == [(90_000, 110_000), (0, 10), (199_990, 200_000)]
    assert bodies == [body[90_000:110_000], body[:10], body[199_990:]]
    assert whole.rest().body == body and origin.count("/a") == 1


def test_parts_that_break_off_are_an_error(node, origin):
    rest = origin.gate("rest")

    def handler(_, response):
        response.head(200, {"Content-Length": 1000, "Cache-Control": "max-age=60"})
        response.raw(BODY[:500])
        rest.wait()
        response.reset()
    origin.on("/a", handler)
    stream = node.h2().ask("/a", {"Range": "bytes=0-99,900-"})
    stream.at_least(100)
    rest.open()
    with pytest.raises(Exception, match="RST_STREAM"):
        stream.rest()


# ---- not stored: it streams through a window, in which there is no way back

@pytest.mark.parametrize("takes_ranges", [True, False], ids=["the origin takes ranges", "the origin ignores ranges"])
def test_parts_of_what_is_too_large_are_the_origins_to_answer(start_node, origin, takes_ranges):
    small, body = start_node(origin, max_object="1M"), noise(6 * MIB)
    theirs = b"\r\n--x\r\nContent-Range: bytes 0-0/6291456\r\n\r\n.\r\n--x--\r\n"

    def handler(request, response):
        if takes_ranges and request.get("range"):
            return response.send(206, {"Content-Type": "multipart/byteranges; boundary=x"}, theirs)
        return response.send(200, {"Cache-Control": "max-age=60"}, body)
    origin.on("/a", handler)
    answer = small.get("/a", {"Range": "bytes=5000000-5000009,0-0"})
    assert (answer.status, answer.body) == ((206, theirs) if takes_ranges else (200, body))
    assert [request.get("range") for request in origin.asked("/a")] == [None, "bytes=5000000-5000009,0-0"]
    small.wait_metric("selvedge_memory_bytes", 0)


def test_parts_of_what_is_small_and_not_stored(node, origin):
    """While it still comes, the whole is sent; once it is there, its parts."""
    rest = origin.gate("rest")

    def handler(_, response):
        response.head(200, {"Content-Length": 1000, "Cache-Control": "no-store"})
        response.raw(BODY[:500])
        rest.wait()
        response.raw(BODY[500:])
    origin.on("/a", handler)
    stream = node.h2().ask("/a", {"Range": "bytes=900-909,0-9"})
    stream.at_least(500)
    rest.open()
    answer = stream.rest()
    assert (answer.status, answer.body) == (200, BODY) and origin.count("/a") == 1
