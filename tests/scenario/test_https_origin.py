"""An origin over TLS: HTTP/2, its certificate verified."""
import pytest

from harness.h2origin import H2Origin, make_certificates
from harness.message import BodyCutShort, noise

LARGE = noise(1_500_000)


@pytest.fixture
def serve(start_node, tmp_path):
    """serve(name): an HTTP/2 origin whose certificate names it so; and the authority's file."""
    origins = []

    def start(name="localhost"):
        folder = tmp_path / name
        folder.mkdir()
        ca, certificate, key = make_certificates(folder, name)
        origin = H2Origin(certificate, key, {"/a": (200, {"cache-control": "max-age=60"}, b"secure"),
                                             "/large": (200, {"cache-control": "max-age=60"}, LARGE),
                                             "/cut": (200, {"cache-control": "max-age=60"}, LARGE)}, cut={"/cut": 100_000})
        origins.append(origin)
        return origin, ca
    yield start
    for origin in origins:
        origin.close()


@pytest.mark.setting("sites[].origin.ca_file")
def test_http_2_upstream(start_node, serve):
    origin, ca = serve()
    node = start_node(origin.url, ca_file=str(ca))
    client = node.h2()
    assert client.get("/a").body == b"secure"
    assert client.get("/large").body == LARGE
    assert client.get("/a").cache["hit"] and client.get("/large").cache["hit"]
    assert [request.path for request in origin.requests] == ["/a", "/large"]
    fields = origin.requests[0].fields
    assert fields.get(":authority") == f"localhost:{origin.port}" and fields.get(":scheme") == "https"
    assert fields.get("x-forwarded-proto") == "https" and fields.get("via")
    node.saw(miss=2, hit=2)


def test_requests_at_once_share_a_connection(start_node, serve):
    origin, ca = serve()
    node = start_node(origin.url, ca_file=str(ca))
    client = node.h2()
    client.get("/a")
    streams = [client.ask(f"/{number}") for number in range(20)]
    assert {stream.rest().status for stream in streams} == {404}
    assert origin.connections <= 3


def test_a_stream_that_is_reset_ends_the_clients_with_an_error(start_node, serve):
    origin, ca = serve()
    node = start_node(origin.url, ca_file=str(ca))
    for client in node.h1(), node.h2():
        with pytest.raises(BodyCutShort) as cut:
            client.get("/cut")
        assert LARGE.startswith(bytes(cut.value.answer.body))
        assert client.protocol == "h1" or client.get("/a").body == b"secure"
    node.wait_metric("selvedge_fills", 0)


def test_an_unknown_authority_is_502_and_nothing_is_asked(start_node, serve):
    origin, _ = serve()
    node = start_node(origin.url)
    answer = node.get("/a")
    assert answer.status == 502 and answer.cache["detail"]
    assert origin.requests == []


def test_another_name_in_the_certificate_is_502(start_node, serve):
    origin, ca = serve("other.example")
    node = start_node(origin.url, ca_file=str(ca))
    answer = node.get("/a")
    assert answer.status == 502 and answer.cache["detail"]
    assert origin.requests == []
