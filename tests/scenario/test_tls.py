"""What a handshake shows beside the certificate."""
import re
import subprocess

import pytest
from harness.certificates import make_staple, openssl
from harness.h2origin import make_certificates
from harness.node import SELVEDGE


@pytest.fixture
def authority(tmp_path):
    """staple(status): an OCSP response of the test authority about the certificate, in a file."""
    ca, certificate, key = make_certificates(tmp_path)

    def staple(status="V", of=certificate):
        return make_staple(tmp_path, ca, of, status)
    staple.certificate, staple.key, staple.ca = certificate, key, ca
    return staple


def handshake(node, version):
    return openssl("s_client", "-connect", f"127.0.0.1:{node.https_port}", "-status", version, input="").stdout


@pytest.mark.setting("certificates[].ocsp_staple")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_staple_is_shown_to_clients_that_ask(start_node, origin, authority, version):
    node = start_node(origin, cert=str(authority.certificate), key=str(authority.key), ocsp_staple=str(authority()))
    said = handshake(node, version)
    assert "OCSP Response Status: successful" in said and "Cert Status: good" in said


def test_without_a_staple_none_is_shown(node):
    assert "OCSP response: no response sent" in handshake(node, "-tls1_3")


def with_end_in_the_past(staple):
    """Its signature is not right then: that is the clients' to look at."""
    response = staple.read_bytes()
    end = max(re.findall(rb"20\d{12}Z", response))
    staple.write_bytes(response.replace(end, b"20200101000000Z"))
    return staple


def test_a_staple_whose_time_is_over_is_not_shown_and_said(start_node, origin, authority):
    node = start_node(origin, cert=str(authority.certificate), key=str(authority.key),
                      ocsp_staple=str(with_end_in_the_past(authority())))
    assert "OCSP response: no response sent" in handshake(node, "-tls1_3")
    assert "its time is over" in node.err.text


def refusal(authority, staple, *certificate):
    line = certificate or ("--cert", authority.certificate, "--key", authority.key)
    run = subprocess.run([SELVEDGE, "--origin", "http://127.0.0.1:9", "--listen", "https://127.0.0.1:0", "--admin",
                          "http://127.0.0.1:0", "--ocsp-staple", str(staple), *map(str, line)],
                         capture_output=True, text=True, timeout=20)
    assert run.returncode in (1, 2) and "ready" not in run.stderr
    return run.stderr


def test_a_staple_that_says_revoked_is_refused(authority):
    assert "does not say that the certificate is good" in refusal(authority, authority("R"))


def test_a_staple_for_another_certificate_is_refused(authority, tmp_path):
    assert "does not speak of the certificate" in refusal(authority, authority(of=authority.ca))


@pytest.mark.parametrize("bytes_, said", [(b"", "no OCSP response"), (b"junk", "no OCSP response"), (b"x" * 17000, "16 KiB")])
def test_a_file_that_is_no_staple_is_refused(authority, tmp_path, bytes_, said):
    (tmp_path / "staple").write_bytes(bytes_)
    assert said in refusal(authority, tmp_path / "staple")
    assert "No such file" in refusal(authority, tmp_path / "none")


def test_a_staple_needs_a_certificate(authority):
    assert "--ocsp-staple without --cert" in refusal(authority, authority(), "--workers", "1")
