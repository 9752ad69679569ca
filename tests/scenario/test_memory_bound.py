"""However many responses are fetched at once, and whoever holds them: what the node counts as memory stays within its limit, but
for what each request under way brings with it. What finds no room is refused, clearly."""
import threading
from contextlib import contextmanager

import pytest

from harness.message import noise
from harness.stalling import PREFACE, Stalling, headers, settings
from harness.waiting import together

LIMIT = 16 << 20
PIECE = 1_000_000
OF_EACH = 16 << 10  # an object, its home, its head
FRESH = {"Cache-Control": "max-age=600"}


@contextmanager
def watched(node, most):
    """Reads the gauge as fast as it can meanwhile; it never shows more than `most`."""
    over, seen = threading.Event(), []

    def watch():
        while not over.is_set():
            seen.append(node.metric("selvedge_memory_bytes"))
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    over.set()
    thread.join(20)
    assert len(seen) > 5 and max(seen) <= most, (len(seen), max(seen))


def judge(node, answers, body):
    """Whole, or refused with all that a client must know; each refused request is counted once."""
    refused = [answer for answer in answers if answer.status == 503]
    for answer in refused:
        assert answer.cache["detail"] == "memory" and 1 <= int(answer.get("retry-after")) <= 10
        assert b"memory" in answer.body
    for index, answer in enumerate(answers):
        assert answer in refused or (answer.status == 200 and answer.body == body(index)), (index, answer.status)
    node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_refused_total", reason="memory") == len(refused)
    return len(refused)


@pytest.mark.parametrize("framing", ["known", "unknown"])
def test_sixty_megabytes_at_once_into_sixteen(start_node, origin, framing):
    node = start_node(origin, memory="16M")
    gate = origin.gate()

    def answer(request, response):
        gate.wait()
        if framing == "known":
            response.send(200, FRESH, noise(PIECE, request.path))
        else:
            response.head(200, {**FRESH, "Transfer-Encoding": "chunked"})
            for start in range(0, PIECE, 50_000):
                response.chunk(noise(PIECE, request.path)[start:start + 50_000])
            response.last_chunk()
    origin.on("/*", answer)
    bodies = [noise(PIECE, f"/{number}") for number in range(60)]
    with watched(node, LIMIT + 60 * OF_EACH):
        opener = threading.Thread(target=lambda: (node.wait_metric("selvedge_fills", 60), gate.open()))
        opener.start()
        answers = together(60, lambda index: node.h1().request(f"/{index}"))
        opener.join()
    refused = judge(node, answers, lambda index: bodies[index])
    print("refused", refused, "of 60")
    assert refused < 60
    assert node.request("/after").status == 200
