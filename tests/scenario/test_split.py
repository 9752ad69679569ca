"""What is too large for memory and cannot be asked for in parts is kept on disk as it comes: one transfer for all, each reader at
its own pace."""
import pytest

from harness.message import BodyCutShort, noise

MIB = 1 << 20
LENGTH = 30 * MIB + 77
FIELDS = {"Cache-Control": "max-age=600"}


class Body:
    """At the origin: a large body without ranges. After so many bytes of it the gate is waited for."""

    def __init__(self, origin, path="/a", length=LENGTH, gate=None, gate_at=0, **fields):
        self.origin, self.path, self.body = origin, path, noise(length, seed=path)
        self.fields, self.gate, self.gate_at = {**FIELDS, **fields}, gate, gate_at
        self.sent, self.cut_at = 0, None
        origin.on(path, self.handle)

    def handle(self, request, response):
        if "ETag" in self.fields and request.get("if-none-match") == self.fields["ETag"]:
            response.send(304, self.fields)
            return
        response.head(200, {**self.fields, "Content-Length": len(self.body)})
        for at in range(0, len(self.body), MIB // 2):
            if self.gate and at >= self.gate_at:
                self.gate.wait()
            if self.cut_at is not None and at >= self.cut_at:
                response.reset()
                return
            response.raw(self.body[at:at + MIB // 2])
            self.sent = at + MIB // 2

    def count(self):
        return self.origin.count(self.path)


@pytest.fixture
def disk(tmp_path):
    return {"disk": f"{tmp_path}/disk:256M", "memory": "32M", "max_object": "2M"}


@pytest.mark.parametrize("fields", [{}, {"ETag": '"one"'}, {"ETag": 'W/"one"', "Accept-Ranges": "bytes"}, {"Accept-Ranges": "none"}], ids=repr)
def test_it_is_kept_on_disk_as_it_comes(start_node, origin, disk, fields):
    body = Body(origin, **fields)
    node = start_node(origin, **disk)
    first = node.h2(window=1 << 24).request("/a")
    assert first.body == body.body and first.cache == {"fwd": "miss", "stored": True}
    again = node.h1().request("/a")
    assert again.body == body.body and again.cache["hit"]
    part = node.get("/a", {"Range": f"bytes={7 * MIB - 3}-{7 * MIB + 3}"})
    assert (part.status, part.body) == (206, body.body[7 * MIB - 3:7 * MIB + 4]) and part.cache["hit"]
    assert body.count() == 1
    assert node.metric("selvedge_memory_bytes") <= 32 * MIB


def test_it_is_there_after_a_restart(start_node, origin, disk):
    body = Body(origin)
    node = start_node(origin, state_dir=None, **disk)
    assert node.get("/a").body == body.body
    node.wait_metric("selvedge_disk_records", 32)  # 31 pieces, and the head
    node.stop()
    node = start_node(origin, state_dir=None, **disk)
    node.wait_metric("selvedge_disk_records", 32)
    answer = node.get("/a")
    assert answer.body == body.body and answer.cache["hit"] and body.count() == 1


def test_who_is_slow_holds_up_nobody_and_is_not_cut_off(start_node, origin, disk):
    body = Body(origin)
    node = start_node(origin, **disk)
    slow = node.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    quick = node.h1().request("/a")
    assert quick.body == body.body
    node.wait_metric("selvedge_fills", 0)
    assert body.sent == LENGTH // (MIB // 2) * (MIB // 2) + MIB // 2, "all of it came, though one takes nothing"
    assert node.metric("selvedge_memory_bytes") <= 32 * MIB
    slow.resume()
    assert slow.rest().body == body.body and body.count() == 1
    assert node.metric("selvedge_readers_cut_off_total") == 0


def test_who_comes_in_the_middle_reads_from_the_beginning(start_node, origin, disk):
    """And who wants a part: what has come at once, what has not when it comes."""
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=20 * MIB, **{"Accept-Ranges": "none"})
    node = start_node(origin, **disk)
    first = node.h2(window=1 << 24)
    stream = first.ask("/a")
    stream.at_least(19 * MIB)
    late = node.h2(window=1 << 24)
    behind = late.ask("/a")
    behind.at_least(19 * MIB)
    part = node.get("/a", {"Range": f"bytes={3 * MIB}-{3 * MIB + 99}"})
    assert part.body == body.body[3 * MIB:3 * MIB + 100] and part.cache["hit"]
    far = late.ask("/a", {"Range": f"bytes={29 * MIB}-{29 * MIB + 99}"})
    late.ping()
    gate.open()
    assert far.rest().body == body.body[29 * MIB:29 * MIB + 100]
    assert stream.rest().body == body.body and behind.rest().body == body.body
    assert body.count() == 1


def test_a_part_far_away_is_asked_for_where_nothing_says_that_it_cannot_be(start_node, origin, disk):
    """Its origin may take ranges, though what it says of the version is too little to keep parts of it."""
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=5 * MIB, ETag='W/"one"')
    whole = body.handle

    def handle(request, response):
        if request.get("range"):
            first, last = map(int, request.get("range").removeprefix("bytes=").split("-"))
            response.send(206, {**body.fields, "Content-Range": f"bytes {first}-{last}/{LENGTH}"}, body.body[first:last + 1])
        else:
            whole(request, response)
    origin.on("/a", handle)
    node = start_node(origin, **disk)
    client = node.h2(window=1 << 24)
    stream = client.ask("/a")
    stream.at_least(4 * MIB)
    far = node.get("/a", {"Range": f"bytes={25 * MIB}-{25 * MIB + 99}"})
    assert (far.status, far.body) == (206, body.body[25 * MIB:25 * MIB + 100])
    gate.open()
    assert stream.rest().body == body.body


def test_it_ends_when_nobody_reads_it(start_node, origin, disk):
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=5 * MIB)
    node = start_node(origin, **disk)
    client = node.h2(window=1 << 24)
    stream = client.ask("/a")
    stream.at_least(4 * MIB)
    stream.cancel()
    client.ping()
    gate.open()
    node.wait_metric("selvedge_fills", 0)
    assert body.sent < 20 * MIB
    answer = node.get("/a")
    assert answer.body == body.body and not answer.cache.get("hit") and body.count() == 2, "asked for anew"


