"""Over TLS a stored body is encrypted from where it lies: whoever asks gets every byte in its place."""
import os
import subprocess
import threading

import pytest

from harness.message import noise

MIB = 1 << 20
BODY = noise(3 * MIB + 12345)  # several blocks, and a piece of one


@pytest.fixture
def stored(origin, client):
    origin.serve("/a", BODY, cache_control="max-age=60", etag='"one"')
    for number in range(8):
        origin.serve(f"/{number}", bytes([65 + number]) * (60_000 + number), cache_control="max-age=60")
    for path in ("/a", *(f"/{number}" for number in range(8))):
        client.get(path)


def test_bodies_of_several_requests_alternate_in_one_connection(node, stored):
    with node.h2() as client:
        streams = [client.ask(path) for path in ("/a", *(f"/{number}" for number in range(8)))]
        answers = [stream.rest() for stream in streams]
    assert answers[0].body == BODY
    for number, answer in enumerate(answers[1:]):
        assert answer.body == bytes([65 + number]) * (60_000 + number)
    node.saw(miss=9, hit=9)


@pytest.mark.parametrize("first, end", [(0, 1), (MIB // 2 - 1, MIB // 2 + 1), (100, 2 * MIB), (3 * MIB, len(BODY))])
def test_a_part_of_a_body(node, stored, first, end):
    with node.h2() as client:
        answer = client.get("/a", {"Range": f"bytes={first}-{end - 1}"})
        assert (answer.status, answer.body) == (206, BODY[first:end])
        assert client.get("/0").body == b"A" * 60_000, "the connection goes on"


def test_a_client_that_takes_little_at_a_time_and_is_purged_meanwhile(node, stored):
    """What it reads stays as it was, and what comes after it is asked for again."""
    with node.h2(window=20_000) as client:
        stream = client.ask("/a")
        stream.at_least(100_000)
        node.purge(everything=True)
        assert stream.rest().body == BODY
        assert client.get("/0").cache.get("fwd") == "miss"


def test_one_that_goes_in_the_middle_holds_nothing(node, stored):
    with node.h2(window=50_000) as client:
        stream = client.ask("/a")
        stream.at_least(10_000)
        stream.cancel()
        assert client.get("/1").body == b"B" * 60_001
        left = client.ask("/a")
        left.at_least(10_000)
        client.abort()
    node.purge(everything=True)
    node.wait_metric("selvedge_objects", 0)
    node.wait_metric("selvedge_memory_bytes", 0)


class Dialogue:
    """OpenSSL's own client, which takes commands: K asks the server for new keys, k says that it has new ones."""

    def __init__(self, port):
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-alpn", "http/1.1", "-tls1_3"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen, self.changed = b"", threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        while part := os.read(self.process.stdout.fileno(), 1 << 16):
            with self.changed:
                self.seen += part
                self.changed.notify_all()

    def say(self, line):
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def expect(self, what, times=1):
        with self.changed:
            assert self.changed.wait_for(lambda: self.seen.count(what) >= times, 20), self.seen[-500:]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["its own", "both"])
def test_a_client_that_changes_keys_goes_on(node, origin, command):
    """RFC 8446 section 4.6.3."""
    origin.serve("/a", b"<the whole body>" + b"." * 50_000 + b"<its end>", cache_control="max-age=60")
    node.get("/a")  # and waits until it is stored
    dialogue = Dialogue(node.https_port)
    try:
        dialogue.expect(b"Verify return code")
        for times in range(1, 4):
            dialogue.say(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            dialogue.expect(b"<its end>", times)
            dialogue.say(command)
            dialogue.expect(b"KEYUPDATE", times)
        dialogue.say(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        dialogue.expect(b"<its end>", 4)
        assert dialogue.seen.count(b"<the whole body>" + b"." * 50_000 + b"<its end>") == 4
    finally:
        dialogue.close()
    node.saw(miss=1, hit=4)
