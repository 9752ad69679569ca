"""Several devices, of which some come and go: each is used as far as it can be trusted, and what one missed does not come back."""
import itertools

import pytest

from harness.message import noise
from harness.waiting import until

COUNT = 96  # which device has a name is a matter of its path: that none is on the smallest must not happen


class Changing:
    """What the origin has: for each path a body of its version, which an unsafe method changes."""

    def __init__(self, origin):
        self.versions = {}
        origin.on("/*", self.answer)

    def answer(self, request, response):
        if request.method == "POST":
            self.versions[request.path] = self.versions.get(request.path, 0) + 1
            return response.send(200, {"Cache-Control": "no-store"})
        return response.send(200, {"Cache-Control": "max-age=600"}, self.body(request.path))

    def body(self, path):
        return noise(3000, f"{path} {self.versions.get(path, 0)}")


@pytest.fixture
def changing(origin):
    return Changing(origin)


@pytest.fixture
def start(start_node, origin, changing, tmp_path):
    """start("ab"): with these devices, of different sizes; the node before is stopped."""
    nodes = []

    def start(devices, **options):
        if nodes and nodes[-1].running:
            nodes[-1].stop()
        sizes = {"a": "64M", "b": "256M", "c": "128M"}
        node = start_node(origin, disk=[f"{tmp_path}/{name}:{sizes[name]}" for name in devices], disk_admission="always",
                          state_dir=tmp_path / "state", **options)
        node.wait_metric("selvedge_disk_recovering_segments", 0)
        nodes.append(node)
        return node
    return start


def ask(node, changing):
    """All are as the origin has them; how many came from disk."""
    answers = {path: node.get(path) for path in (f"/{number}" for number in range(COUNT))}
    for path, answer in answers.items():
        assert answer.body == changing.body(path), path
    return sum(answer.cache.get("detail") == "disk" for answer in answers.values())


def store(node, changing):
    ask(node, changing)
    node.wait_metric("selvedge_disk_records", COUNT)


def change(node):
    for number in range(COUNT):
        assert node.request(f"/{number}", method="POST", body=b"x").status == 200


def test_each_has_its_part_whatever_their_order(start, changing, tmp_path):
    store(start("ab"), changing)
    sizes = [len((tmp_path / name / "segment-00000").read_bytes().rstrip(b"\0")) for name in "ab"]
    assert all(sizes) and sizes[1] > sizes[0]
    assert ask(start("ba"), changing) == COUNT


def test_one_that_is_removed_takes_its_part_with_it(start, changing):
    store(start("ab"), changing)
    found = ask(start("b"), changing)
    assert COUNT / 2 < found < COUNT
    node = start("ab")
    assert "a: it missed what was replaced or invalidated since it was last in use, and what it held is forgotten" in node.err.text
    assert ask(node, changing) >= COUNT / 2


def test_one_more_takes_what_belongs_to_it_from_then_on(start, changing):
    store(start("b"), changing)
    assert COUNT / 2 < ask(start("ab"), changing) < COUNT
    assert ask(start("ab"), changing) == COUNT


@pytest.mark.parametrize("then", ["b", "a"])
def test_what_was_invalidated_while_one_was_away_does_not_come_back(start, changing, then):
    store(start("ab"), changing)
    change(start(then))
    ask(start("ab"), changing)


@pytest.mark.parametrize("replaced", [True, False])
def test_what_was_invalidated_while_one_more_was_there_does_not_come_back(start, changing, replaced):
    store(start("a"), changing)
    node = start("ab")
    change(node)
    if replaced:
        store(node, changing)
    ask(start("a"), changing)


def test_what_was_invalidated_after_one_failed_does_not_come_back(start, changing):
    store(start("a"), changing)
    node = start("a", inside=["prlimit", "--fsize=50000"])
    new = (node.get(f"/new/{number}") for number in itertools.count())
    until(lambda: next(new) and node.metric("selvedge_disk_failed_devices"), "it has failed often enough")
    change(node)
    ask(start("a"), changing)


def test_all_are_away_for_a_while(start, changing):
    store(start("ab"), changing)
    change(start(""))
    ask(start("ab"), changing)
