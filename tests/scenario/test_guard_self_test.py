"""At its start the node proves that the guard is in force, and does not listen when it is not."""
import pytest

from harness.node import SELVEDGE, run

HOOKS = ["phr_parse_request", "h2o_process_request", "h2o_http2_accept", "h2o_hpack_parse_headers", "h2o_hpack_flatten_response",
         "h2o_http2_decode_frame", "h2o_http2_stream_send_pending_data", "h2o_http2_update_peer_settings",
         "h2o_http2_stream_reset", "h2o_socket_write"]
SWITCH = b"SELVEDGE_TEST_GUARD"
WITH_SWITCH = SELVEDGE.exists() and SWITCH in SELVEDGE.read_bytes()
needs_switch = pytest.mark.skipif(not WITH_SWITCH, reason="needs a build with SELVEDGE_TEST_HOOKS")


@needs_switch
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_is_not_in_force_is_named_and_the_node_does_not_listen(monkeypatch, hook):
    monkeypatch.setenv(SWITCH.decode(), hook)
    ended = run("--origin", "http://127.0.0.1:9", "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0")
    assert ended.returncode == 1
    assert "self-test" in ended.stderr and hook in ended.stderr and "ready" not in ended.stderr


@needs_switch
def test_a_guard_that_is_off_says_so(start_node, origin):
    node = start_node(origin, env={SWITCH.decode(): "off"})
    assert "guard is off" in node.err.text


@pytest.mark.skipif(WITH_SWITCH, reason="a build with SELVEDGE_TEST_HOOKS")
def test_a_build_for_use_has_no_switch(start_node, origin):
    node = start_node(origin, env={SWITCH.decode(): "off"})
    assert "guard" not in node.err.text
    with node.h1() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert client.answer().status == 400
