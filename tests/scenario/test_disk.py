"""What is stored on disk answers after memory let go of it, after a restart and after a crash; what was purged does not."""
import os
import signal

import pytest

from harness.message import noise
from harness.waiting import until


def warm(node, *targets, times=2):
    """Asks so often for each; what is asked for twice is kept on disk."""
    for target in targets:
        for _ in range(times):
            assert node.get(target).status == 200


def kept(node, records):
    node.wait_metric("selvedge_disk_records", lambda count: count >= records)
    return node


@pytest.fixture
def disk(tmp_path):
    return {"disk": f"{tmp_path}/disk:64M", "state_dir": None}


@pytest.mark.setting("disk[].path")
def test_a_restart_is_warm(start_node, origin, disk):
    origin.serve("/a", noise(100_000, "a"), cache_control="max-age=600")
    origin.serve("/small", b"small", cache_control="max-age=600", etag='"s"')
    node = start_node(origin, **disk)
    warm(node, "/a", "/small")
    kept(node, 2).stop()
    node = start_node(origin, **disk)
    answer = node.get("/a")
    assert answer.body == noise(100_000, "a") and answer.cache["hit"] and answer.cache["detail"] == "disk"
    assert "detail" not in node.get("/a").cache, "it is in memory again"
    assert node.get("/small", {"If-None-Match": '"s"'}).status == 304
    assert origin.count("/a") == 1 and origin.count("/small") == 1


def test_after_kill_9_what_was_written_is_there(start_node, origin, disk):
    for number in range(20):
        origin.serve(f"/{number}", noise(30_000, str(number)), cache_control="max-age=600")
    node = start_node(origin, **disk)
    warm(node, *(f"/{number}" for number in range(20)))
    kept(node, 20)
    node.may_die = True
    serving = node.serving_pid
    os.kill(serving, signal.SIGKILL)
    until(lambda: node.serving_pid not in (None, serving), "another process serves")
    kept(node, 20)
    for number in range(20):
        answer = node.get(f"/{number}")
        assert answer.body == noise(30_000, str(number)) and answer.cache["detail"] == "disk"


@pytest.mark.setting("disk_admission")
def test_what_is_asked_for_once_stays_off_the_disk_unless_all_is_wanted(start_node, origin, disk):
    for name in "one", "two":
        origin.serve(f"/{name}", b"x" * 1000, cache_control="max-age=600")
    node = start_node(origin, **disk)
    warm(node, "/one", times=1)
    warm(node, "/two")
    kept(node, 1)
    node.wait_metric("selvedge_disk_admitted_total", 1)
    node.stop()
    node = start_node(origin, disk_admission="always", **disk)
    node.wait_metric("selvedge_disk_recovering_segments", 0)
    kept(node, 1)
    warm(node, "/one", times=1)
    kept(node, 2)


def test_what_was_purged_is_not_on_disk_either(start_node, origin, disk):
    for name in "hard", "soft", "other":
        origin.serve(f"/{name}", name.encode(), cache_control="max-age=600", etag=f'"{name}"')
    node = start_node(origin, **disk)
    warm(node, "/hard", "/soft", "/other")
    kept(node, 3)
    node.purge(urls=[f"http://127.0.0.1:{node.http_port}/hard"])
    node.purge(urls=[f"http://127.0.0.1:{node.http_port}/soft"], soft=True)
    node.stop()
    node = kept(start_node(origin, **disk), 2)
    assert node.get("/hard").cache["fwd"] == "miss"
    assert node.get("/soft").cache["fwd"] == "stale"
    assert node.get("/other").cache["detail"] == "disk"


def test_memory_lets_go_and_the_disk_answers(start_node, origin, disk):
    """A working set larger than memory."""
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(500_000, request.path)))
    node = start_node(origin, memory="16M", disk_admission="always", **disk)
    for number in range(60):
        assert node.get(f"/{number}").body == noise(500_000, f"/{number}")
        node.wait_metric("selvedge_disk_admitted_total", number + 1)
    hits = [node.get(f"/{number}") for number in range(60)]
    assert all(answer.body == noise(500_000, f"/{number}") for number, answer in enumerate(hits))
    assert sum(answer.cache.get("detail") == "disk" for answer in hits) >= 50
    assert all(origin.count(f"/{number}") == 1 for number in range(60))


def test_variants_and_their_node_come_back(start_node, origin, disk):
    def answer(request, response):
        response.send(200, {"Cache-Control": "max-age=600", "Vary": "Accept-Language"}, request.get("accept-language").encode())
    origin.on("/v", answer)
    node = start_node(origin, **disk)
    for language in "en", "fr", "en", "fr":
        node.get("/v", {"Accept-Language": language})
    kept(node, 3).stop()
    node = kept(start_node(origin, **disk), 3)
    for language in "fr", "en":
        answer = node.get("/v", {"Accept-Language": language})
        assert answer.body == language.encode() and answer.cache["detail"] == "disk"
    assert node.get("/v", {"Accept-Language": "de"}).cache["fwd"] == "vary-miss"


def test_a_range_of_what_is_on_disk(start_node, origin, disk):
    origin.serve("/a", noise(900_000, "a"), cache_control="max-age=600")
    node = start_node(origin, **disk)
    warm(node, "/a")
    kept(node, 1).stop()
    node = kept(start_node(origin, **disk), 1)
    answer = node.get("/a", {"Range": "bytes=600000-600099"})
    assert answer.status == 206 and answer.body == noise(900_000, "a")[600000:600100] and answer.cache["detail"] == "disk"
    assert origin.count("/a") == 1


def test_an_unsafe_method_is_remembered_over_a_restart(start_node, origin, disk):
    origin.serve("/a", b"old", cache_control="max-age=600")
    node = start_node(origin, **disk)
    warm(node, "/a")
    kept(node, 1)
    origin.on("/a", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, b"new"))
    node.request("/a", method="POST", body=b"x")
    node.stop()
    node = start_node(origin, **disk)
    assert node.get("/a").body == b"new"


def test_what_is_large_is_kept_in_pieces(start_node, origin, disk):
    """Whole in memory, on disk it is a head and pieces: all of it and parts of it are found."""
    body = noise(5_000_000, "large")
    origin.serve("/large", body, cache_control="max-age=600", etag='"l"', accept_ranges="bytes")
    node = start_node(origin, **disk)
    warm(node, "/large")
    kept(node, 6).stop()
    node = kept(start_node(origin, **disk), 6)
    part = node.get("/large", {"Range": "bytes=3000000-3000099"})
    assert part.status == 206 and part.body == body[3000000:3000100] and part.cache["detail"] == "disk"
    answer = node.get("/large")
    assert answer.status == 200 and answer.body == body and answer.cache["hit"]
    assert origin.count("/large") == 1
