"""Interim responses (RFC 9110 section 15.2): those of the origin are passed over, whatever they say; a client who asks for
100 gets it."""
import pytest

from harness.h2origin import H2Origin, make_certificates

EARLY = [(103, {"link": "</a.css>; rel=preload", "cache-control": "no-store", "vary": "*", "etag": '"early"', "x-early": "1"})]
SEVERAL = [(100, {}), (102, {}), *EARLY * 20, (199, {"set-cookie": "a=b"})]
FINAL = {"cache-control": "max-age=60", "x-final": "1"}


@pytest.fixture(params=["h1", "h2"])
def node_behind(request, start_node, origin, tmp_path):
    """node_behind(interim): a node whose origin, over HTTP/1.1 or HTTP/2, sends these heads before its answer to /a."""
    origins = []

    def over_h1(interim):
        def handler(_, response):
            for status, fields in interim:
                response.head(status, fields, date=False)
            response.send(200, FINAL, b"final")
        origin.on("/a", handler)
        return start_node(origin)

    def over_h2(interim):
        ca, certificate, key = make_certificates(tmp_path)
        origins.append(H2Origin(certificate, key, {"/a": (200, FINAL, b"final")}, interim={"/a": interim}))
        return start_node(origins[0].url, ca_file=str(ca))
    yield over_h1 if request.param == "h1" else over_h2
    for one in origins:
        one.close()


@pytest.mark.parametrize("interim", [EARLY, SEVERAL], ids=["early hints", "several"])
def test_the_final_response_is_sent_and_stored_with_nothing_of_them(node_behind, interim):
    node = node_behind(interim)
    for client in node.h1(), node.h2():
        answer = client.get("/a")
        assert (answer.status, answer.body, answer.get("x-final")) == (200, b"final", "1")
        assert answer.get("cache-control") == "max-age=60"
        assert not {"link", "vary", "etag", "x-early", "set-cookie"} & {name for name, _ in answer.fields}
    node.saw(miss=1, hit=1)


@pytest.mark.parametrize("field", [{"content-length": "3"}, {"transfer-encoding": "chunked"}], ids=str)
def test_one_has_no_body_whatever_it_says(client, origin, field):
    def handler(_, response):
        response.head(103, field, date=False)
        response.head(200, FINAL)
        response.raw(b"final")
        response.close()
    origin.on("/a", handler)
    assert client.get("/a").body == b"final"


def test_a_304_may_come_after_one(node, origin):
    def handler(request, response):
        response.head(103, {"etag": '"other"'}, date=False)
        fields = {"Cache-Control": "max-age=0, s-maxage=0", "ETag": '"1"'}
        response.send(304 if request.get("if-none-match") else 200, fields, b"stored")
    origin.on("/a", handler)
    assert [node.get("/a").body for _ in range(2)] == [b"stored", b"stored"]
    assert origin.asked("/a")[1].get("if-none-match") == '"1"'
    node.saw(miss=1, revalidated=1)


@pytest.mark.parametrize("lines", [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",  # nobody asked for that
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nHTTP/1.1 200 OK\r\n\r\n",  # one head within another
    b"HTTP/1.1 103 Early Hints\r\n\r\nlink: </a>\r\n\r\n",  # and no head after it
], ids=["101", "a head within", "no head after"])
def test_one_that_cannot_be_is_an_upstreams_error(client, node, origin, lines):
    def handler(_, response):
        response.raw(lines)
        response.raw(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nfinal")
        response.close()
    origin.on("/a", handler)
    answer = client.get("/a")
    assert (answer.status, answer.cache["detail"]) == (502, "http_protocol_error")
    node.wait_metric("selvedge_objects", 0)


def test_they_are_not_taken_for_ever(client, origin):
    def handler(_, response):
        while True:  # until the node closes the connection
            response.head(103, {"link": "</a>"}, date=False)
    origin.on("/a", handler)
    answer = client.get("/a")
    assert (answer.status, answer.cache["detail"]) == (502, "http_response_header_section_size")


def test_they_do_not_put_off_the_time_out_for_the_answer(start_node, origin):
    def handler(_, response):
        response.head(103, {"link": "</a>"}, date=False)
        assert response.gone()
    origin.on("/a", handler)
    node = start_node(origin, first_byte_timeout="1")
    answer = node.get("/a")
    assert (answer.status, answer.cache["detail"]) == (504, "http_response_timeout")


def test_a_client_who_waits_for_100_gets_it_before_its_body(node, origin):
    origin.on("/a", lambda request, response: response.send(200, {}, request.body))
    client = node.h1()
    client.send(b"POST /a HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    assert client.head(interim=True).status == 100
    assert origin.count() == 0
    client.send(b"body")
    assert client.answer().body == b"body"
    assert "expect" not in origin.asked("/a")[0].fields, "the body is there already"
    node.saw(**{"pass": 1})


def test_so_does_one_over_http_2(node, origin):
    origin.on("/a", lambda request, response: response.send(200, {}, request.body))
    client = node.h2()
    stream = client.ask("/a", {"Expect": "100-continue"}, method="POST", end=False)
    client.wait(lambda: stream.interim == [100])
    assert origin.count() == 0
    client.send_body(stream, b"body")
    assert stream.rest().body == b"body"
    assert stream.interim == [100] and "expect" not in origin.asked("/a")[0].fields
    node.saw(**{"pass": 1})


def test_what_else_a_client_may_expect_is_417(node, origin):
    client = node.h1()
    client.send(b"POST /a HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\nContent-Length: 4\r\n\r\n")
    assert client.head().status == 417
    assert origin.count() == 0
