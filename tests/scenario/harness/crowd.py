"""Many HTTP/1.1 readers of one URL on one thread: each at its own time and speed, each with a digest of what it got."""
import hashlib
import selectors
import socket
import time

from .waiting import Deadline

PIECE = 1 << 18


class Reader:
    """starts: seconds after the crowd's start. rate: bytes a second, None for as fast as they come."""

    def __init__(self, address, path, starts=0.0, rate=None):
        self.address, self.path, self.starts, self.rate = address, path, starts, rate
        self.socket, self.buffer, self.head = None, b"", None
        self.got, self.digest, self.first_byte, self.error = 0, hashlib.sha256(), None, None
        self.length, self.began = None, None

    def connect(self):
        self.socket = socket.create_connection(self.address, timeout=10)
        self.socket.sendall(f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.began = time.monotonic()

    @property
    def done(self):
        return self.error is not None or (self.length is not None and self.got >= self.length)

    def may_read(self, now):
        """How many bytes its speed allows by now."""
        return PIECE if self.rate is None else min(PIECE, int((now - self.began) * self.rate) - self.got)

    def read(self, size):
        try:
            data = self.socket.recv(size)
        except OSError as error:
            self.error = repr(error)
            return
        if not data:
            self.error = "ended"
            return
        if self.head is None:
            self.buffer += data
            head, mark, data = self.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            self.head = head.decode("latin-1").lower()
            self.length = int(self.head.split("content-length: ")[1].split("\r\n")[0])
        if data:
            self.first_byte = self.first_byte or time.monotonic()
            self.got += len(data)
            self.digest.update(data)


def run_crowd(readers, seconds, each_turn=lambda: None):
    """Lets all of them read to the end. each_turn is called about a hundred times a second."""
    start, deadline = time.monotonic(), Deadline(seconds)
    waiting, slow = sorted(readers, key=lambda reader: reader.starts), []
    with selectors.DefaultSelector() as selector:
        while waiting or slow or selector.get_map():
            deadline.left()
            while waiting and start + waiting[0].starts <= time.monotonic():
                reader = waiting.pop(0)
                reader.connect()
                selector.register(reader.socket, selectors.EVENT_READ, reader)
            for key, _ in selector.select(0.01):
                reader, size = key.data, key.data.may_read(time.monotonic())
                if size <= 0:  # not its turn yet: out of the selector, so that it does not spin
                    selector.unregister(reader.socket)
                    slow.append(reader)
                    continue
                reader.read(size)
                if reader.done:
                    selector.unregister(reader.socket)
                    reader.socket.close()
            now = time.monotonic()
            for reader in [reader for reader in slow if reader.may_read(now) >= 1 << 14 or
                           (reader.length and reader.may_read(now) >= reader.length - reader.got)]:
                slow.remove(reader)
                selector.register(reader.socket, selectors.EVENT_READ, reader)
            each_turn()
