"""Trap 4: a CONTINUATION that comes after the second GOAWAY of a graceful end is never consumed by libh2o alone, which
reads it again for ever: nobody else gets what it still waits for."""

import os
import select

from harness.raw import (CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, PING, Raw, frame, get, headers, request_block)

from harness.waiting import until

from test_attacks import needs_switch


def seconds_of_work(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def continue_after_the_last_goaway(node, origin):
    """Whether another client's answer, which the origin held back, still came."""
    gate = origin.gate()
    origin.on("/held/*", lambda request, response: (gate.wait(), response.send(200, {"Cache-Control": "max-age=60"}, b"late")))
    with Raw(("127.0.0.1", node.http_port)) as raw, node.h1() as other:
        raw.send(get(1, "/held/1"))
        other.ask("/held/2")
        raw.send(headers(3, request_block("/hot"), END_STREAM))  # and its block goes on
        node.wait_metric("selvedge_fills", 2)
        node.terminate()
        assert raw.await_frame(GOAWAY) and raw.await_frame(GOAWAY)
        pid, before = node.serving_pid, seconds_of_work(node.serving_pid)
        raw.send(frame(CONTINUATION, END_HEADERS, 3) + frame(PING, 0, 0, b"and then"))
        # It has been read: something comes of it, or the loop goes round and round.
        until(lambda: select.select([raw.socket], [], [], 0)[0] or seconds_of_work(pid) > before + 0.3, "it has been read")
        gate.open()
        try:
            return other.answer().body == b"late"
        except (TimeoutError, EOFError, OSError):
            return False


def test_a_continuation_after_the_last_goaway(start_node, origin, table):
    node = start_node(origin, workers="1", shutdown_timeout="3")
    assert continue_after_the_last_goaway(node, origin)
    table.append(("continuation_after_goaway", "-", 1, 1, 0, 2, "-", "the other client is answered"))
    assert node.wait() == 0


@needs_switch
def test_the_bare_library(start_bare, origin, table):
    node = start_bare(origin, workers="1", shutdown_timeout="3")
    answered = continue_after_the_last_goaway(node, origin)
    table.append(("continuation_after_goaway", "-", int(answered), 1, 0, 2, "-",
                  f"guard off, trap 4: the other client is {'' if answered else 'not '}answered"))
    assert not answered
