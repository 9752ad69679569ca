"""What the origin is asked: an allow-list of fields, and what the node says of itself."""
import re
import socket

import pytest

CLIENTS_OWN = {
    "Accept": "text/css", "Accept-Language": "de", "User-Agent": "scenario/1", "Origin": "https://app.example",
    "Authorization": "Basic bWU6bWU=",
}
NEVER = {"Cookie": "id=1", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "ftp"}
OTHERS = {"X-Custom": "1", "Referer": "https://a.example/", "Accept-Charset": "utf-8", "Pragma": "x"}
HOP_BY_HOP = {"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Authorization": "x"}
OURS = {"host", "accept-encoding", "via", "cdn-loop", "x-forwarded-proto"}


@pytest.fixture
def page(origin):
    origin.serve("/a", b"a", cache_control="no-store")


def seen(node, origin, fields):
    assert node.request("/a", fields).status == (206 if "Range" in fields else 200)
    return origin.asked("/a")[-1].fields


def test_only_what_cannot_change_anything_for_others_passes(node, origin, page):
    fields = seen(node, origin, {**CLIENTS_OWN, **NEVER, **OTHERS, **HOP_BY_HOP, "Accept-Encoding": "br", "Range": "bytes=0-0"})
    for name, value in CLIENTS_OWN.items():
        assert fields.get(name) == value
    names = {name for name, _ in fields}
    assert names <= {name.lower() for name in CLIENTS_OWN} | OURS, names
    assert fields.all("x-forwarded-proto") == ["https"]
    assert fields.get("host") == origin.authority


def test_what_the_node_says_of_itself(node, origin, page):
    fields = seen(node, origin, {})
    assert fields.all("via") == ["1.1 selvedge"]
    assert fields.get("cdn-loop").startswith("selvedge")
    assert fields.all("x-forwarded-proto") == ["https"]
    assert "user-agent" not in fields or "curl" not in fields.get("user-agent")


def test_http_2_clients_are_named_in_via_too(node, origin, page):
    node.h2().get("/a")
    assert origin.asked("/a")[0].fields.all("via") in (["2 selvedge"], ["1.1 selvedge"], ["2.0 selvedge"])


def test_one_accept_encoding_whatever_the_client_says(node, origin, page):
    said = {seen(node, origin, fields).get("accept-encoding") for fields in (
        {}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br, zstd"}, {"Accept-Encoding": "identity;q=0"})}
    assert len(said) == 1


@pytest.mark.setting("sites[].request_fields")
def test_forward_all_passes_the_rest(start_node, origin, page):
    node = start_node(origin, forward="all")
    fields = seen(node, origin, {**CLIENTS_OWN, **NEVER, **OTHERS, **HOP_BY_HOP})
    for name, value in {**CLIENTS_OWN, **OTHERS}.items():
        assert fields.get(name) == value, name
    for name in ("cookie", "x-forwarded-for", "x-forwarded-host", "x-hop", "keep-alive", "te", "proxy-authorization"):
        assert name not in fields, name
    assert fields.all("x-forwarded-proto") == ["https"] and len(fields.all("host")) == 1


def test_via_of_those_before_us_is_kept(start_node, origin, page):
    node = start_node(origin, forward="all")
    assert seen(node, origin, {"Via": "1.0 other"}).get("via") == "1.0 other, 1.1 selvedge"


@pytest.mark.setting("sites[].origin.host")
def test_origin_host(start_node, origin, page):
    node = start_node(origin, origin_host="assets.example")
    assert seen(node, origin, {}).get("host") == "assets.example"


def test_a_request_that_comes_round_again_is_stopped(node, origin, page):
    assert node.request("/a", {"CDN-Loop": "other; v=1"}).status == 200
    assert re.fullmatch("other; v=1, selvedge; node=[0-9a-f]{8}", origin.asked("/a")[0].get("cdn-loop"))
    answer = node.request("/a", {"CDN-Loop": "third, " + origin.asked("/a")[0].get("cdn-loop")})
    assert answer.status == 508 and answer.cache["detail"] and origin.count("/a") == 1


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_a_node_in_front_of_itself_does_not_go_round_for_ever(start_node):
    port = free_port()
    node = start_node(f"http://127.0.0.1:{port}", listen=[f"http://127.0.0.1:{port}"])
    assert node.request("/a").status == 508
    assert node.metric("selvedge_origin_requests_total") < 10


def test_two_nodes_may_stand_in_a_row(start_node, origin, page):
    inner = start_node(origin)
    outer = start_node(f"http://127.0.0.1:{inner.http_port}")
    assert outer.request("/a").body == b"a"
    nodes = re.fullmatch("selvedge; node=([0-9a-f]{8}), selvedge; node=([0-9a-f]{8})", origin.asked("/a")[0].get("cdn-loop"))
    assert nodes and nodes[1] != nodes[2]


def test_the_query_goes_as_it_is_and_the_path_normalised(node, origin):
    node.get("/x/../%7Ea?b=%7e&c=../d")
    assert origin.requests[0].target == "/~a?b=%7e&c=../d"


def test_the_protocol_upstream_is_http_1_1_and_asks_for_no_upgrade(node, origin, page):
    fields = seen(node, origin, {"Connection": "Upgrade", "Upgrade": "websocket"})
    assert "upgrade" not in fields and "http2-settings" not in fields
