"""The file that is read when none is named: /etc/selvedge/selvedge.yaml, in an /etc of the scenario's own."""
import shutil
import subprocess

import pytest

from harness.node import SELVEDGE, run

UNSHARE = next((words for words in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"])
                if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0), None)
pytestmark = pytest.mark.skipif(not UNSHARE, reason="no mounts of its own can be made here")


@pytest.fixture
def inside(tmp_path):
    """inside(text): a command that runs another where this is the default file."""
    def inside(text):
        etc = tmp_path / "etc"
        (etc / "selvedge").mkdir(parents=True)
        for name in "passwd", "group", "hosts", "nsswitch.conf", "ssl":  # a link to the real one, by way of its mount
            (etc / name).symlink_to(f"/run/etc/{name}")
        (etc / "selvedge/selvedge.yaml").write_text(text)
        mounts = 'mount -t tmpfs none /run && mkdir /run/etc && mount --bind /etc /run/etc && mount --bind "$0" /etc && exec "$@"'
        return [*UNSHARE, "sh", "-c", mounts, str(etc)]
    return inside


def site(origin):
    return f"sites:\n- name: default-file\n  hosts: [www.example]\n  origin: {{url: '{origin.url}'}}\n"


def test_it_is_read_when_neither_a_file_nor_an_origin_is_named(start_node, origin, inside):
    origin.serve("/a", b"a")
    node = start_node(inside=inside(site(origin)))
    assert node.request("/a", host="www.example").body == b"a"
    assert node.request("/a", host="other.example").status == 421
    assert node.admin("GET", "/v1/trace?url=http://www.example/a").json["site"] == "default-file"


def test_an_origin_or_another_file_is_read_in_its_place(start_node, origin, inside, tmp_path):
    origin.serve("/a", b"a")
    command = inside("nonsense: 1\n")
    assert start_node(origin, inside=command).request("/a", host="other.example").body == b"a"
    (tmp_path / "another.yaml").write_text(site(origin))
    node = start_node(inside=command, config=tmp_path / "another.yaml")
    assert node.request("/a", host="www.example").body == b"a"


def test_its_mistakes_are_told_with_its_name(inside):
    command = [*inside("workers: 0\n"), SELVEDGE]
    done = run(*command[1:], binary=command[0])
    assert done.returncode == 2
    assert "selvedge: /etc/selvedge/selvedge.yaml:1:10: workers 0: too small; allowed is 1 to 256" in done.stderr
    done = run(*command[1:], "--check", binary=command[0])
    assert done.returncode == 1 and done.stdout.startswith("/etc/selvedge/selvedge.yaml:1:10: workers 0: ")
