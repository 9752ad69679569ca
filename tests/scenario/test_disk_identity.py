"""What is stored on disk is of use to the node alone whose journal has every purge since: an identity tells who that is."""
import pytest
from test_disk import kept, warm

from harness.node import run


@pytest.fixture
def disk(tmp_path):
    return {"disk": f"{tmp_path}/disk:64M", "state_dir": None}


@pytest.fixture
def state(start_node, origin, disk, tmp_path):
    """The state directory of a node that has /a on disk, and was purged of nothing that would be seen; it is stopped."""
    origin.serve("/a", b"stored", cache_control="max-age=600")
    node = start_node(origin, **disk)
    warm(node, "/a")
    kept(node, 1).stop()
    return tmp_path / "disk/state"


def refused(origin, tmp_path):
    done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--disk",
               f"{tmp_path}/disk:64M")
    assert done.returncode == 1
    return done.stderr


def test_a_journal_that_begins_anew_makes_another_node(start_node, origin, disk, state, tmp_path):
    before = (state / "identity").read_text()
    for name in "journal", "sequence":
        (state / name).unlink()
    assert "it belongs to a node with another state directory" in refused(origin, tmp_path)
    assert (state / "identity").read_text() != before
    node = start_node(origin, disk_wipe="on", **disk)
    assert node.get("/a").cache["fwd"] == "miss" and origin.count("/a") == 2


@pytest.mark.parametrize("content", [None, b"", b"0" * 32, b"0" * 31 + b"G\n"], ids=["gone", "empty", "cut", "damaged"])
def test_an_identity_that_is_damaged_is_told_and_made_anew(start_node, origin, disk, state, tmp_path, content):
    (state / "identity").unlink()
    if content is not None:
        (state / "identity").write_bytes(content)
    said = refused(origin, tmp_path)
    assert f"selvedge: {state}/identity: damaged or gone; the node has a new one, for which all disks are another's\n" in said
    made = (state / "identity").read_bytes()
    assert len(made) == 33 and made != content
    assert "damaged or gone" not in refused(origin, tmp_path), "it is told once"
    node = start_node(origin, disk_wipe="on", **disk)
    assert node.get("/a").cache["fwd"] == "miss" and (state / "identity").read_bytes() == made


def test_a_journal_that_is_forgotten_purges_what_is_on_disk(start_node, origin, disk, state):
    """A rule for everything takes the place of those that are lost, so that the node can stay who it is."""
    before = (state / "identity").read_text()
    (state / "journal").write_bytes(b"nothing that can be read")
    node = start_node(origin, **disk)
    assert node.err.find("what was stored before is forgotten", 5)
    assert (state / "identity").read_text() == before
    assert node.get("/a").cache["fwd"] == "miss" and origin.count("/a") == 2
