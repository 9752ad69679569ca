"""Clients that keep a node waiting: each knows what it sends when it connects, what it sends once a second from then on,
and how much it reads. Many of them live on one thread; each tells when and how the node ended it."""
import selectors
import socket
import ssl
import struct
import time

from hpack import Encoder

from .h1 import tls_context
from .waiting import Deadline

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(window):
    return frame(4, 0, 0, struct.pack(">HI", 4, window))


def window_update(stream, more):
    return frame(8, 0, stream, struct.pack(">I", more))


def headers(path, stream=1, method="GET", end=True, more=()):
    block = Encoder().encode([(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path), *more])
    return frame(1, 5 if end else 4, stream, block)


class Stalling:
    """first: bytes sent at once; each_second: bytes sent after each further second, bytes or a function of its number;
    reads: bytes a second, 0 for none, None for all there are; buffer: what its kernel takes ahead of it, in bytes, doubled."""

    def __init__(self, first, each_second=b"", reads=None, tls=None, buffer=16384):
        self.first, self.each_second, self.reads, self.tls, self.buffer = first, each_second, reads, tls, buffer
        self.socket, self.ended, self.seconds, self.got = None, None, 0, 0

    def connect(self, address):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # so that the window opens in small steps
        self.socket.connect(address)
        if self.tls:
            self.socket = tls_context(self.tls).wrap_socket(self.socket, server_hostname="localhost")
        self.socket.sendall(self.first)
        self.socket.setblocking(False)
        self.began = time.monotonic()

    def end(self, how):
        self.ended = (how, time.monotonic() - self.began)
        self.socket.close()

    def on_second(self):
        self.seconds += 1
        piece = self.each_second(self.seconds) if callable(self.each_second) else self.each_second
        try:
            if piece:
                self.socket.send(piece)
            if self.reads is not None:
                self._read(self.reads)
        except BlockingIOError:
            pass
        except OSError:
            self.end("reset")

    def _read(self, size):
        # Bytes that came before a reset can be read after it: who reads little or nothing asks for it first.
        if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, "the connection failed")
        if size == 0:
            return
        try:
            data = self.socket.recv(size)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        self.got += len(data)
        if not data:
            self.end("eof")

    def on_readable(self):
        try:
            self._read(1 << 16)
        except OSError:
            self.end("reset")


def run(clients, address, seconds, each_turn=lambda: None, until=lambda: False):
    """Connects all of them and lets them be until the node has ended each, or `until` is true, or the time is over.
    each_turn: called again and again meanwhile."""
    selector = selectors.DefaultSelector()
    for client in clients:
        client.connect(address)
        if client.reads is None:
            selector.register(client.socket, selectors.EVENT_READ, client)
    end, tick = Deadline(seconds).end, time.monotonic() + 1
    while any(not client.ended for client in clients) and time.monotonic() < end and not until():
        for key, _ in selector.select(0.01):
            client = key.data
            client.on_readable()
            if client.ended:
                selector.unregister(key.fileobj)
        if time.monotonic() >= tick:
            tick += 1
            for client in clients:
                if not client.ended:
                    was = client.socket
                    client.on_second()
                    if client.ended and client.reads is None:
                        selector.unregister(was)
        each_turn()
    for client in clients:
        if not client.ended:
            client.socket.close()
