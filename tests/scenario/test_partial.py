"""What is too large to be stored whole is kept in pieces of 1 MiB, as ranges of it are asked for (RFC 9111 sections 3.3, 3.4)."""
import json
import re
import threading

import pytest
from test_multipart_ranges import parts

from harness.message import noise
from harness.node import SELVEDGECTL, run

MIB = 1 << 20


class Large:
    """At the origin: a version of a body, which is named by its ETag, and how the origin answers for it."""

    def __init__(self, origin, path="/a", length=20 * MIB + 77, **fields):
        self.origin, self.path = origin, path
        self.fields = {"Cache-Control": "max-age=60", "Accept-Ranges": "bytes", **fields}
        self.change('"one"', length)
        self.takes_ranges, self.gate, self.alter, self.answered = True, None, lambda request, answer: None, []
        origin.on(path, self.handle)

    def change(self, etag, length=20 * MIB + 77):
        self.versions = getattr(self, "versions", 0) + 1
        self.version = etag, noise(length, seed=self.versions)  # both at once: it answers several at a time

    @property
    def etag(self):
        return self.version[0]

    @property
    def body(self):
        return self.version[1]

    def handle(self, request, response):
        etag, whole = self.version
        fields = {**self.fields, "ETag": etag}
        asked = request.get("range") if self.takes_ranges else None
        if asked and request.get("if-range") in (None, etag):
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            body = whole[first:last + 1]
            answer = [206, {**fields, "Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(whole)}"}, body]
            if self.gate:
                self.gate.wait()
        elif request.get("if-none-match") == etag:
            answer = [304, fields, b""]
        else:
            answer = [200, fields, whole]
        self.alter(request, answer)
        self.answered.append(answer[0])
        response.send(*answer)

    def asked(self):
        """The ranges that were asked for; None for the whole."""
        return [request.get("range") for request in self.origin.asked(self.path)]

    def fetched(self):
        """The numbers of the pieces that were asked for, each as often as it was, in whatever rows."""
        numbers = []
        for asked in filter(None, self.asked()):
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            assert first % MIB == 0 and (last + 1) % MIB in (0, len(self.body) % MIB)
            numbers += range(first // MIB, last // MIB + 1)
        return sorted(numbers)


def pieces(*numbers, length=20 * MIB + 77):
    return [f"bytes={number * MIB}-{min((number + 1) * MIB, length) - 1}" for number in numbers]


def rows(*spans, length=20 * MIB + 77):
    """From the first of a span to before the last of it: several pieces by one request."""
    return [f"bytes={first * MIB}-{min(end * MIB, length) - 1}" for first, end in spans]


@pytest.fixture
def small(start_node, origin):
    return start_node(origin, max_object="1M", memory="2G")


@pytest.fixture
def large(origin):
    return Large(origin)


def get(node, large, first, end, client=None, **fields):
    answer = (client or node.h1()).request(large.path, {"Range": f"bytes={first}-{end - 1}", **fields})
    node.wait_metric("selvedge_fills", 0)
    assert (answer.status, answer.get("content-range")) == (206, f"bytes {first}-{end - 1}/{len(large.body)}")
    assert answer.get("content-length") == str(end - first) and answer.body == large.body[first:end]
    return answer


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_piece_is_fetched_once(small, origin, large, protocol):
    client = small.h1() if protocol == "h1" else small.h2()
    answer = get(small, large, 5 * MIB + 10, 5 * MIB + 5000, client)
    assert answer.cache == {"fwd": "miss", "fwd-status": 200, "stored": True}
    assert answer.get("etag") == '"one"' and answer.age == 0
    assert large.asked() == [None] + pieces(5), "first the whole, which turned out to be too large"
    assert origin.asked("/a")[1].get("if-range") == '"one"'
    for first, end in [(5 * MIB, 6 * MIB), (5 * MIB + 10, 5 * MIB + 11), (6 * MIB - 1, 6 * MIB)]:
        answer = get(small, large, first, end, client)
        assert answer.cache["hit"] and answer.age is not None and answer.get("accept-ranges") == "bytes"
    assert large.asked() == [None] + pieces(5)
    small.saw(miss=1, hit=3)
    small.wait_metric("selvedge_objects", 2)


def test_what_is_beyond_the_pieces_is_fetched_and_joined_to_them(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    answer = get(small, large, 4 * MIB + 5, 7 * MIB + 5)
    assert answer.cache["fwd"] == "partial"
    assert sorted(large.asked()[2:]) == sorted(pieces(4) + rows((6, 8))), "all but the one that is here, in rows"
    assert get(small, large, 4 * MIB, 8 * MIB).cache["hit"]
    assert len(large.asked()) == 4


@pytest.mark.parametrize("asked, first, end", [("bytes=-100", 20 * MIB - 23, 20 * MIB + 77),
                                               (f"bytes={20 * MIB}-", 20 * MIB, 20 * MIB + 77),
                                               (f"bytes={19 * MIB}-99999999999", 19 * MIB, 20 * MIB + 77)])
def test_the_last_piece_is_as_long_as_it_is(small, large, asked, first, end):
    for hit in (False, True):
        answer = small.request("/a", {"Range": asked})
        small.wait_metric("selvedge_fills", 0)
        assert (answer.status, answer.get("content-range")) == (206, f"bytes {first}-{end - 1}/{20 * MIB + 77}")
        assert answer.body == large.body[first:end] and bool(answer.cache.get("hit")) == hit


def test_several_parts_come_from_pieces(small, large):
    asked = [(5 * MIB - 10, 5 * MIB + 10), (20 * MIB, 20 * MIB + 77), (100, 200), (3 * MIB, 5 * MIB - 100)]
    value = "bytes=" + ",".join(f"{first}-{end - 1}" for first, end in asked)
    for _ in range(2):
        ranges, bodies = parts(small.request("/a", {"Range": value}), len(large.body), None)
        assert ranges == asked and bodies == [large.body[first:end] for first, end in asked]
    assert large.fetched() == [0, 3, 4, 5, 20]


def test_of_a_sparse_response_conditions_and_416_are_answered(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    client, far = small.h1(), f"bytes={5 * MIB}-{5 * MIB + 9}"
    assert client.request("/a", {"Range": far, "If-None-Match": '"one"'}).status == 304
    assert client.request("/a", {"Range": far, "If-Match": '"two"'}).status == 412
    answer = client.request("/a", {"Range": f"bytes={21 * MIB}-"})
    assert (answer.status, answer.get("content-range")) == (416, f"bytes */{len(large.body)}")
    assert get(small, large, 5 * MIB, 5 * MIB + 10, **{"If-Range": '"one"'}).cache["hit"]
    assert large.asked() == [None] + pieces(5)


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("fields", [{}, {"Range": "bytes=0-9", "If-Range": '"other"'}, {"If-None-Match": '"other"'},
                                    {"Range": "lines=0-9"}], ids=repr)
def test_who_asks_for_the_whole_gets_it_from_pieces(small, large, protocol, fields):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    client = small.h1() if protocol == "h1" else small.h2(window=1 << 24)
    answer = client.request("/a", fields)
    assert (answer.status, answer.get("content-length"), answer.get("etag")) == (200, str(len(large.body)), '"one"')
    assert answer.body == large.body and answer.cache == {"fwd": "partial", "fwd-status": 206, "stored": True}
    assert large.fetched() == [*range(21)], "and what was here is not fetched again"
    assert len(large.asked()) < 18, "several of them by one request"
    answer = client.request("/a", fields)
    assert answer.body == large.body and answer.cache["hit"] and large.fetched() == [*range(21)]


def test_a_head_of_what_is_kept_in_pieces_fetches_nothing(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    for fields, status in ({}, 200), ({"If-None-Match": '"one"'}, 304), ({"Range": "bytes=0-9"}, 200):
        answer = small.h1().request("/a", fields, method="HEAD")
        assert answer.status == status and answer.cache["hit"] and answer.body == b""
        assert status == 304 or answer.get("content-length") == str(len(large.body))
    assert large.asked() == [None] + pieces(5)


def test_a_client_that_stops_has_no_more_than_two_pieces_fetched(small, large):
    """Who asks for the whole and takes nothing: what is fetched for it stays bounded, and holds no connection."""
    get(small, large, 5 * MIB, 5 * MIB + 10)
    slow = small.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    small.wait_metric("selvedge_fills", 0)
    assert large.fetched() == [0, 1, 5]
    slow.client.abort()


def test_many_who_ask_for_a_piece_wait_for_one_fill(small, origin, large):
    get(small, large, 0, 10)  # from the stream; now it is known
    large.gate = origin.gate("piece")
    client = small.h2(window=1 << 24)
    asking = [client.ask("/a", {"Range": f"bytes={9 * MIB + at}-{9 * MIB + at + 99}"}) for at in range(0, 1000, 100)]
    client.ping()
    large.gate.open()
    answers = [stream.rest() for stream in asking]
    assert [answer.body for answer in answers] == [large.body[9 * MIB + at:9 * MIB + at + 100] for at in range(0, 1000, 100)]
    assert large.asked()[1:] == pieces(9) and sum(bool(answer.cache.get("collapsed")) for answer in answers) == 9


def test_a_new_version_at_the_origin_ends_the_old_one(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    old = large.body
    large.change('"two"')
    answer = small.h1().request("/a", {"Range": f"bytes={5 * MIB}-{5 * MIB + 9}"})
    assert answer.body == old[5 * MIB:5 * MIB + 10] and answer.cache["hit"], "it is fresh"
    get(small, large, 8 * MIB, 8 * MIB + 10)  # not here: the origin has another version, of which all is
    assert get(small, large, 5 * MIB, 5 * MIB + 10).get("etag") == '"two"', "nothing of the old one is left"
    assert not get(small, large, 5 * MIB, 5 * MIB + 10).body == old[5 * MIB:5 * MIB + 10]


def test_never_bytes_of_two_versions_in_one_answer(small, origin, large):
    """It changes while an answer is under way: that is cut off."""
    get(small, large, 5 * MIB, 6 * MIB)
    get(small, large, 6 * MIB, 6 * MIB + 10)
    large.change('"two"')
    stream = small.h2(window=1 << 24).ask("/a", {"Range": f"bytes={5 * MIB}-{12 * MIB}"})
    with pytest.raises(Exception, match="RST_STREAM"):
        stream.rest()
    assert get(small, large, 5 * MIB, 12 * MIB).get("etag") == '"two"'


@pytest.mark.parametrize("change", [
    {"ETag": '"two"'}, {"ETag": 'W/"one"'}, {"Content-Range": f"bytes {9 * MIB}-{10 * MIB - 1}/{20 * MIB + 78}"},
    {"Content-Range": f"bytes {9 * MIB + 1}-{10 * MIB}/{20 * MIB + 77}"}, {"Content-Range": "bytes x"},
    {"Cache-Control": "no-store"}, {"Vary": "Accept-Language"},
], ids=repr)
def test_a_piece_that_is_not_what_was_asked_for_is_not_taken(small, large, change):
    get(small, large, 0, 10)

    def alter(request, answer):
        if request.get("range") == pieces(9)[0]:
            answer[1] |= change
    large.alter = alter
    answer = small.h1().request("/a", {"Range": f"bytes={9 * MIB}-{9 * MIB + 9}"})
    assert answer.status == 206 and answer.body == large.body[9 * MIB:9 * MIB + 10] and "stored" not in answer.cache
    assert not answer.cache.get("hit")


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_origin_in_trouble_ends_no_version(small, large, status):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    large.alter = lambda request, answer: answer.__setitem__(slice(None), [status, {}, b"no"])
    answer = small.h1().request("/a", {"Range": f"bytes={9 * MIB}-{9 * MIB + 9}"})
    assert answer.status == 502 and answer.cache == {"fwd": "partial", "detail": "piece_refused"}
    assert get(small, large, 5 * MIB, 5 * MIB + 10).cache["hit"]


def test_an_origin_that_takes_no_ranges_after_all(small, large):
    large.takes_ranges = False
    answer = small.h1().request("/a", {"Range": f"bytes={5 * MIB}-{5 * MIB + 9}"})
    assert answer.status == 206 and answer.body == large.body[5 * MIB:5 * MIB + 10]
    assert large.asked() == [None] + pieces(5) + [None, f"bytes={5 * MIB}-{5 * MIB + 9}"], "no more than these"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_all_of_what_turns_out_to_take_no_ranges(small, large, protocol):
    """Found out in the middle of the answer, which goes on all the same. After that it is known."""
    large.takes_ranges = False
    client = small.h1() if protocol == "h1" else small.h2(window=1 << 24)
    assert client.request("/a").body == large.body
    small.wait_metric("selvedge_fills", 0)
    before = large.asked()
    assert before.count(None) == 2 and set(large.fetched()) <= {*range(1, 11)} and len(before) <= 5
    assert client.request("/a").body == large.body
    assert large.asked() == before + [None], "not tried again"
    large.change('"two"')
    large.takes_ranges = True
    assert client.request("/a").body == large.body and client.request("/a").cache["hit"], "another version is"


def test_in_the_middle_another_version_is_no_rest(small, large):
    """It takes no ranges, and by the time all of it is asked for it has changed."""
    large.takes_ranges = False

    once = threading.Lock()  # a piece may have been asked for ahead, too

    def alter(request, answer):
        with once:
            if request.get("range") and large.etag == '"one"':
                large.change('"two"')
    large.alter = alter
    stream = small.h2(window=1 << 24).ask("/a")
    with pytest.raises(Exception, match="RST_STREAM"):
        stream.rest()
    large.alter = lambda request, answer: None
    assert small.h1().request("/a").body == large.body


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_the_first_who_asks_for_all_of_it_has_it_fetched_in_pieces(small, large, protocol):
    """The answer to the first request is the first piece; it is ended there."""
    client = small.h1() if protocol == "h1" else small.h2(window=1 << 24)
    answer = client.request("/a")
    assert answer.body == large.body and answer.cache == {"fwd": "miss", "stored": True}
    assert large.asked().count(None) == 1 and large.fetched() == [*range(1, 21)]
    assert client.request("/a").cache["hit"] and large.fetched() == [*range(1, 21)]
    small.saw(miss=1, hit=1)


def test_who_stops_holds_nothing_of_the_first_answer(small, origin, large):
    slow = small.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    small.wait_metric("selvedge_fills", 0)
    assert large.asked() == [None] + pieces(1)
    quick = small.h1().request("/a")
    assert quick.body == large.body and quick.cache["hit"] and large.fetched() == [*range(1, 21)]
    slow.resume()
    assert slow.rest().body == large.body and large.fetched() == [*range(1, 21)], "nothing is fetched twice"


def test_all_who_wait_for_the_first_answer_share_its_pieces(small, origin, large):
    large.gate = origin.gate("first")
    held = large.handle

    def handle(request, response):
        if request.get("range") is None:
            large.gate.wait()
        held(request, response)
    origin.on("/a", handle)
    client = small.h2(window=1 << 24)
    asking = [client.ask("/a") for _ in range(3)] + [client.ask("/a", {"Range": f"bytes={9 * MIB}-{9 * MIB + 9}"})]
    client.ping()
    large.gate.open()
    answers = [stream.rest() for stream in asking]
    assert [answer.body == large.body for answer in answers[:3]] == [True] * 3
    assert answers[3].body == large.body[9 * MIB:9 * MIB + 10]
    small.wait_metric("selvedge_fills", 0)
    assert large.fetched() == [*range(1, 21)]


@pytest.mark.parametrize("fields", [{"Accept-Ranges": "none"}, {"ETag": 'W/"one"'}, {"Vary": "Accept-Language"},
                                    {"Cache-Control": "no-store"}, {"Cache-Control": "no-cache"}], ids=repr)
def test_what_cannot_be_kept_in_pieces_is_not(small, origin, fields):
    large = Large(origin)
    large.alter = lambda request, answer: answer[1].update(fields)
    for _ in range(2):
        answer = small.h1().request("/a", {"Range": f"bytes={5 * MIB}-{5 * MIB + 9}"})
        assert answer.body == large.body[5 * MIB:5 * MIB + 10] and not answer.cache.get("hit")
    assert pieces(5)[0] not in large.asked()
    small.wait_metric("selvedge_objects", 0)


def test_without_room_for_a_piece_there_are_none(start_node, origin, large):
    node = start_node(origin, max_object="1023K")
    get(node, large, 5 * MIB, 5 * MIB + 10)
    assert large.asked() == [None, f"bytes={5 * MIB}-{5 * MIB + 9}"]


def test_a_hard_purge_takes_the_pieces_too(small, large):
    """The ETag stays the same, the bytes do not: only a purge can tell."""
    get(small, large, 5 * MIB, 5 * MIB + 10)
    large.change('"one"')
    small.purge(urls=[small.url("/a")])
    get(small, large, 5 * MIB, 5 * MIB + 10)
    small.wait_metric("selvedge_objects", 2)
    small.purge(urls=[small.url("/a")])
    small.wait_metric("selvedge_objects", 0)


def test_after_a_soft_purge_the_origin_is_asked_and_the_pieces_stay(small, origin, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    small.purge(urls=[small.url("/a")], soft=True)
    answer = get(small, large, 5 * MIB, 5 * MIB + 10)
    assert large.answered[-1] == 304 and answer.cache["fwd"] == "stale" and origin.asked("/a")[-1].get("if-none-match") == '"one"'
    assert get(small, large, 5 * MIB, 5 * MIB + 10).cache["hit"]
    assert large.asked() == [None] + pieces(5) + [None]
    small.saw(miss=1, revalidated=1, hit=1)


def test_an_unsafe_method_invalidates_what_is_kept_in_pieces(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    large.change('"two"')
    large.alter = lambda request, answer: request.method == "POST" and answer.__setitem__(slice(None), [200, {}, b"done"])
    assert small.h1().request("/a", method="POST").body == b"done"
    assert get(small, large, 5 * MIB, 5 * MIB + 10).get("etag") == '"two"'


def test_a_stale_one_is_confirmed_by_its_next_piece(start_node, origin):
    large = Large(origin, **{"X-Version": "1"})
    node = start_node(origin, max_object="1M")
    get(node, large, 5 * MIB, 5 * MIB + 10)
    large.fields["X-Version"] = "2"
    get(node, large, 6 * MIB, 6 * MIB + 10)
    assert get(node, large, 5 * MIB, 5 * MIB + 10).get("x-version") == "2", "a 206 brings the head up to date"


def test_what_may_be_stored_whole_in_the_meantime_answers_instead(small, large):
    get(small, large, 5 * MIB, 5 * MIB + 10)
    large.change('"two"', MIB)
    assert small.get("/a").body == large.body
    answer = get(small, large, 10, 20)
    assert answer.cache["hit"] and answer.get("etag") == '"two"'


def test_a_client_that_leaves_leaves_a_piece_behind(small, origin, large):
    get(small, large, 0, 10)
    large.gate = origin.gate("piece")
    client = small.h2()
    stream = client.ask("/a", {"Range": f"bytes={5 * MIB}-{5 * MIB + 9}"})
    client.ping()
    origin.wait_for("/a", 2)
    stream.cancel()
    client.ping()
    large.gate.open()
    small.wait_metric("selvedge_objects", 3)
    assert get(small, large, 5 * MIB, 6 * MIB).cache["hit"] and large.asked() == [None] + pieces(5)


def test_who_waits_for_what_was_to_come_behind_another_is_served(small, origin, large):
    """Who asked for all of a row leaves: what was waited for farther on is asked for by itself."""
    get(small, large, 0, 10)
    large.gate = origin.gate("row")
    client = small.h2(window=1 << 24)
    stream = client.ask("/a", {"Range": f"bytes={5 * MIB}-{9 * MIB - 1}"})
    origin.wait_for("/a", 2)
    waiting = client.ask("/a", {"Range": f"bytes={8 * MIB}-{8 * MIB + 9}"})
    client.ping()
    stream.cancel()
    client.ping()
    large.gate.open()
    assert waiting.rest().body == large.body[8 * MIB:8 * MIB + 10]
    assert large.asked()[1:] in (rows((5, 9)) + pieces(8), rows((5, 9))), "the latter if it had come by then"
    small.wait_metric("selvedge_fills", 0)
    assert get(small, large, 5 * MIB, 6 * MIB).cache["hit"], "what had begun was finished"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_long_part_through_many_pieces(start_node, origin, protocol):
    large = Large(origin)
    node = start_node(origin, max_object="1M", memory="16M")
    client = node.h1() if protocol == "h1" else node.h2(window=1 << 24)
    get(node, large, 2 * MIB + 1, 20 * MIB + 70, client)
    assert large.fetched() == [*range(2, 21)]
    assert all(asked in pieces(*range(2, 21)) for asked in large.asked()[1:]), "each alone: more would fill such a memory"
    assert node.metric("selvedge_memory_bytes") <= 16 * MIB
    assert get(node, large, 20 * MIB, 20 * MIB + 10).cache["hit"], "the latest are still here"


def test_trace_tells_of_pieces(small, origin, large):
    env = {"SELVEDGE_ADMIN": small.admin_url, "SELVEDGE_TOKEN": small.token}

    def trace():
        done = run("--json", "trace", small.url("/a"), binary=SELVEDGECTL, **env)
        return json.loads(done.stdout)
    assert trace()["pieces"] is None
    get(small, large, 5 * MIB + 10, 6 * MIB + 1)
    said = trace()
    assert said["stored"] is None and said["treatment"] == "hit" and "in pieces" in said["why"]
    assert 50 <= said["pieces"].pop("fresh_for_s") <= 60
    assert said["pieces"] == {"length": len(large.body), "of": 21, "stored": 2, "purged": "no"}
    asked = len(large.asked())
    small.purge(urls=[small.url("/a")], soft=True)
    said = trace()
    assert said["pieces"] == {"length": len(large.body), "of": 21, "stored": 2, "purged": "soft", "fresh_for_s": said["pieces"]["fresh_for_s"]}
    assert said["pieces"]["fresh_for_s"] <= 0
    assert said["treatment"] == "revalidate" and "in pieces" in said["why"]
    text = run("trace", small.url("/a"), binary=SELVEDGECTL, **env).stdout
    assert re.search(rf"pieces     2 of 21, of {len(large.body)} bytes in all, fresh for (0|-\d+) s, purged: soft\n", text)
    assert len(large.asked()) == asked, "nothing is fetched for it"


def test_pieces_that_memory_let_go_of_come_from_disk(start_node, origin, tmp_path):
    length, numbers = 40 * MIB + 77, range(1, 40)
    large = Large(origin, length=length)
    node = start_node(origin, max_object="1M", memory="16M", disk=f"{tmp_path}/disk:128M")
    for number in numbers:
        get(node, large, number * MIB, number * MIB + 10)
        node.wait_metric("selvedge_disk_records", lambda count, least=number: count >= least)
    fetched = large.asked()
    assert sorted(fetched[1:]) == sorted(pieces(*numbers, length=length))
    for number in numbers:
        assert get(node, large, number * MIB, number * MIB + 10).cache["hit"]
    assert large.asked() == fetched and node.metric("selvedge_memory_bytes") <= 16 * MIB
