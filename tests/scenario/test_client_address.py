"""How the origin is told the client's address: as the site says, from what the node itself saw, and never from the client."""
import pytest

from harness.h1 import H1

FORGED = {"X-Forwarded-For": "192.0.2.66", "Forwarded": "for=192.0.2.66", "Connection": "x-forwarded-for, forwarded"}
FIELDS = ("x-forwarded-for", "forwarded")


def told(origin, target):
    """What the origin was told when it was last asked for this."""
    return {name: origin.asked(target)[-1].fields.all(name) for name in FIELDS}


@pytest.fixture
def page(origin):
    origin.serve("/a", b"a", cache_control="no-store")
    origin.serve("/shared", b"a", cache_control="max-age=600")


@pytest.fixture
def proxied(start_node, origin, page, tmp_path):
    """A node behind a balancer, which says who the client is; with an option for what the origin is told."""
    path = tmp_path / "node.yaml"
    path.write_text("listen:\n- {url: http://127.0.0.1:0, proxy_protocol: on}\n")

    def start(how, **more):
        return start_node(origin, config=path, listen=None, client_address=how, **more)
    return start


def ask(node, client, target="/a", fields=()):
    family, own = ("TCP6", "::1") if ":" in client else ("TCP4", "192.0.2.1")
    line = f"PROXY {family} {client} {own} 1 2\r\n".encode()
    with H1(("127.0.0.1", node.http_port), line=line) as connection:
        return node.settle(connection.request(target, fields))


def test_by_default_it_is_not_told(node, origin, page):
    node.request("/a", FORGED)
    assert told(origin, "/a") == {"x-forwarded-for": [], "forwarded": []}


@pytest.mark.setting("sites[].origin.client_address")
@pytest.mark.parametrize("forward", ["safe", "all"])
@pytest.mark.parametrize("how, v4, v6", [
    ("x-forwarded-for", "203.0.113.7", "2001:db8::7"),
    ("forwarded", "for=203.0.113.7", 'for="[2001:db8::7]"'),
])
def test_it_is_told_in_one_field_that_the_client_can_neither_write_nor_remove(proxied, origin, how, v4, v6, forward):
    node = proxied(how, forward=forward)
    other = next(name for name in FIELDS if name != how)
    for client, expected in ("203.0.113.7", v4), ("2001:db8::7", v6):
        for fields in (), FORGED, {how.title(): "a, b, c"}:
            ask(node, client, fields=fields)
            assert told(origin, "/a") == {how: [expected], other: []}


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_without_a_balancer_it_is_the_address_that_connects(start_node, origin, page, protocol):
    node = start_node(origin, client_address="x-forwarded-for")
    (node.h1() if protocol == "h1" else node.h2()).request("/a", {"X-Forwarded-For": "192.0.2.66"})
    assert told(origin, "/a") == {"x-forwarded-for": ["127.0.0.1"], "forwarded": []}


def test_it_is_not_in_the_key(proxied, origin):
    node = proxied("forwarded")
    for i in range(1, 5):
        assert ask(node, f"203.0.113.{i}", "/shared").body == b"a"
    assert origin.count("/shared") == 1


@pytest.mark.parametrize("how", FIELDS)
def test_an_answer_that_varies_by_it_is_for_that_client_alone(proxied, origin, how):
    origin.on("/vary", lambda request, response: response.send(
        200, [("Cache-Control", "max-age=600"), ("Vary", how)], request.get(how).encode()))
    node = proxied(how)
    first, second = ask(node, "203.0.113.1", "/vary"), ask(node, "203.0.113.2", "/vary")
    assert b"203.0.113.1" in first.body and b"203.0.113.2" in second.body
    again = ask(node, "203.0.113.1", "/vary", {how: "for=203.0.113.2"})
    assert again.body == first.body and again.cache["hit"]
    assert origin.count("/vary") == 2
