"""An HTTP/1.1 client on a bare socket: sends exactly the bytes it is told to, reads as far as it is told to."""
import socket
import ssl
import warnings

from .message import Answer, BodyCutShort
from .waiting import Deadline


def tls_context(*protocols, version=None):
    """Trusts anybody: what certificate a node shows is the business of one scenario only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    if version:
        with warnings.catch_warnings():  # old ones are named on purpose
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        if version < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL 3 itself would not offer it
    return context


def connect(address, seconds=10):
    return socket.create_connection(address, timeout=Deadline(seconds).left())


class H1:
    protocol = "h1"

    def __init__(self, address, tls=False, version=None, seconds=20, settle=lambda answer: answer, line=b""):
        """line: sent before all else, TLS included."""
        self.seconds, self.settle = seconds, settle
        self.socket = connect(address)
        self.socket.sendall(line)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls_context("http/1.1", version=version).wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = b""
        self.asked = []  # methods whose answers have not been read yet

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def abort(self):
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    # ---- sending

    def send(self, data):
        self.socket.settimeout(Deadline(self.seconds).left())
        self.socket.sendall(data)

    def ask(self, target, fields=(), method="GET", body=None, host="localhost"):
        """Sends one request; its answer is read later."""
        lines = [f"{method} {target} HTTP/1.1"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in (fields.items() if isinstance(fields, dict) else fields)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.asked.append(method)
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def request(self, target, fields=(), method="GET", body=None, host="localhost"):
        """Sends one request and reads the whole answer."""
        self.ask(target, fields, method, body, host)
        return self.answer()

    def get(self, target, fields=(), method="GET", **more):
        """request(), and whatever it stored is complete."""
        return self.settle(self.request(target, fields, method, **more))

    # ---- receiving

    def _more(self, deadline):
        """Takes what has arrived into the buffer; False at the end of the stream."""
        self.socket.settimeout(deadline.left())
        data = self.socket.recv(1 << 18)
        self.buffer += data
        return bool(data)

    def _take(self, length):
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def _line(self, deadline):
        while b"\r\n" not in self.buffer:
            if not self._more(deadline):
                raise EOFError(f"the connection ended within a line: {self.buffer!r}")
        return self._take(self.buffer.index(b"\r\n") + 2)[:-2]

    def head(self, interim=False):
        """The next answer's status and fields; interim answers are passed over, unless one is wanted."""
        deadline = Deadline(self.seconds)
        while True:
            _, status, *reason = self._line(deadline).decode("latin-1").split(" ", 2)
            fields = []
            while line := self._line(deadline).decode("latin-1"):
                name, _, value = line.partition(":")
                fields.append((name, value.strip()))
            answer = Answer(int(status), fields, reason[0] if reason else "")
            if interim:
                return answer
            if answer.status >= 200 or answer.status == 101:
                answer.method = self.asked.pop(0) if self.asked else "GET"
                return answer

    def at_least(self, answer, length):
        """Reads until the answer has this much of a body that is not chunked."""
        deadline = Deadline(self.seconds)
        while len(answer.body) < length:
            if not self.buffer and not self._more_of(answer, deadline):
                raise BodyCutShort("eof", answer)
            answer.body += self._take(self._left(answer))
        return answer

    def rest(self, answer):
        """Reads the answer to its end; BodyCutShort when it ends with an error."""
        deadline = Deadline(self.seconds)
        if answer.method == "HEAD" or answer.status in (204, 304) or answer.status == 101:
            return answer
        if "chunked" in (answer.get("transfer-encoding") or ""):
            self._chunks(answer, deadline)
        else:
            while self._left(answer):
                if not self.buffer and not self._more_of(answer, deadline):
                    if "content-length" in answer.fields:
                        raise BodyCutShort("eof", answer)
                    break
                answer.body += self._take(self._left(answer))
        return answer

    def answer(self):
        return self.rest(self.head())

    def _left(self, answer):
        length = answer.get("content-length")
        return int(length) - len(answer.body) if length is not None else 1 << 62

    def _more_of(self, answer, deadline):
        try:
            return self._more(deadline)
        except ConnectionResetError:
            raise BodyCutShort("reset", answer) from None

    def _chunks(self, answer, deadline):
        while True:
            while b"\r\n" not in self.buffer:
                if not self._more_of(answer, deadline):
                    raise BodyCutShort("eof", answer)
            size = self._line(deadline).split(b";")[0]
            if not size.isalnum():  # how libh2o says that there is no more to come; how the connection ends says the rest
                raise BodyCutShort(self.ended(), answer)
            length = int(size, 16)
            while len(self.buffer) < length + 2:
                if not self._more_of(answer, deadline):
                    answer.body += self._take(length)
                    raise BodyCutShort("eof", answer)
            answer.body += self._take(length)
            if self._take(2) != b"\r\n":
                raise ValueError("a chunk does not end with a line end")
            if length == 0:
                return

    def ended(self):
        """Waits for the node to end the connection: 'eof' or 'reset'. What came before is left in the buffer."""
        deadline = Deadline(self.seconds)
        try:
            while self._more(deadline):
                pass
        except ConnectionResetError:
            return "reset"
        return "eof"
