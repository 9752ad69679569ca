"""The memory tier keeps to its limit."""
import pytest

from harness.message import noise
from harness.waiting import together

LIMIT = 16 << 20


@pytest.mark.setting("memory.size")
def test_eviction_keeps_memory_under_the_limit(start_node, origin):
    node = start_node(origin, memory="16M")
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(200_000, request.path)))
    client, highest = node.h1(), 0
    for number in range(200):  # 40 MB
        assert client.get(f"/{number}").body == noise(200_000, f"/{number}")
        highest = max(highest, node.metric("selvedge_memory_bytes"))
    assert LIMIT // 2 < highest <= LIMIT
    assert 40 <= node.metric("selvedge_objects") <= LIMIT // 200_000
    assert origin.count() == 200


def test_what_is_used_again_stays(start_node, origin):
    node = start_node(origin, memory="16M")
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(100_000, request.path)))
    client = node.h1()
    for number in range(300):
        client.get(f"/passing/{number}")
        client.get("/popular")
    assert origin.count("/popular") <= 3
    assert client.get("/popular").cache["hit"]


def test_evicted_bytes_that_are_still_being_sent_are_whole_and_counted(start_node, origin):
    node = start_node(origin, memory="16M")
    body = noise(1_900_000, "/slow")
    origin.on("/*", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=600"}, body if request.path == "/slow" else noise(500_000, request.path)))
    slow = node.h2(window=65_535).ask("/slow")
    slow.paused = True
    slow.at_least(65_535)
    node.wait_metric("selvedge_fills", 0)
    client = node.h1()
    for number in range(60):
        client.get(f"/{number}")
    assert node.metric("selvedge_memory_bytes") <= LIMIT
    slow.resume()
    assert slow.rest().body == body


def test_small_objects_are_counted_with_what_they_cost(start_node, origin):
    node = start_node(origin, memory="16M")
    origin.on("/*", lambda _, response: response.send(200, {"Cache-Control": "max-age=600"}, b"tiny"))
    client = node.h2()
    for start in range(0, 2000, 50):
        for stream in [client.ask(f"/{number}") for number in range(start, start + 50)]:
            assert stream.rest().body == b"tiny"
    node.wait_metric("selvedge_objects", 2000)
    assert node.metric("selvedge_memory_bytes") > 2000 * 200


def test_readers_of_many_objects_at_once_under_pressure_get_whole_bodies(start_node, origin):
    node = start_node(origin, memory="16M", max_object="4M")
    origin.on("/*", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=600"}, noise(1_000_000, int(request.path[1:]) % 40)))

    def read(index):
        client = node.h1()
        for turn in range(20):
            number = (index * 7 + turn * 3) % 40
            assert client.get(f"/{number}").body == noise(1_000_000, number)
    together(6, read)
    assert node.metric("selvedge_memory_bytes") <= LIMIT
