"""The directories of the disk tier as who runs the node sees them: made and private, with the node's state in the first."""
import json
import os
import pwd
import re
import stat

import pytest

from harness.node import run

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def file(tmp_path, origin):
    """Writes a configuration with these groups; its path."""
    def write(**groups):
        site = {"name": "www", "hosts": ["localhost"], "origin": {"url": origin.url}}
        (tmp_path / "node.yaml").write_text(re.sub(r'"(\w+)":', r"\1:", json.dumps({"sites": [site], **groups})))
        return tmp_path / "node.yaml"
    return write


def reload(node):
    said = node.admin("POST", "/v1/reload").json
    assert said["in_force"], said
    return said


@pytest.mark.setting("disk[].path")
def test_the_state_is_on_the_first_disk_and_outlives_the_node(start_node, origin, tmp_path):
    disks = [f"{tmp_path}/a:64M", f"{tmp_path}/b:64M"]
    node = start_node(origin, disk=disks, state_dir=None)
    assert node.state_dir == tmp_path / "a/state"
    for path in tmp_path / "a", tmp_path / "b", node.state_dir:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    token, sequence = node.token, node.purge(everything=True)
    node.stop()
    again = start_node(origin, disk=disks, state_dir=None)
    assert again.token == token and again.status()["sequence"] == sequence


def test_a_state_directory_that_is_named_counts(start_node, origin, tmp_path):
    node = start_node(origin, disk=f"{tmp_path}/a:64M", state_dir=tmp_path / "s")
    assert node.state_dir == tmp_path / "s" and not (tmp_path / "a/state").exists()


@pytest.mark.setting("disk[].path", "disk[].size", "disk_admission", "disk_wipe")
def test_a_reload_takes_what_is_admitted_and_names_the_rest(start_node, file, tmp_path):
    node = start_node(config=file(disk=[f"{tmp_path}/a:64M"]), state_dir=tmp_path / "s")
    file(disk=[{"path": f"{tmp_path}/a", "size": "128M"}], disk_admission="always", disk_wipe=True)
    said = reload(node)
    assert said["changed"] == ["disk_admission"] and set(said["needs_restart"]) == {"disk[].size", "disk_wipe"}
    assert reload(node)["changed"] == []
    file(disk=[{"path": f"{tmp_path}/b", "size": "128M"}], disk_admission="always", disk_wipe=True)
    assert set(reload(node)["needs_restart"]) == {"disk[].path", "disk[].size", "disk_wipe"}
    assert not (tmp_path / "b").exists()


def test_the_option_replaces_the_files(start_node, file, tmp_path):
    node = start_node(config=file(disk=[f"{tmp_path}/a:64M"]), disk=f"{tmp_path}/b:64M", state_dir=None)
    assert node.state_dir == tmp_path / "b/state" and not (tmp_path / "a").exists()


def test_a_directory_that_cannot_be_made_is_told(origin, tmp_path):
    done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
               "--disk", f"{tmp_path}/none/a:64M")
    assert done.returncode == 1
    assert done.stderr == f"selvedge: --disk {tmp_path}/none/a: cannot be made: No such file or directory\n"


@as_root
def test_it_is_the_users_and_a_link_that_the_user_makes_leads_nowhere(start_node, origin, public_dir):
    nobody = pwd.getpwnam("nobody").pw_uid
    options = {"disk": f"{public_dir}/d:64M", "state_dir": None, "user": "nobody"}
    node = start_node(origin, **options)
    assert node.state_dir.stat().st_uid == (public_dir / "d").stat().st_uid == nobody
    node.stop()
    (public_dir / "roots").mkdir()
    (public_dir / "roots/journal").write_text("root's")
    node.state_dir.rename(public_dir / "d/before")
    node.state_dir.symlink_to(public_dir / "roots")
    done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
               *(word for name in ("disk", "user") for word in (f"--{name}", options[name])))
    assert done.returncode == 1 and "cannot be given to nobody" in done.stderr
    assert {path.stat().st_uid for path in (public_dir / "roots", public_dir / "roots/journal")} == {0}


def test_what_a_reload_admits_is_admitted_from_then_on(start_node, file, tmp_path, origin):
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=60"}, b"a"))
    node = start_node(config=file(disk=[f"{tmp_path}/a:64M"]), state_dir=tmp_path / "s")
    node.get("/once")
    file(disk=[f"{tmp_path}/a:64M"], disk_admission="always")
    reload(node)
    node.get("/at-once")
    node.wait_metric("selvedge_disk_records", 1)
    file(disk=[f"{tmp_path}/a:64M"])
    reload(node)
    node.get("/once-again")
    node.get("/once")  # the second time
    node.wait_metric("selvedge_disk_records", 2)
    assert node.metric("selvedge_disk_admitted_total") == 2
