"""An HTTP/2 origin over TLS, on python3-h2: answers by path, and what it was asked."""
import socket
import ssl
import subprocess
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .message import Fields
from .origin import Request


def make_certificates(folder, name="localhost"):
    """A test authority and a certificate for `name` (and 127.0.0.1) signed by it: paths (ca, certificate, key)."""
    ca, ca_key, request = folder / "ca.pem", folder / "ca.key", folder / "origin.csr"
    certificate, key, extra = folder / "origin.pem", folder / "origin.key", folder / "origin.ext"
    extra.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n" if name == "localhost" else f"subjectAltName=DNS:{name}\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*line):
        subprocess.run(["openssl", *map(str, line)], check=True, capture_output=True, timeout=20)
    openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-subj", "/CN=Test authority", "-days", "2",
            "-addext", "basicConstraints=critical,CA:TRUE")
    openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate,
            "-days", "2", "-extfile", extra)
    return ca, certificate, key


class H2Origin:
    """answers: {path: (status, fields, body)}, or a function of the request that gives that; cut: {path: n}, those streams break
    off after n bytes of body, or a function of the request that gives n or None; interim: {path: [(status, fields)]}, heads that go
    before the answer's. how: what a stream that breaks off comes to: `reset`, the connection's `close`, its `early end`, or
    `silence`: nothing more comes on that connection, whatever it is asked."""

    def __init__(self, certificate, key, answers, cut=None, interim=None, how="reset"):
        self.answers, self.cut, self.interim, self.how = answers, cut or {}, interim or {}, how
        self.requests, self.connections, self._sockets, self._silent = [], 0, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)
        for sock in self._sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # has ended already
                pass

    def _serve(self, raw):
        sock = raw
        try:
            raw.settimeout(30)
            sock = self.context.wrap_socket(raw, server_side=True)
            self.connections += 1
            self._sockets.append(sock)
            connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            connection.initiate_connection()
            sock.sendall(connection.data_to_send())
            self._talk(sock, connection)
        except (OSError, h2.exceptions.ProtocolError):
            pass  # the node refused the certificate or went away
        finally:
            sock.close()

    def _talk(self, sock, connection):
        unsent = {}
        while data := sock.recv(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    unsent[event.stream_id] = self._begin(connection, event)
                elif isinstance(event, h2.events.StreamReset):
                    unsent.pop(event.stream_id, None)
            try:
                for number in list(unsent):
                    unsent[number] = self._push(connection, number, unsent[number])
                    if unsent[number] is None:
                        del unsent[number]
            finally:
                sock.sendall(connection.data_to_send())
            while connection in self._silent and sock.recv(1 << 16):
                pass

    def _begin(self, connection, event):
        pairs = Fields(event.headers)
        request = Request(pairs.get(":method"), pairs.get(":path"), pairs, b"", len(self.requests) + 1, self.connections)
        self.requests.append(request)
        answer, cut = self.answers.get(request.path, (404, {}, b"")), self.cut.get(request.path)
        status, fields, body = answer(request) if callable(answer) else answer
        for early, hints in self.interim.get(request.path, []):
            connection.send_headers(event.stream_id, [(":status", str(early)), *hints.items()])
        head = [(":status", str(status)), ("content-length", str(len(body)))]
        connection.send_headers(event.stream_id, head + [(name.lower(), value) for name, value in fields.items()])
        return body, cut(request) if callable(cut) else cut

    def _break_off(self, connection, number):
        if self.how == "close":
            raise ConnectionAbortedError  # _talk sends what came before it, _serve closes
        if self.how == "silence":
            self._silent.append(connection)
            return
        if self.how == "early end":
            connection.end_stream(number)
        else:
            connection.reset_stream(number, error_code=2)

    def _push(self, connection, number, state):
        """Sends what the window allows. None once the stream has ended."""
        body, cut = state
        while True:
            size = min(len(body) if cut is None else cut, connection.local_flow_control_window(number),
                       connection.max_outbound_frame_size)
            if size == 0 and body:
                if cut != 0:
                    return body, cut
                self._break_off(connection, number)
                return None
            last = cut is None and size == len(body)
            connection.send_data(number, body[:size], end_stream=last)
            if last:
                return None
            body, cut = body[size:], None if cut is None else cut - size
