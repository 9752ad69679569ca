"""Several certificates: which one a client is shown, and what belongs to each."""
import ssl

import pytest
from harness.certificates import Handshake, make_certificate, make_staple, openssl
from harness.h1 import connect, tls_context
from harness.h2origin import make_certificates
from harness.node import run

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
HOSTS = {"first": ["first.example"], "wild": ["wild.example", "*.wild.example"], "exact": ["exact.wild.example"]}


def file_with(path, origin, *certificates):
    """A file whose third line begins the first of these (certificate, key, ...)."""
    items = "".join(f"- cert: {certificate}\n  key: {key}\n" + "".join(f"  ocsp_staple: {each}\n" for each in staple)
                    for certificate, key, *staple in certificates)
    url = getattr(origin, "url", origin)
    path.write_text(f"workers: 4\ncertificates:\n{items}sites:\n- {{name: a, hosts: [localhost], origin: {{url: '{url}'}}}}\n")
    return path


@pytest.fixture
def three(start_node, origin, tmp_path):
    """A node with three certificates; node.pem: their texts by name."""
    pairs = {name: make_certificate(tmp_path, name, *hosts) for name, hosts in HOSTS.items()}
    node = start_node(config=file_with(tmp_path / "node.yaml", origin, *pairs.values()), workers=None)
    node.pem = {name: certificate.read_text() for name, (certificate, _) in pairs.items()}
    return node


@pytest.mark.setting("certificates[].cert", "certificates[].key")
@pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def test_a_client_is_shown_the_one_that_it_asks_for(three, version):
    for host, name in [("first.example", "first"), ("wild.example", "wild"), ("a.wild.example", "wild"),
                       ("EXACT.wild.example", "exact"), ("a.b.wild.example", "first"), ("a.first.example", "first"),
                       ("unknown.example", "first"), (None, "first")]:
        assert Handshake(three, host, version).certificate == three.pem[name], host


@pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
def test_a_session_resumes_on_every_worker_under_its_own_certificate_only(three, version):
    for host in "first.example", "a.wild.example", "exact.wild.example", None:
        first = Handshake(three, host, version)
        assert not first.resumed
        assert all(first.again(three, host).resumed for _ in range(12))
        for other in {"first.example", "a.wild.example", "exact.wild.example"} - {host or "first.example"}:
            assert not first.again(three, other).resumed, (host, other)


def test_each_has_its_own_staple(start_node, origin, tmp_path):
    certificates = []
    for name in "a.example", "b.example", "c.example":
        folder = tmp_path / name
        folder.mkdir()
        ca, certificate, key = make_certificates(folder, name)
        staple = [make_staple(folder, ca, certificate)] if name != "c.example" else []
        certificates.append((certificate, key, *staple))
    node = start_node(config=file_with(tmp_path / "node.yaml", origin, *certificates))
    for host, (certificate, _, *staple) in zip(("a.example", "b.example", "c.example"), certificates):
        said = openssl("s_client", "-connect", f"127.0.0.1:{node.https_port}", "-status", "-servername", host, input="").stdout
        serial = openssl("x509", "-in", certificate, "-noout", "-serial").stdout.split("=")[1].strip()
        assert ("Cert Status: good" in said) == bool(staple)
        assert (f"Serial Number: {serial}" in said) == bool(staple)


def test_the_option_is_for_one_in_place_of_the_files(start_node, origin, tmp_path):
    path = file_with(tmp_path / "node.yaml", origin, make_certificate(tmp_path, "first", "first.example"),
                     make_certificate(tmp_path, "second", "second.example"))
    certificate, key = make_certificate(tmp_path, "only", "only.example")
    node = start_node(config=path, cert=certificate, key=key)
    for host in "first.example", "second.example":
        assert Handshake(node, host).certificate == certificate.read_text()


def test_who_came_before_a_reload_goes_on(start_node, origin, tmp_path):
    """A connection that has not yet sent a byte is shown the certificate of when it came, however often it changed since."""
    origin.serve("/a", b"a")
    pairs = [make_certificate(tmp_path, name, f"{name}.example") for name in ("first", "second", "third")]
    path = file_with(tmp_path / "node.yaml", origin, pairs[0])
    node = start_node(config=path, workers="1")
    silent = connect(("127.0.0.1", node.https_port))
    before = Handshake(node, "first.example")  # by now the silent one has been accepted, too
    file_with(path, origin, pairs[1])
    assert node.admin("POST", "/v1/reload").status == 200
    open_before = node.h1(tls=True)
    assert open_before.request("/a").status == 200
    file_with(path, origin, pairs[2], pairs[0])
    assert node.admin("POST", "/v1/reload").status == 200
    with tls_context("http/1.1").wrap_socket(silent, server_hostname="first.example") as late:
        assert ssl.DER_cert_to_PEM_cert(late.getpeercert(binary_form=True)) == pairs[0][0].read_text()
    assert open_before.request("/a").status == 200
    assert before.again(node, "first.example").resumed and not before.again(node, "third.example").resumed
    assert Handshake(node, "second.example").certificate == pairs[2][0].read_text()


@pytest.mark.parametrize("wrong, said", [
    ("key", "6:8: certificates[].key {0}/first.key: it is not the key of the certificate"),
    ("name", "5:9: certificates[].cert {0}/again.pem: the certificate in {0}/first.pem has its name First.example too; each "
             "name can be asked of one only"),
    ("none", "5:9: certificates[].cert {0}/none.pem: it has no DNS name (subject alternative name) that a client could ask "
             "for, and only the first certificate is shown to others"),
    ("gone", "5:9: certificates[].cert {0}/gone.pem: No such file or directory"),
    ("staple", "7:16: certificates[].ocsp_staple {0}/none.der: No such file or directory")])
def test_what_cannot_be_is_told_with_its_place(origin, tmp_path, wrong, said):
    first = make_certificate(tmp_path, "first", "first.example", "www.example")
    second = make_certificate(tmp_path, "second", "second.example")
    second = {"key": (second[0], first[1]), "name": make_certificate(tmp_path, "again", "again.example", "First.example"),
              "none": make_certificate(tmp_path, "none"), "gone": (tmp_path / "gone.pem", second[1]),
              "staple": (*second, tmp_path / "none.der")}[wrong]
    path = file_with(tmp_path / "node.yaml", origin, first, second)
    done = run("--config", path, "--listen", "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0")
    assert done.returncode == 1 and "ready" not in done.stderr
    assert f"selvedge: {path}:{said.format(tmp_path)}\n" in done.stderr
    checked = run("--config", path, "--check")
    assert (checked.returncode, checked.stdout) == (1, f"{path}:{said.format(tmp_path)}\n")
