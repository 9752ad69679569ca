"""What is sent to do harm, by scenarios and by the attacks of tests/fault."""
from .raw import HEADERS, PREFACE, Raw, get, settings, window_update

EXACT = 1000  # the body of /exact


def grow_windows_at_the_end(address):
    """One connection: a large response whose client takes little, so that each of the node's writes stays in flight; beside
    it streams whose bodies are exactly their windows; and every window grows and shrinks again while a write holds the
    ends of some of them. (An unguarded libh2o ends on every few connections like this one.)"""
    def window(size):
        return settings(initial_window_size=size)
    with Raw(address, preface=PREFACE + window(EXACT) + window_update(0, 1 << 30), receive_buffer=4096) as raw:
        raw.send(get(1, "/large") + window_update(1, 1 << 30))
        if not raw.await_frame(HEADERS):
            return
        for turn in range(24):
            if turn % 4 == 0:
                first = 3 + turn * 25
                raw.send(b"".join(get(stream, "/exact") for stream in range(first, first + 100, 2)))
            for size in EXACT + 1, EXACT:
                left = 20_000
                while left > 0 and (taken := len(raw.socket.recv(4096))):
                    left -= taken
                raw.send(window(size))


MALFORMED = {
    "two lengths": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "the same length twice": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a length that is a list": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
    "a length with a sign": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "a length that is no number": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
    "an empty length": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "a length beyond all": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "length and chunks": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\nUser-Agent: a\r\n\r\n",
    "a folded field": b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET /x HTTP/1.1\nHost: a\n\n",
    "a space before the colon": b"GET /x HTTP/1.1\r\nHost : a\r\n\r\n",
    "an empty name": b"GET /x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "an unknown version": b"GET /x HTTP/1.9\r\nHost: a\r\n\r\n",
    "nonsense": b"\x00\x01\x02\x03 nonsense\r\n\r\n",
}
