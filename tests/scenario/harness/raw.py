"""A client that writes frames: HTTP/2 by prior knowledge with frames and header blocks of its own making, and HTTP/1.1 as
bare bytes. It checks nothing and knows no state but what it has read; what is sent is exactly what the test says.

    with Raw(("127.0.0.1", node.http_port)) as raw:
        raw.send(get(1, "/a") + rst_stream(1))
        assert raw.ended() == ENHANCE_YOUR_CALM
"""
import socket
import struct
import time
from collections import namedtuple

from .waiting import Deadline

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 3, 4, 5
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0, 1, 3, 5, 8, 9, 11

Frame = namedtuple("Frame", "kind flags stream payload")


# ---- frames, as bytes

def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    """settings(initial_window_size=0)"""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", globals()[name.upper()], value)
                                          for name, value in values.items()))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def priority(stream, depends_on=0, weight=16, exclusive=False):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on | exclusive << 31, weight - 1))


# ---- header blocks (RFC 7541): literals without Huffman

def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + [value])


def string(text):
    text = text.encode("latin-1") if isinstance(text, str) else text
    return integer(len(text), 7) + text


def field(name, value, indexed=False):
    """A literal with a literal name; indexed: it enters the dynamic table."""
    return (b"\x40" if indexed else b"\x00") + string(name) + string(value)


def request_block(path="/", fields=(), method="GET", authority="localhost", scheme="http"):
    """Pseudo-fields that are None are left out."""
    pseudo = ((":method", method), (":scheme", scheme), (":authority", authority), (":path", path))
    return b"".join(field(name, value) for name, value in pseudo if value is not None) + \
        b"".join(field(name, value) for name, value in fields)


def headers(stream, block, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, block)


def get(stream, path="/", fields=()):
    return headers(stream, request_block(path, fields))


# ---- the connection

class Raw:
    def __init__(self, address, preface=PREFACE + frame(SETTINGS), seconds=20, receive_buffer=None):
        """preface: what is sent at once; b"" for HTTP/1.1. receive_buffer: of the socket, bytes."""
        self.seconds, self.buffer, self.closed = seconds, b"", False
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # or the sender's buffer holds a megabyte
        self.socket.settimeout(Deadline(seconds).left())
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(address)
        self.send(preface)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """All of it; False when the other side has ended the connection meanwhile."""
        self.socket.settimeout(Deadline(self.seconds).left())
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def flood(self, data, until):
        """Sends this over and over until then (time.monotonic()), reading and throwing away what comes. Bytes sent."""
        sent, view = 0, memoryview(data)
        self.socket.setblocking(False)
        while time.monotonic() < until:
            try:
                while self.socket.recv(1 << 16):
                    pass
                break  # the end of the connection
            except BlockingIOError:
                pass
            except ConnectionResetError:
                break
            try:
                sent += self.socket.send(view[sent % len(data):])
            except BlockingIOError:
                time.sleep(0.0005)
            except (BrokenPipeError, ConnectionResetError):
                break
        return sent

    def _more(self, deadline):
        self.socket.settimeout(deadline.left())
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        self.closed = self.closed or not data
        return bool(data)

    def frame(self, deadline=None):
        """The next frame; None at the end of the connection."""
        deadline = deadline or Deadline(self.seconds)
        while True:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) >= 9 + length:
                kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
                return Frame(kind, flags, stream & 0x7fffffff, payload)
            if not self._more(deadline):
                return None

    def await_frame(self, kind, stream=None, flags=0):
        """The next frame of this kind (and stream, with these flags); None when the connection ended without one."""
        deadline = Deadline(self.seconds)
        while found := self.frame(deadline):
            if found.kind == kind and stream in (None, found.stream) and found.flags & flags == flags:
                return found
        return None

    def ping(self):
        """Returns once all that was sent before has been taken in; False when the connection ended instead."""
        return self.send(frame(PING, 0, 0, b"are you?")) and self.await_frame(PING, flags=ACK) is not None

    def ended(self):
        """Waits for the connection's end; the error code of its GOAWAY, None when there was none."""
        deadline, code = Deadline(self.seconds), None
        while found := self.frame(deadline):
            if found.kind == GOAWAY:
                code = int.from_bytes(found.payload[4:8], "big")
        return code

    def rest(self):
        """HTTP/1.1: all bytes until the connection's end."""
        deadline = Deadline(self.seconds)
        while self._more(deadline):
            pass
        return self.buffer
