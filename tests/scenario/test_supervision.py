"""The serving process may end, by whatever: the node goes on. Its parent holds the sockets, starts the next one, and is
the one whose id and whose signals are the node's."""
import contextlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from harness.h1 import H1
from harness.node import SANITIZED, environment, gone, run
from harness.waiting import PATIENCE, Deadline, until

DEATHS = int(os.environ.get("SELVEDGE_DEATHS", "8"))
STEADY = 1.2  # seconds of serving after which a death is answered at once (STEADY_MS), and a little
# A sanitized build takes its time to start, and to end.
ANSWERED = 0.5 if not SANITIZED else 3.0
LIMIT = 1.5
SIGNALS = [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGSTOP]


@pytest.fixture
def supervised(start_node, origin):
    def start(**options):
        origin.serve("/a", b"answered", cache_control="max-age=600")
        # A sanitizer would take the signal for a bug of the process.
        env = {name: environment()[name] + ":handle_segv=0" for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
        node = start_node(origin, env=env, **{"heartbeat_limit": LIMIT, **options})
        node.may_die = True
        return node
    return start


def ended(node, number, count):
    """Waits for the parent to have said so; the line's end."""
    return until(lambda: [match[1] for match in re.finditer(rf"\(pid \d+\) (.*SIG{number}.*)", node.err.text)][count:count + 1],
                 f"the end by SIG{number} is told")[0]


def ready_lines(node):
    return sum("selvedge: ready" in line for line in node.err.lines)


def end_it(node, number):
    """Ends the serving process and waits until the next one is ready."""
    before, ready = node.serving_pid, ready_lines(node)
    os.kill(before, number)
    until(lambda: ready_lines(node) > ready, "the next one is ready", 20)
    return before


def next_one(node, before):
    """The process that follows this one, as soon as it exists."""
    return until(lambda: node.serving_pid not in (None, before) and node.serving_pid, "the next one starts", 20, 0.0001)


@contextlib.contextmanager
def load(node):
    """Four clients that ask all the time, and connect anew when they are cut off. What was wrong in an answer."""
    stop, wrong, answers = threading.Event(), [], [0]

    def ask():
        while not stop.is_set():
            try:
                with H1(("127.0.0.1", node.http_port), seconds=20) as client:
                    while not stop.is_set():
                        answer = client.request("/a")
                        answers[0] += 1
                        if (answer.status, answer.body) not in [(200, b"answered")]:
                            wrong.append((answer.status, answer.body))
            except (OSError, EOFError, ValueError):  # cut off with the process that served it
                pass
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(Deadline(20).left())
    assert not wrong, wrong[:3]
    assert answers[0] > 0


def time_to_an_answer(node, start):
    """A connection that the dying process still took is cut off with it: the client comes again."""
    while True:
        try:
            with H1(("127.0.0.1", node.http_port), seconds=20) as client:
                assert client.request("/a").body == b"answered"
            return time.monotonic() - start
        except (EOFError, ConnectionResetError):
            assert time.monotonic() - start < 20 * PATIENCE


@pytest.mark.patient(60 + 4 * DEATHS)
def test_ended_under_load_it_answers_a_new_connection_in_half_a_second(supervised):
    """SIGSTOP: within the heartbeat limit. Done-when 3."""
    node = supervised()
    pid, token, state = node.pid, node.token, sorted(os.listdir(node.state_dir))
    took = []
    with load(node):
        for turn in range(DEATHS):
            number = SIGNALS[turn % len(SIGNALS)]
            served = time.monotonic()
            until(lambda: time.monotonic() - served > STEADY, "it has served for a while", 5)
            before, start = node.serving_pid, time.monotonic()
            os.kill(before, number)
            if number == signal.SIGSTOP:  # a new connection may wait at the stopped one; it is not lost
                next_one(node, before)
            took.append((number.name, time_to_an_answer(node, start)))
            assert took[-1][1] < PATIENCE * (LIMIT + ANSWERED - 0.5 if number == signal.SIGSTOP else ANSWERED), took
            until(lambda: node.status()["serving_pid"] == node.serving_pid != before, "another one serves")
    print("\n" + ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in took))
    assert node.running and node.pid == pid == node.status()["pid"] and node.token == token
    assert sorted(os.listdir(node.state_dir)) == state
    assert node.metric("selvedge_restarts_total") == DEATHS == ready_lines(node) - 1
    assert node.err.text.count("hangs: no sign of life") == DEATHS // 4


@pytest.mark.parametrize("name", ["SEGV", "ABRT", "KILL"])
def test_what_ended_it_and_when_the_next_one_comes_is_said(supervised, name):
    node = supervised()
    before = end_it(node, getattr(signal, "SIG" + name))
    assert re.search(rf"selvedge: the serving process \(pid {before}\) was ended by SIG{name} \(\d+\); "
                     r"it is started again at once", node.err.text), node.err.text


