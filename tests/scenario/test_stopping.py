"""SIGTERM: no new work, what is in flight is finished, within the time-out."""
import signal
import time

import pytest

from harness.h1 import H1
from harness.message import noise
from harness.waiting import until


def in_flight(origin):
    """Half of /a comes at once, the rest when the gate opens."""
    gate, body = origin.gate(), noise(100_000)

    def handler(_, response):
        response.head(200, {"Content-Length": len(body), "Cache-Control": "max-age=60"})
        response.raw(body[:50_000])
        gate.wait()
        response.raw(body[50_000:])
    origin.on("/a", handler)
    return gate, body


def refused(node):
    try:
        H1(("127.0.0.1", node.http_port)).close()
        return False
    except ConnectionResetError:  # it came as the listener closed: the next one tells
        return False
    except ConnectionRefusedError:
        return True


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_requests_in_flight_finish_and_new_ones_are_refused(node, origin, name):
    gate, body = in_flight(origin)
    h2, h1 = node.h2(), node.h1()
    stream = h2.ask("/a")
    stream.at_least(50_000)
    h1.ask("/a")
    answer = h1.at_least(h1.head(), 50_000)
    node.terminate(getattr(signal, name))
    until(lambda: refused(node), "new connections are refused")
    h2.wait(lambda: h2.goaway is not None)
    assert h2.goaway == 0
    gate.open()
    assert stream.rest().body == body and h1.rest(answer).body == body
    h1.close()
    assert node.wait(20) == 0
    node.check_stderr()


def test_idle_it_ends_at_once(node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60")
    node.h2().get("/a")
    node.h1().get("/a")
    start = time.monotonic()
    node.terminate()
    assert node.wait(20) == 0
    assert time.monotonic() - start < 5


def test_idle_http_2_connections_are_told(node, origin):
    client = node.h2()
    client.ping()
    node.terminate()
    assert client.ended() == 0
    assert node.wait(20) == 0


@pytest.mark.setting("timeouts.shutdown")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_client_that_stalls_cannot_hold_it_longer_than_the_time_out(start_node, origin, protocol):
    node = start_node(origin, shutdown_timeout="1.5")
    origin.serve("/a", noise(8_000_000), cache_control="max-age=60")
    if protocol == "h2":
        stream = node.h2(window=65_535).ask("/a")
        stream.paused = True
        stream.at_least(65_535)
    else:
        client = node.h1()
        client.ask("/a")
        client.at_least(client.head(), 1)
    start = time.monotonic()
    node.terminate()
    assert node.wait(20) == 0
    assert 1 <= time.monotonic() - start < 6
    node.check_stderr()


def test_an_origin_that_stalls_cannot_hold_it_longer_either(start_node, origin):
    node = start_node(origin, shutdown_timeout="1")
    origin.on("/a", lambda _, response: response.gone())
    stream = node.h2().ask("/a")
    origin.wait_for("/a")
    stream.client.ping()
    start = time.monotonic()
    node.terminate()
    assert node.wait(20) == 0
    assert time.monotonic() - start < 6
    node.check_stderr()


def test_a_second_signal_changes_nothing(start_node, origin):
    node = start_node(origin)
    gate, body = in_flight(origin)
    stream = node.h2().ask("/a")
    stream.at_least(50_000)
    node.terminate()
    until(lambda: refused(node), "new connections are refused")
    node.terminate()
    gate.open()
    assert stream.rest().body == body
    assert node.wait(20) == 0
