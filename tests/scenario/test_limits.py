"""Limits of one client address and of all together: a clear refusal each, a counter, and nothing for others."""
import pytest

from harness.h1 import H1
from harness.waiting import until


@pytest.fixture
def serve(origin):
    origin.serve("/a", b"a", cache_control="max-age=600")
    return origin


def is_refused(node, tls=False):
    """Is a further connection closed without an answer?"""
    try:
        with H1(("127.0.0.1", node.https_port if tls else node.http_port), tls=tls) as client:
            client.ask("/a")
            return client.answer() is None
    except (ConnectionError, EOFError):
        return True


@pytest.mark.setting("limits.connections")
def test_connections_in_all(start_node, serve):
    node = start_node(serve, max_connections="4", max_address_connections="0")
    clients = [node.h1(), node.h2(), node.h1(tls=True), node.h1()]
    for client in clients:
        assert client.get("/a").body == b"a"
    assert is_refused(node) and is_refused(node, tls=True)
    node.wait_metric("selvedge_refused_total", 2, reason="connections")
    assert all(client.get("/a").body == b"a" for client in clients), "who is there stays"
    clients[0].close()
    until(lambda: not is_refused(node), "a place is free again")


@pytest.mark.setting("limits.address_connections")
def test_connections_of_one_address(start_node, serve):
    node = start_node(serve, max_address_connections="3", workers="4")
    clients = [node.h1() for _ in range(3)]
    for client in clients:
        assert client.get("/a").body == b"a"
    assert is_refused(node)
    node.wait_metric("selvedge_refused_total", 1, reason="address_connections")
    clients[1].close()
    until(lambda: not is_refused(node), "a place is free again")


@pytest.mark.setting("limits.address_connection_rate")
def test_new_connections_per_second_of_one_address(start_node, serve):
    node = start_node(serve, max_address_connection_rate="1", workers="4")
    served = sum(not is_refused(node) for _ in range(20))
    assert 5 <= served <= 10, served
    node.wait_metric("selvedge_refused_total", 20 - served, reason="address_connection_rate")


@pytest.mark.setting("limits.address_request_rate")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_requests_per_second_of_one_address(start_node, serve, protocol):
    node = start_node(serve, max_address_request_rate="1", workers="4")
    answers = []
    for _ in range(3):  # the address counts, not the connection
        client = getattr(node, protocol)()
        answers += [client.request("/a") for _ in range(8)]
    limited = [answer for answer in answers if answer.status == 429]
    assert 10 <= len(answers) - len(limited) <= 20, "a burst of ten seconds' worth"
    for answer in limited:
        assert 1 <= int(answer.get("retry-after")) <= 2
        assert answer.cache["detail"] == "request_rate"
        assert answer.body == b"Too many requests from this address.\n"
    node.wait_metric("selvedge_refused_total", len(limited), reason="address_request_rate")
    assert all(answer.body == b"a" for answer in answers if answer.status == 200)


def test_the_admin_listener_has_no_limits(start_node, serve):
    node = start_node(serve, max_connections="1", max_address_connections="1", max_address_connection_rate="1",
                      max_address_request_rate="1")
    for _ in range(30):
        assert node.admin("GET", "/healthz", token=None).status == 200
    assert node.metric("selvedge_refused_total") == 0


def test_by_default_a_crowd_behind_one_address_is_served(start_node, serve):
    node = start_node(serve)
    clients = [node.h1() for _ in range(200)]
    assert all(client.request("/a").body == b"a" for client in clients)
    assert node.metric("selvedge_refused_total") == 0
