"""Purges by URL, site and everything, hard and soft."""
import re

import pytest


@pytest.fixture
def pages(origin):
    """/1 to /3 carry the number of the request that fetched them, and an ETag that never changes."""
    def handler(request, response):
        if request.get("if-none-match") == '"same"':
            return response.send(304, {"ETag": '"same"', "Cache-Control": "max-age=60"})
        return response.send(200, {"ETag": '"same"', "Cache-Control": "max-age=60"}, b"fetch %d" % request.number)
    for path in "/1", "/2", "/3":
        origin.on(path, handler)


def hits(node):
    return [node.get(path).cache.get("hit", False) for path in ("/1", "/2", "/3")]


def test_the_answer_and_the_sequence(node, pages):
    answers = [node.admin("POST", "/v1/purge", {"urls": [node.url("/1")], "reason": "a test"}) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert all(set(answer.json) == {"id", "sequence", "applied_here"} for answer in answers)
    assert all(answer.fields["content-type"].startswith("application/json") for answer in answers)
    assert all(answer.json["applied_here"] is True for answer in answers)
    sequences = [answer.json["sequence"] for answer in answers]
    assert sequences == sorted(set(sequences)) and sequences[0] >= 1
    assert len({answer.json["id"] for answer in answers}) == 3
    assert node.status()["sequence"] == sequences[-1] == node.metric("selvedge_purge_sequence")


@pytest.mark.parametrize("asked, left", [
    (lambda node: {"urls": [node.url("/1")]}, [False, True, True]),
    (lambda node: {"urls": [node.url("/1"), "https://any.name/3"]}, [False, True, False]),
    (lambda node: {"site": "default"}, [False, False, False]),
    (lambda node: {"everything": True}, [False, False, False]),
], ids=["a URL", "URLs under any name", "site", "everything"])
def test_hard(node, origin, pages, asked, left):
    hits(node)
    node.purge(**asked(node))
    assert hits(node) == left
    assert hits(node) == [True] * 3
    for path, kept in zip(("/1", "/2", "/3"), left):
        fetched = origin.asked(path)
        assert len(fetched) == (1 if kept else 2)
        assert all("if-none-match" not in request.fields for request in fetched), "not even for a condition"
        assert node.get(path).body == (b"fetch 1" if kept else b"fetch 2")


@pytest.mark.parametrize("asked", [
    lambda node: {"urls": [node.url("/1")]}, lambda node: {"site": "default"}, lambda node: {"everything": True},
], ids=["URL", "site", "everything"])
def test_soft_makes_it_stale_and_a_304_lifts_it(node, origin, pages, asked):
    node.get("/1")
    node.purge(soft=True, **asked(node))
    answer = node.get("/1")
    assert answer.body == b"fetch 1" and answer.cache["fwd"] == "stale" and answer.cache["fwd-status"] == 304
    assert origin.asked("/1")[1].get("if-none-match") == '"same"'
    assert node.get("/1").cache["hit"]
    assert origin.count("/1") == 2
    node.saw(miss=1, revalidated=1, hit=1)


def test_hard_after_soft_counts(node, origin, pages):
    node.get("/1")
    node.purge(soft=True, everything=True)
    node.purge(urls=[node.url("/1")])
    assert node.get("/1").body == b"fetch 2"


def test_soft_after_hard_does_not_bring_it_back(node, origin, pages):
    node.get("/1")
    node.purge(urls=[node.url("/1")])
    node.purge(soft=True, urls=[node.url("/1")])
    assert node.get("/1").body == b"fetch 2"


def test_purged_errors_too(node, origin):
    assert node.get("/later").status == 404
    origin.serve("/gone", b"no", status=404, cache_control="max-age=60")
    assert [node.get("/gone").status for _ in range(2)] == [404, 404] and origin.count("/gone") == 1
    origin.serve("/gone", b"back", cache_control="max-age=60")
    node.purge(urls=[node.url("/gone")])
    assert node.get("/gone").body == b"back"


def test_the_counters(node, pages):
    hits(node)
    node.purge(urls=[node.url("/1"), node.url("/2")])
    node.purge(site="default", soft=True)
    node.purge(everything=True)
    assert node.metric("selvedge_purges_total", kind="url", mode="hard") == 2
    assert node.metric("selvedge_purges_total", kind="site", mode="soft") == 1
    assert node.metric("selvedge_purges_total", kind="everything", mode="hard") == 1
    assert node.metric("selvedge_purges_total") == 4


def test_memory_comes_back_after_a_purge_of_everything(node, origin):
    for number in range(50):
        origin.serve(f"/{number}", b"x" * 10_000, cache_control="max-age=60")
        node.get(f"/{number}")
    assert node.metric("selvedge_objects") == 50
    node.purge(everything=True)
    node.wait_metric("selvedge_objects", 0)
    node.wait_metric("selvedge_memory_bytes", 0)


def test_status(node):
    status = node.status()
    assert set(status) == {"node", "configuration", "version", "pid", "serving_pid", "uptime_s", "sequence", "objects", "memory_bytes", "memory_limit_bytes",
                           "disk"}
    assert status["disk"] is None  # it has none
    assert status["pid"] == node.pid and status["memory_limit_bytes"] == 64 << 20
    assert 0 <= status["uptime_s"] < 60 and status["objects"] == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+", status["version"])