def test_quick_deaths_back_off(supervised):
    node = supervised()
    for _ in range(5):
        end_it(node, signal.SIGKILL)
    said = re.findall(r"it is started again (.*)", node.err.text)
    assert said == ["at once", "in 0.1 s", "in 0.2 s", "in 0.4 s", "in 0.8 s"]
    start = time.monotonic()
    end_it(node, signal.SIGKILL)  # 1.6 s
    assert 1.6 <= time.monotonic() - start < 1.6 + PATIENCE * (ANSWERED + 1)
    assert node.get("/a").status == 200


def test_a_while_of_serving_forgets_the_quick_deaths(supervised):
    node = supervised()
    for _ in range(3):
        end_it(node, signal.SIGKILL)
    served = time.monotonic()
    until(lambda: time.monotonic() - served > STEADY, "it has served for a while", 5)
    end_it(node, signal.SIGKILL)
    assert re.findall(r"it is started again (.*)", node.err.text) == ["at once", "in 0.1 s", "in 0.2 s", "at once"]


def test_who_connects_meanwhile_is_answered_by_the_next_one(supervised):
    node = supervised()
    for _ in range(4):
        end_it(node, signal.SIGKILL)
    os.kill(node.serving_pid, signal.SIGKILL)
    until(lambda: node.serving_pid is None, "it has ended")
    with H1(("127.0.0.1", node.http_port)) as client:  # the parent's socket takes it: nobody serves for 0.8 s
        client.ask("/a")
        assert node.serving_pid is None
        assert client.answer().body == b"answered"


def test_purges_survive_the_serving_process(start_node, origin):
    """A rule that was acknowledged, with the private state directory, which outlives the serving process, too."""
    node = start_node(origin, state_dir=None)
    node.may_die = True
    sequence = node.purge(everything=True)
    token = node.token
    end_it(node, signal.SIGKILL)
    assert node.token == token and node.status()["sequence"] == sequence
    assert node.purge(everything=True) > sequence
    node.stop()
    assert not node.state_dir.exists()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_it_ends_with_its_parent(supervised, stopped):
    node = supervised(heartbeat_limit=3600)
    serving, port = node.serving_pid, node.http_port
    if stopped:
        os.kill(serving, signal.SIGSTOP)
    node.kill()
    until(lambda: gone(serving), "the serving process has ended")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_it_ends_with_a_parent_that_ends_while_it_starts(supervised):
    node = supervised()
    before = node.serving_pid
    os.kill(before, signal.SIGKILL)
    serving = next_one(node, before)
    node.kill()
    until(lambda: gone(serving), "the serving process has ended")


@pytest.mark.setting("timeouts.heartbeat")
def test_one_that_is_stopped_is_replaced_even_before_it_serves(supervised):
    node = supervised(heartbeat_limit=1)
    before = node.serving_pid
    os.kill(before, signal.SIGKILL)
    stopped = next_one(node, before)
    os.kill(stopped, signal.SIGSTOP)
    assert ready_lines(node) == 1, "it was to be stopped while it started"
    next_one(node, stopped)
    until(lambda: ready_lines(node) == 2, "the third one serves", 20)
    assert node.request("/a").status == 200
    assert "hangs: no sign of life from its main thread" in node.err.text


def test_stopped_it_still_obeys_the_end_of_the_node(supervised):
    """A hung process cannot hold up a stop for ever, either; that end is not clean, and nothing is started after it."""
    node = supervised(heartbeat_limit=1)
    os.kill(node.serving_pid, signal.SIGSTOP)
    node.terminate()
    assert node.wait(20) == 1
    assert "it is not started again" in node.err.text


def test_a_stop_during_the_pause_is_a_clean_one(supervised):
    node = supervised()
    for _ in range(5):
        end_it(node, signal.SIGKILL)
    os.kill(node.serving_pid, signal.SIGKILL)
    assert ended(node, "KILL", 5).endswith("in 1.6 s")
    start = time.monotonic()
    node.terminate()
    assert node.wait(20) == 0
    assert time.monotonic() - start < 1


def test_a_serving_process_that_was_asked_itself_to_stop_ends_the_node(supervised):
    node = supervised()
    os.kill(node.serving_pid, signal.SIGTERM)
    assert node.wait(20) == 0
    node.check_stderr()


def test_under_load_and_idle_no_heart_is_taken_for_silent(supervised):
    """The shortest limit: none of four threads is said to hang, whether all of them work or none."""
    node = supervised(heartbeat_limit=1)
    serving = node.serving_pid
    for working in True, False:
        start = time.monotonic()
        with load(node) if working else contextlib.nullcontext():
            until(lambda: time.monotonic() - start > 2.5, "a while", 10)
    assert node.serving_pid == serving and "hangs" not in node.err.text
    node.may_die = False


def test_a_start_that_fails_is_not_tried_again(start_node, origin, tmp_path):
    (tmp_path / "token").write_text("not a token\n")
    done = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
               "--admin-token-file", tmp_path / "token", "--state-dir", tmp_path / "state")
    assert done.returncode == 1 and "token" in done.stderr
    assert "started again" not in done.stderr and "serving process" not in done.stderr
