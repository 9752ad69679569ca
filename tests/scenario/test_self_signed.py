"""The certificate that a node makes for itself stays the same for as long as clients can trust it."""
import os
import signal
import ssl
import stat

import pytest

from harness.certificates import Handshake, openssl
from harness.waiting import until


def shown(node):
    return Handshake(node, "localhost").certificate


def test_it_outlives_the_serving_process(start_node, origin):
    node = start_node(origin, state_dir=None)
    first, before = shown(node), node.serving_pid
    node.may_die = True
    os.kill(before, signal.SIGKILL)
    until(lambda: node.serving_pid not in (before, None), "another one is there")
    assert shown(node) == first


def test_it_outlives_the_node_in_its_state_directory(start_node, origin, tmp_path):
    first = start_node(origin, state_dir=tmp_path / "state")
    certificate = shown(first)
    first.stop()
    second = start_node(origin, state_dir=tmp_path / "state")
    assert shown(second) == certificate
    assert shown(start_node(origin)) != certificate, "another node has another"


def test_only_its_owner_can_read_the_key(node):
    file = node.state_dir / "self-signed.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_uid == os.geteuid()
    assert "PRIVATE KEY" in file.read_text() and shown(node) in file.read_text()


def test_with_a_certificate_given_none_is_made(start_node, origin, tmp_path):
    from harness.certificates import make_certificate
    certificate, key = make_certificate(tmp_path, "a", "a.example")
    node = start_node(origin, cert=certificate, key=key)
    assert not (node.state_dir / "self-signed.pem").exists()


@pytest.mark.parametrize("spoil", ["expires soon", "is nonsense", "others can read it"])
def test_one_that_is_of_no_use_is_made_anew(start_node, origin, tmp_path, spoil):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    days = "20" if spoil == "expires soon" else "200"
    assert openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                   tmp_path / "key", "-out", tmp_path / "cert", "-subj", "/CN=localhost", "-days", days).returncode == 0
    old = (tmp_path / "cert").read_text()
    file = state / "self-signed.pem"
    file.write_text("nonsense" if spoil == "is nonsense" else (tmp_path / "key").read_text() + old)
    file.chmod(0o644 if spoil == "others can read it" else 0o600)
    node = start_node(origin, state_dir=state)
    assert shown(node) != old and shown(node) in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    left = ssl.cert_time_to_seconds(openssl("x509", "-in", file, "-noout", "-enddate").stdout.strip().split("=")[1])
    assert left > os.stat(file).st_mtime + 300 * 24 * 3600


def test_a_good_one_that_was_there_is_taken(start_node, origin, tmp_path):
    """What the test above spoils is taken when it is not."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    file = state / "self-signed.pem"
    assert openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                   tmp_path / "key", "-out", tmp_path / "cert", "-subj", "/CN=localhost", "-days", "200").returncode == 0
    file.touch(mode=0o600)
    file.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    assert shown(start_node(origin, state_dir=state)) == (tmp_path / "cert").read_text()
