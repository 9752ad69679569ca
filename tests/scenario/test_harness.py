"""The harness against itself, without a node: what the other scenarios trust it to see."""
import queue

import pytest

from harness.h1 import H1
from harness.h2client import H2
from harness.h2origin import H2Origin, make_certificates
from harness.message import BodyCutShort, noise, parse_cache_status
from harness.node import parse_metrics
from harness.origin import Origin
from harness.waiting import Background, together


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.close()
    assert not origin.failures


def client_of(origin):
    return H1(("127.0.0.1", origin.port))


def test_a_whole_answer_and_what_the_origin_saw_of_the_request(origin):
    origin.serve("/a", b"body", cache_control="max-age=60")
    with client_of(origin) as client:
        first = client.request("/a?q=1", {"X-One": "1"}, method="PUT", body=b"sent")
        second = client.get("/a", method="HEAD")
    assert (first.status, first.body, first.get("cache-control")) == (200, b"body", "max-age=60")
    assert (second.body, second.get("content-length")) == (b"", "4")
    seen = origin.asked("/a")
    assert [(r.method, r.target, r.body, r.number) for r in seen] == [("PUT", "/a?q=1", b"sent", 1), ("HEAD", "/a", b"", 2)]
    assert seen[0].get("x-one") == "1" and seen[0].connection == seen[1].connection


def test_a_body_that_comes_when_the_gate_opens(origin):
    gate = origin.gate()

    def slow(_, response):
        response.head(200, [("Transfer-Encoding", "chunked")])
        gate.wait()
        response.chunk(b"late")
        response.last_chunk()
    origin.on("/slow", slow)
    with client_of(origin) as client:
        client.ask("/slow")
        answer = client.head()
        assert answer.status == 200 and not gate.is_open()
        gate.open()
        assert client.rest(answer).body == b"late"


@pytest.mark.parametrize("end, how", [("close", "eof"), ("reset", "reset")])
def test_a_body_that_ends_short_is_told_apart_by_its_end(origin, end, how):
    gate = origin.gate()

    def short(_, response):
        response.head(200, [("Content-Length", 10)])
        response.raw(b"only")
        gate.wait()
        getattr(response, end)()
    origin.on("/short", short)
    with client_of(origin) as client:
        client.ask("/short")
        answer = client.at_least(client.head(), 4)
        gate.open()
        with pytest.raises(BodyCutShort) as cut:
            client.rest(answer)
    assert cut.value.how == how and cut.value.answer.body == b"only"


def test_the_origin_sees_that_its_client_left(origin):
    left = queue.Queue()
    origin.on("/gone", lambda _, response: left.put(response.gone()))
    with client_of(origin) as client:
        client.ask("/gone")
        assert origin.wait_for("/gone").number == 1
        assert left.empty()
    assert left.get(timeout=10) is True


def test_threads_at_once_hand_over_results_and_errors():
    assert together(3, lambda index: index * 2) == [0, 2, 4]
    with pytest.raises(ZeroDivisionError):
        together(2, lambda index: 1 // index)
    with pytest.raises(KeyError):
        Background({}.__getitem__, "no").result()


def test_http2_streams_windows_and_resets(tmp_path):
    _, certificate, key = make_certificates(tmp_path)
    large = noise(300_000)
    origin = H2Origin(certificate, key, {"/large": (200, {"etag": '"1"'}, large), "/cut": (200, {}, large)}, {"/cut": 1000})
    with H2(("localhost", origin.port), window=70_000) as client:
        streams = [client.ask("/large") for _ in range(3)]
        assert all(stream.rest().body == large for stream in streams)
        assert streams[0].answer.get("etag") == '"1"'
        client.ping()
        paused = client.ask("/large")
        paused.paused = True
        paused.at_least(70_000)
        client.ping()
        assert len(paused.answer.body) == 70_000
        paused.resume()
        assert paused.rest().body == large
        with pytest.raises(BodyCutShort) as cut:
            client.request("/cut")
        assert (cut.value.how, cut.value.code, len(cut.value.answer.body)) == ("RST_STREAM", 2, 1000)
    origin.close()


def test_cache_status_and_metrics_are_taken_apart():
    assert parse_cache_status("other; hit, selvedge; fwd=miss; stored; ttl=-3; detail=\"x y\"") == {
        "fwd": "miss", "stored": True, "ttl": -3, "detail": "x y"}
    assert parse_cache_status(None) is None
    assert parse_metrics('# HELP a b\na 1\nb{y="2",x="1"} 3\n') == {("a", ()): 1, ("b", (("x", "1"), ("y", "2"))): 3}
    with pytest.raises(AssertionError):
        parse_metrics("a 1\na 2\n")