def test_who_reads_from_disk_keeps_it_going(start_node, origin, disk):
    """Who is far behind wants what has yet to come."""
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=10 * MIB)
    node = start_node(origin, **disk)
    slow = node.h2(window=65_535).ask("/a")
    slow.paused = True
    slow.at_least(65_535)
    quick = node.h2(window=1 << 24)
    stream = quick.ask("/a")
    stream.at_least(9 * MIB)
    stream.cancel()
    quick.ping()
    gate.open()
    node.wait_metric("selvedge_fills", 0, seconds=60)
    slow.resume()
    assert slow.rest().body == body.body and body.count() == 1


def test_an_origin_that_breaks_off_cuts_its_readers_off_and_is_asked_anew(start_node, origin, disk):
    body = Body(origin)
    body.cut_at = 12 * MIB
    node = start_node(origin, **disk)
    with pytest.raises(BodyCutShort) as cut:
        node.h2(window=1 << 24).request("/a")
    assert body.body.startswith(cut.value.answer.body) and len(cut.value.answer.body) < LENGTH
    body.cut_at = None
    assert node.get("/a").body == body.body
    answer = node.get("/a")
    assert answer.body == body.body and answer.cache["hit"] and body.count() == 2


def test_a_purge_while_it_comes(start_node, origin, disk):
    """Who asks later gets what the origin has by then; who was there before goes on with what it began."""
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=10 * MIB)
    node = start_node(origin, **disk)
    client = node.h2(window=1 << 24)
    stream = client.ask("/a")
    stream.at_least(9 * MIB)
    node.purge(urls=[node.url("/a")])
    old, body.body, body.gate = body.body, noise(LENGTH, seed="new"), None
    assert node.h1().request("/a").body == body.body
    new = body.body
    body.body = old
    gate.open()
    assert stream.rest().body == old
    answer = node.get("/a")
    assert answer.body == new and answer.cache["hit"] and body.count() == 2


def test_revalidated_it_is_the_same(start_node, origin, disk):
    body = Body(origin, ETag='"one"', **{"Cache-Control": "max-age=600"})
    node = start_node(origin, **disk)
    assert node.get("/a").body == body.body
    node.purge(urls=[node.url("/a")], soft=True)
    answer = node.get("/a")
    assert answer.body == body.body and answer.cache["fwd-status"] == 304
    assert node.get("/a").cache["hit"] and body.count() == 2


@pytest.mark.parametrize("options, fields", [({"disk": None}, {}), ({}, {"Vary": "Accept-Language"}), ({}, {"Cache-Control": "no-cache"}),
                                             ({"max_object": "512K"}, {}), ({"disk": "64M"}, {})],
                         ids=["no disk", "varies", "no-cache", "smaller than a piece", "too much for the disk"])
def test_what_is_not_kept_streams_through(start_node, origin, disk, options, fields):
    body = Body(origin, length=49 * MIB, **fields)
    options = {**disk, **options}
    if options["disk"] == "64M":
        options["disk"] = disk["disk"].replace("256M", "64M")
    node = start_node(origin, **{name: value for name, value in options.items() if value})
    for _ in range(2):
        answer = node.h2(window=1 << 24).request("/a")
        assert answer.body == body.body and not answer.cache.get("hit")
    assert body.count() == 2


def test_a_head_and_conditions_of_what_still_comes(start_node, origin, disk):
    gate = origin.gate("rest")
    body = Body(origin, gate=gate, gate_at=5 * MIB, ETag='"one"')
    node = start_node(origin, **disk)
    stream = node.h2(window=1 << 24).ask("/a")
    stream.at_least(4 * MIB)
    head = node.h1().request("/a", method="HEAD")
    assert (head.status, head.get("content-length")) == (200, str(LENGTH))
    assert node.h1().request("/a", {"If-None-Match": '"one"'}).status == 304
    gate.open()
    assert stream.rest().body == body.body and body.count() == 1
