"""A node starts: its ready line, its ports, its token, its certificate and its state directory."""
import socket
import ssl
import stat

import pytest

from harness.h1 import H1, tls_context
from harness.node import ROOT, run


@pytest.mark.setting("listen[].url", "state_dir")
def test_the_ready_line_names_every_listener_with_the_port_it_got(start_node, origin, tmp_path):
    origin.serve("/", b"home")
    node = start_node(origin, listen=["http://127.0.0.1:0", "https://127.0.0.1:0", "http://127.0.0.1:0"],
                      state_dir=str(tmp_path / "here"))
    assert [url.split("://")[0] for url in node.urls] == ["http", "https", "http"]
    ports = [int(url.rsplit(":", 1)[1]) for url in node.urls + [node.admin_url]]
    assert 0 not in ports and len(set(ports)) == 4
    assert node.state_dir == tmp_path / "here" and node.state_dir.is_dir()
    for url, port in zip(node.urls, ports):  # ready means that every listener accepts
        with H1(("127.0.0.1", port), tls=url.startswith("https")) as client:
            assert client.get("/").status == 200
    assert node.admin("GET", "/healthz", token=None).status == 200
    assert sum("selvedge: ready" in line for line in node.err.lines) == 1


@pytest.mark.setting("admin.url")
def test_ipv6(start_node, origin):
    origin.serve("/", b"six", cache_control="max-age=60")
    node = start_node(origin, listen=["http://[::1]:0", "https://[::1]:0"], admin="http://[::1]:0")
    assert node.urls[0].startswith("http://[::1]:") and node.admin_url.startswith("http://[::1]:")
    for tls, port in (False, node.http_port), (True, node.https_port):
        with H1(("::1", port), tls=tls) as client:
            assert client.get("/", host=f"[::1]:{port}").body == b"six"
    node.saw(miss=1, hit=1)


def test_a_token_is_made_and_only_its_owner_can_read_it(node):
    path = node.state_dir / "admin-token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(node.token) >= 22  # at least 128 bits, however they are written
    assert node.err.find(str(path), 5), "the path is printed"
    assert node.token not in node.err.text
    assert node.admin("GET", "/v1/status").status == 200


def test_each_start_makes_a_token_of_its_own(start_node, origin):
    assert start_node(origin).token != start_node(origin).token


@pytest.mark.parametrize("option", [pytest.param("admin_token", marks=pytest.mark.setting("admin.token")),
                                    pytest.param("admin_token_file", marks=pytest.mark.setting("admin.token_file"))])
def test_a_given_token_is_used_and_none_is_made(start_node, origin, tmp_path, option):
    (tmp_path / "token").write_text("from-outside\n")
    value = "from-outside" if option == "admin_token" else str(tmp_path / "token")
    node = start_node(origin, **{option: value})
    assert node.admin("GET", "/v1/status", token="from-outside").status == 200
    assert node.admin("GET", "/v1/status", token="another").status == 403
    assert not (node.state_dir / "admin-token").exists()


def test_without_a_state_directory_a_private_one_is_made_and_removed(start_node, origin):
    node = start_node(origin, state_dir=None)
    assert stat.S_IMODE(node.state_dir.stat().st_mode) == 0o700
    node.purge(everything=True)
    node.stop()
    assert not node.state_dir.exists()


def test_a_given_state_directory_stays(start_node, origin):
    node = start_node(origin)
    node.stop()
    assert node.state_dir.is_dir()


def presented_certificate(node):
    with socket.create_connection(("127.0.0.1", node.https_port), timeout=10) as raw:
        with tls_context("h2").wrap_socket(raw, server_hostname="localhost") as sock:
            return sock.getpeercert(binary_form=True)


def test_a_self_signed_certificate_for_localhost_is_made_and_said(node, tmp_path):
    assert node.err.find("self-signed", 5), node.err.text
    pem = tmp_path / "shown.pem"
    pem.write_text(ssl.DER_cert_to_PEM_cert(presented_certificate(node)))
    trusting = ssl.create_default_context(cafile=str(pem))  # trusts this one, and checks the name
    with socket.create_connection(("127.0.0.1", node.https_port), timeout=10) as raw:
        with trusting.wrap_socket(raw, server_hostname="localhost") as sock:
            assert sock.version() == "TLSv1.3"


@pytest.mark.setting("certificates[].cert", "certificates[].key")
def test_a_given_certificate_is_shown(start_node, origin, tmp_path):
    from harness.h2origin import make_certificates
    _, certificate, key = make_certificates(tmp_path)
    node = start_node(origin, cert=str(certificate), key=str(key))
    first = certificate.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    assert presented_certificate(node) == ssl.PEM_cert_to_DER_cert(first)
    assert "self-signed" not in node.err.text


def test_the_port_of_another_is_a_clear_failure(node, origin):
    taken = f"http://127.0.0.1:{node.http_port}"
    other = run("--origin", origin.url, "--listen", taken, "--admin", "http://127.0.0.1:0")
    assert other.returncode == 1
    assert taken in other.stderr and "ready" not in other.stderr
    assert node.running


@pytest.mark.setting("--version")
def test_version_is_the_one_of_the_build(node):
    cmake = (ROOT / "CMakeLists.txt").read_text()
    version = run("--version").stdout.split()[1]
    assert f"project(selvedge VERSION {version} " in cmake
    assert node.status()["version"] == version
