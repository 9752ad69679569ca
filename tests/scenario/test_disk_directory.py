"""Whose a disk's directory is: one process's at a time, one node's, one format's; what cannot be used is told, and how it could."""
import os
import shutil

import pytest
from test_disk import kept, warm

from harness.node import run
from harness.waiting import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def stored(start_node, origin, tmp_path):
    """Starts a node on the directory, with /a in it, and stops it."""
    def store(**options):
        origin.serve("/a", b"stored", cache_control="max-age=600")
        node = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/state", **options)
        warm(node, "/a")
        kept(node, 1).stop()
    return store


@pytest.fixture
def refusal(origin, tmp_path):
    """What a node says that cannot start on the directory."""
    def start(state="state", **options):
        done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--state-dir",
                   tmp_path / state, "--disk", f"{tmp_path}/disk:{options.pop('size', '64M')}",
                   *(word for name, value in options.items() for word in (f"--{name}", value)))
        assert done.returncode == 1
        return done.stderr.replace(str(tmp_path), "")
    return start


def is_on_disk(node, path="/a"):
    return node.get(path).cache.get("detail") == "disk"


def test_a_second_node_starts_without_it_and_takes_it_when_the_first_is_gone(start_node, origin, tmp_path):
    """With the state directory of the same journal, as when the one before takes its time to die."""
    origin.serve("/a", b"stored", cache_control="max-age=600")
    first = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/state", heartbeat_limit=60)
    warm(first, "/a")
    kept(first, 1)
    os.kill(first.serving_pid, 19)
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    second = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/copy")
    assert "is used by another process; it is taken when that is gone" in second.err.text
    assert second.metric("selvedge_disk_records") == 0 and second.metric("selvedge_disk_failed_devices") == 1
    assert second.get("/b").status == 404
    first.kill()
    first.stopping = True
    kept(second, 1)
    assert second.metric("selvedge_disk_failed_devices") == 0
    assert is_on_disk(second)


@pytest.mark.setting("disk_wipe")
def test_another_nodes_is_refused_or_wiped(start_node, origin, stored, refusal, tmp_path):
    stored()
    said = refusal(state="other")
    assert "selvedge: disk /disk: it belongs to a node with another state directory, whose purges are not known here; name " \
           "another directory, or set disk_wipe to have it made anew" in said, said
    node = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/other", disk_wipe="on")
    assert "was of another format or node, and is made anew" in node.err.text
    assert node.get("/a").cache["fwd"] == "miss"
    node.stop()
    assert "it belongs to a node with another state directory" in refusal()


def test_what_is_newer_than_the_journal_is_forgotten(start_node, origin, stored, tmp_path):
    """The state came back from a copy of before: purges of since are not known, and neither is what they were of."""
    stored()
    shutil.copytree(tmp_path / "state", tmp_path / "before")
    node = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/state")
    node.purge(everything=True)
    warm(node, "/a")
    kept(node, 1).stop()
    shutil.rmtree(tmp_path / "state")
    shutil.move(tmp_path / "before", tmp_path / "state")
    node = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/state")
    assert node.get("/a").cache["fwd"] == "miss"
    until(lambda: "the journal is older than what is stored" in node.err.text, "it is told")


def test_another_formats_and_a_damaged_one_are_told(stored, refusal, tmp_path):
    stored()
    directory = tmp_path / "disk/directory"
    data = bytearray(directory.read_bytes())
    data[8] += 1
    directory.write_bytes(data)
    assert "disk /disk: it was written by another version of the disk tier; name another directory" in refusal()
    directory.write_bytes(data[:8] + b"\1" + data[9:-1] + b"x")
    assert "disk /disk: its file `directory` is damaged; set disk_wipe to have it made anew" in refusal()


def test_other_things_in_it_are_left_alone(refusal, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/mine").write_text("mine")
    assert "there are files in it that are not the disk tier's; name an empty directory" in refusal()
    assert "there are files in it that are not the disk tier's" in refusal(**{"disk-wipe": "on"})
    assert (tmp_path / "disk/mine").read_text() == "mine" and len(list((tmp_path / "disk").iterdir())) == 1


@pytest.mark.parametrize("what", ["a file for the directory", "a directory for a segment", "a directory for the lock"])
def test_what_stands_in_the_way_is_told(refusal, tmp_path, what):
    if what == "a file for the directory":
        (tmp_path / "disk").write_text("a file")
        assert "disk /disk: Not a directory" in refusal()
    elif what == "a directory for the lock":
        (tmp_path / "disk/lock").mkdir(parents=True)
        assert "disk /disk: open of lock: Is a directory" in refusal()
    else:
        (tmp_path / "disk/segment-00000").mkdir(parents=True)
        assert "disk /disk: unlink of its files: Is a directory" in refusal()


@as_root
def test_one_that_the_user_may_not_write_is_told(start_node, origin, public_dir):
    """As nobody from the start, who can give nothing to itself."""
    (public_dir / "disk").mkdir(mode=0o755)
    (public_dir / "state").mkdir(mode=0o777)
    (public_dir / "state").chmod(0o777)
    with pytest.raises(AssertionError, match="disk: open of lock: Permission denied"):
        start_node(origin, disk=f"{public_dir}/disk:64M", state_dir=public_dir / "state",
                   inside=["setpriv", "--reuid", "65534", "--clear-groups"])


@pytest.mark.parametrize("size", ["64M", "512M"])
def test_another_size_holds_from_the_next_start_on(start_node, origin, tmp_path, size):
    """The oldest go, so that what is left fits."""
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, request.path.encode() * 125_000))
    options = {"state_dir": f"{tmp_path}/state", "disk_admission": "always", "memory": "16M"}
    node = start_node(origin, disk=f"{tmp_path}/disk:256M", **options)
    for number in range(100, 300):
        assert node.get(f"/{number}").status == 200
        kept(node, number - 99)
    node.stop()
    bound = int(size[:-1]) << 20
    node = start_node(origin, disk=f"{tmp_path}/disk:{size}", **options)
    node.wait_metric("selvedge_disk_recovering_segments", 0)
    assert is_on_disk(node, "/299") and is_on_disk(node, "/100") == (size == "512M")
    for number in range(300, 400):
        assert node.get(f"/{number}").status == 200
        assert sum(file.stat().st_size for file in (tmp_path / "disk").iterdir() if file.is_file()) <= bound
        assert node.metric("selvedge_disk_bytes") <= bound


def test_two_segments_must_fit(start_node, origin, refusal, tmp_path):
    start_node(origin, disk=f"{tmp_path}/disk:20G", state_dir=f"{tmp_path}/state").stop()
    assert "disk /disk: two of its segments do not fit into its size any more; give it more, or set disk_wipe to have it made " \
           "anew" in refusal(size="64M")
    start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=f"{tmp_path}/state", disk_wipe="on")


def test_a_disk_smaller_than_memory(start_node, origin, tmp_path):
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, request.path.encode() * 250_000))
    node = start_node(origin, disk=f"{tmp_path}/disk:64M", memory="256M", disk_admission="always")
    for number in range(100, 200):
        assert node.get(f"/{number}").body == f"/{number}".encode() * 250_000
        node.wait_metric("selvedge_disk_admitted_total", number - 99)
    assert node.get("/100").cache["hit"] and node.metric("selvedge_disk_bytes") <= 64 << 20
