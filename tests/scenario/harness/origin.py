"""A scripted HTTP/1.1 origin on bare sockets.

Each path has a handler, a small callable (request, response) that runs on the connection's own thread and sends what it
wants, when it wants: whole answers, single bytes, nonsense, nothing. Every request is kept and counted."""
import email.utils
import socket
import threading
import time
from collections import Counter

from .message import Fields
from .waiting import Deadline, Gate

LINGER_RESET = b"\1\0\0\0\0\0\0\0"


class Request:
    """One request as it came in. number: which one for its path, from 1; connection: which one of the origin's."""

    def __init__(self, method, target, fields, body, number, connection):
        self.method, self.target, self.fields, self.body = method, target, fields, body
        self.path = target.partition("?")[0]
        self.number, self.connection = number, connection

    def get(self, name, default=None):
        return self.fields.get(name, default)

    def __repr__(self):
        return f"<{self.method} {self.target} {dict(self.fields)}>"


class Response:
    """The way back: whole answers by send(), parts by head(), raw(), chunk(), the end by close() or reset()."""

    def __init__(self, connection, request):
        self.connection, self.request = connection, request
        self.keep = True

    def send(self, status=200, fields=(), body=b"", date=True):
        """A whole, correct answer."""
        pairs = list(fields.items() if isinstance(fields, dict) else fields)
        if status not in (204, 304):
            pairs.append(("Content-Length", len(body)))
        self.head(status, pairs, date)
        if self.request.method != "HEAD" and status not in (204, 304):
            self.raw(body)

    def head(self, status=200, fields=(), date=True):
        """Status and fields exactly as given (and Date, unless told otherwise or given)."""
        pairs = Fields(fields)
        if date and "date" not in pairs:
            pairs.append(("date", email.utils.formatdate(usegmt=True)))
        lines = [f"HTTP/1.1 {status} Scripted"] + [f"{name}: {value}" for name, value in pairs]
        self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def raw(self, data):
        """These bytes."""
        self.connection.socket.sendall(data)

    def chunk(self, data):
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def last_chunk(self):
        self.raw(b"0\r\n\r\n")

    def paced(self, data, bytes_per_second, piece=1 << 14):
        """Sends at this rate, measured from now on, so that being late is made good."""
        start = time.monotonic()
        for sent in range(0, len(data), piece):
            time.sleep(max(0, start + sent / bytes_per_second - time.monotonic()))
            self.raw(data[sent:sent + piece])

    def close(self):
        """Ends the connection in good order."""
        self.keep = False
        try:
            self.connection.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the node has ended it already
            pass

    def reset(self):
        """Ends the connection with a reset."""
        self.keep = False
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.connection.socket.close()

    def gone(self, seconds=20):
        """Sends nothing more and waits until the node has closed the connection. False when it did not in time."""
        self.keep = False
        self.connection.socket.settimeout(Deadline(seconds).left())
        try:
            while self.connection.socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except OSError:  # a reset is an end, too; so is our own close()
            pass
        return True


class Connection:
    def __init__(self, origin, number, sock):
        self.origin, self.number, self.socket = origin, number, sock
        self.buffer = b""

    def run(self):
        try:
            while request := self._next():
                response = Response(self, request)
                self.origin.handler(request.path)(request, response)
                if not response.keep:
                    return
        except (BrokenPipeError, ConnectionResetError):
            pass  # the node went away: some scenarios want just that
        except Exception as error:
            if not self.origin.closing:
                self.origin.failures.append(error)
        finally:
            self.socket.close()

    def _until(self, mark):
        while mark not in self.buffer:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self.buffer += data
        data, _, self.buffer = self.buffer.partition(mark)
        return data

    def _exactly(self, length):
        while len(self.buffer) < length:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the node closed within a request's body")
            self.buffer += data
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return data

    def _next(self):
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = Fields((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        if "expect" in fields:
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.origin.note(method, target, fields, self._body(fields), self.number)

    def _body(self, fields):
        if fields.get("transfer-encoding") != "chunked":
            return self._exactly(int(fields.get("content-length", 0)))
        body = b""
        while length := int(self._until(b"\r\n"), 16):
            body += self._exactly(length + 2)[:-2]
        self._until(b"\r\n")
        return body


def not_here(_, response):
    response.send(404, {"Cache-Control": "no-store"}, b"nothing here")


class Origin:
    """Listens on a free port of `address` until close()."""

    def __init__(self, address="127.0.0.1"):
        self.closing = False
        self.failures = []  # exceptions out of handlers; the fixture asserts that there are none
        self.requests = []
        self._numbers, self._handlers, self._gates, self._connections = Counter(), {}, [], []
        self._changed = threading.Condition()
        self.listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                                             backlog=512)
        self.port = self.listener.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.authority = f"{host}:{self.port}"
        self.url = f"http://{self.authority}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, len(self._connections) + 1, sock)
            self._connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def close(self):
        self.closing = True
        for gate in self._gates:
            gate.open()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(5)
        for connection in self._connections:
            try:
                connection.socket.shutdown(socket.SHUT_RDWR)
            except OSError:  # has ended already
                pass

    # ---- the script

    def on(self, path, handler):
        """Requests for this path (whatever the query; a path ending in * is a prefix) go to the handler."""
        self._handlers[path] = handler

    def serve(self, path, body=b"", status=200, date=True, **fields):
        """The path has this answer. Field names as keywords: cache_control="max-age=60"."""
        pairs = [(name.replace("_", "-"), value) for name, value in fields.items() if value is not None]
        self.on(path, lambda request, response: response.send(status, pairs, body, date))

    def handler(self, path):
        if path in self._handlers:
            return self._handlers[path]
        prefixes = [key for key in self._handlers if key.endswith("*") and path.startswith(key[:-1])]
        return self._handlers[max(prefixes, key=len)] if prefixes else not_here

    def gate(self, name="gate"):
        gate = Gate(name)
        self._gates.append(gate)
        return gate

    # ---- what it saw

    def note(self, method, target, fields, body, connection):
        with self._changed:
            path = target.partition("?")[0]
            self._numbers[path] += 1
            request = Request(method, target, fields, body, self._numbers[path], connection)
            self.requests.append(request)
            self._changed.notify_all()
        return request

    def asked(self, path=None):
        """The requests so far, all or those for one path."""
        with self._changed:
            return [request for request in self.requests if path in (None, request.path)]

    def count(self, path=None):
        return len(self.asked(path))

    def wait_for(self, path, count=1, seconds=10):
        """Returns the count-th request for the path once it has come in."""
        deadline = Deadline(seconds)
        with self._changed:
            while self._numbers[path] < count:
                if not self._changed.wait(deadline.left()):
                    raise TimeoutError(f"the origin saw {self._numbers[path]} requests for {path}, not {count}")
        return self.asked(path)[count - 1]
