"""Bytes that are fetched and thrown away, because whoever asked has left: so many a minute of one address and of one URL, then what
would go to the origin is refused; what may be stored is rather fetched to its end."""
import socket

import pytest

from harness.message import noise
from harness.waiting import until

MIB = 1 << 20
LARGE = noise(3 * MIB, "large")


def begin(_, response):
    """An origin far away: most of it has not come when the client has what it wanted."""
    response.head(200, {"Cache-Control": "max-age=600", "Content-Length": len(LARGE)})
    response.raw(LARGE[:MIB // 4])
    response.gone()


@pytest.fixture
def large(origin):
    """Every path is three megabytes, fresh for long; what was asked for lies behind it."""
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, LARGE))
    origin.on("/slow/*", begin)
    origin.serve("/hot", b"hot", cache_control="max-age=600")
    return origin


def head(node, path):
    """Of its own connection, as another client would; the fill has ended."""
    answer = node.request(path, method="HEAD")
    node.wait_metric("selvedge_fills", 0)
    return answer


def is_refused(answer, reason):
    assert answer.status in (200, 429)
    if answer.status == 200:
        return False
    assert answer.cache["detail"] == reason and 1 <= int(answer.get("retry-after")) <= 60
    return True


def ask_until_refused(node, path_of, reason, most):
    for number in range(most):
        if is_refused(head(node, path_of(number)), reason):
            return number
    raise AssertionError(f"{most} were answered")


@pytest.mark.setting("limits.address_waste")
def test_heads_of_large_cold_urls(start_node, large):
    node = start_node(large, max_address_waste="2M", max_object="4M", memory="64M")
    node.get("/hot")
    served = ask_until_refused(node, lambda number: f"/slow/{number}", "address_waste", 40)
    assert 1 <= served <= 32, "each wastes 64 KiB at least"
    assert large.count() == served + 1
    assert is_refused(node.request("/again"), "address_waste"), "a GET that would go to the origin, too"
    assert node.request("/hot").cache["hit"], "hits cost nothing"
    assert node.metric("selvedge_refused_total", reason="address_waste") == 2
    assert node.metric("selvedge_refused_total") == 2


@pytest.mark.setting("limits.key_waste")
def test_one_url_that_cannot_be_stored(start_node, large):
    node = start_node(large, max_key_waste="2M", max_object="1M", memory="64M")
    served = ask_until_refused(node, lambda _: "/one", "key_waste", 40)
    assert 1 <= served <= 32 and large.count("/one") == served
    assert node.request("/other").body == LARGE
    assert node.metric("selvedge_refused_total", reason="key_waste") == 1


def test_what_may_be_stored_is_fetched_to_its_end_when_as_much_was_thrown_away(start_node, large):
    def answer(_, response):
        response.head(200, {"Cache-Control": "max-age=600", "Content-Length": len(LARGE)})
        response.raw(LARGE[:MIB])
        if not response.gone(1):  # the node wants the rest
            response.raw(LARGE[MIB:])
    large.on("/kept", answer)
    node = start_node(large, max_object="4M", memory="64M")
    given_up = 0
    while not head(node, "/kept").cache.get("hit") and given_up < 40:
        given_up += 1
    assert 1 < given_up < 40 and large.count("/kept") == given_up
    assert node.request("/kept").body == LARGE
    assert large.count("/kept") == given_up
    assert node.metric("selvedge_refused_total") == 0


def test_a_reader_who_goes_to_another_page_again_and_again(start_node, large):
    node = start_node(large, max_object="4M", memory="64M")
    for page in range(10):
        left = []
        for picture in range(6):
            client = socket.create_connection(("127.0.0.1", node.http_port))
            client.sendall(f"GET /{page}/{picture} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            left.append(client)
        until(lambda: large.count() >= 6 * (page + 1), "all were asked for")
        for client in left:
            client.close()
    assert node.get("/hot").body == b"hot"
    assert node.metric("selvedge_refused_total") == 0


def test_what_a_client_takes_is_not_thrown_away(start_node, large):
    node = start_node(large, max_address_waste="1M", max_key_waste="1M", max_object="1M", memory="64M")
    for _ in range(3):
        answer = node.request("/streamed")
        assert answer.body == LARGE and answer.cache["detail"] == "too-large"
        node.wait_metric("selvedge_fills", 0)
    assert node.metric("selvedge_refused_total") == 0
