"""Certificates, their OCSP staples, and what a handshake shows of them."""
import ssl
import subprocess

from .h1 import connect, tls_context
from .waiting import Deadline


def openssl(*line, **more):
    return subprocess.run(["openssl", *map(str, line)], capture_output=True, text=True, timeout=20, **more)


def make_staple(folder, ca, of, status="V"):
    """An OCSP response of the authority in this folder (ca.key) about a certificate: its path."""
    serial = openssl("x509", "-in", of, "-noout", "-serial").stdout.strip().split("=")[1]
    index, answer = folder / "index.txt", folder / "staple.der"
    revoked = "260101000000Z" if status == "R" else ""
    index.write_text(f"{status}\t401231000000Z\t{revoked}\t{serial}\tunknown\t/CN=localhost\n")
    made = openssl("ocsp", "-index", index, "-rsigner", ca, "-rkey", folder / "ca.key", "-CA", ca, "-issuer", ca,
                   "-cert", of, "-ndays", "1", "-respout", answer)
    assert made.returncode == 0, made.stderr
    return answer


def make_certificate(folder, name, *hosts):
    """One signed by its own key, for these hosts: paths (certificate, key)."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                   "-out", certificate, "-subj", f"/CN={name}", "-days", "2",
                   *(["-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)] if hosts else []))
    assert made.returncode == 0, made.stderr
    return certificate, key


class Handshake:
    """A TLS connection to the node that asks for a host, and perhaps to resume a session; it makes one request, after
    which a session of its own has come."""

    def __init__(self, node, host, version=None, session=None, context=None):
        self.context = context or tls_context("http/1.1", version=version)
        with connect(("127.0.0.1", node.https_port)) as bare:
            with self.context.wrap_socket(bare, server_hostname=host, session=session) as wrapped:
                wrapped.settimeout(Deadline(10).left())
                wrapped.sendall(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert wrapped.recv(1) == b"H"
                self.certificate = ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True))
                self.session, self.resumed = wrapped.session, wrapped.session_reused

    def again(self, node, host):
        """Another one, which tries to go on with this one's session."""
        return Handshake(node, host, session=self.session, context=self.context)
