"""A body that breaks off: the rest of that very version is asked for, so that all clients get the whole, and it is stored (RFC 9110
sections 13.1.5 and 14, RFC 9111 sections 3.3 and 3.4). Anything but that rest, and they are cut off as ever."""
import pytest

from harness.h2origin import H2Origin, make_certificates
from harness.message import BodyCutShort, noise
from test_partial import MIB, Large, pieces

BODY = noise(300_000)
AT = 100_000  # bytes come before it breaks off
FIELDS = {"Cache-Control": "max-age=60", "Accept-Ranges": "bytes", "ETag": '"one"'}


def part(body, asked):
    """The bytes that a Range of one part asks for, and the Content-Range that belongs to them."""
    first, _, last = asked.removeprefix("bytes=").partition("-")
    rest = body[int(first):int(last) + 1 if last else None]
    return rest, f"bytes {first}-{int(first) + len(rest) - 1}/{len(body)}"


class Breaking:
    """At the origin: what breaks off after so many bytes in its first answer, so many in its second; then it is whole."""

    def __init__(self, origin, breaks=(AT,), how="reset", body=BODY, path="/a", **fields):
        self.origin, self.breaks, self.how, self.body, self.path = origin, breaks, how, body, path
        self.fields = {**FIELDS, **{name.replace("_", "-"): value for name, value in fields.items()}}  # None: not said
        self.alter = lambda request, answer: None  # answer: [status, fields, body], to a request for the rest
        self.before_break = self.before_rest = lambda: None
        origin.on(path, self.handle)

    def answer(self, request):
        asked = request.get("range")
        if not asked or request.get("if-range") not in (None, self.fields.get("ETag")):
            return [200, dict(self.fields), self.body]
        self.before_rest()
        rest, where = part(self.body, asked)
        answer = [206, {**self.fields, "Content-Range": where}, rest]
        self.alter(request, answer)
        return answer

    def handle(self, request, response):
        status, fields, body = self.answer(request)
        fields = {name: value for name, value in {"Content-Length": len(body), **fields}.items() if value is not None}
        response.head(status, fields)
        if request.number > len(self.breaks):
            response.raw(body)
            if "Content-Length" not in fields:
                response.close()
            return
        response.raw(body[:self.breaks[request.number - 1]])
        self.before_break()
        {"reset": response.reset, "close": response.close, "stall": response.gone}[self.how]()
        response.keep = False

    def asked(self):
        return [request.get("range") for request in self.origin.asked(self.path)]


def resumes(node, **results):
    """So many have come to this end, and no others."""
    node.wait_metric("selvedge_fills", 0)
    for result in "completed", "refused", "broken":
        assert node.metric("selvedge_fill_resumes_total", result=result) == results.get(result, 0), result


def is_cut_off(client, body=BODY, path="/a"):
    """What breaks off before the node has sent its head on may still be answered: with a 502."""
    try:
        answer = client.get(path)
        assert (answer.status, answer.cache["detail"]) == (502, "http_response_incomplete")
    except ConnectionResetError:
        pass
    except BodyCutShort as cut:
        assert body.startswith(bytes(cut.answer.body)), "nothing of another version"


@pytest.mark.parametrize("how", ["reset", "close", "stall"])
def test_the_rest_is_asked_for_and_the_whole_is_stored(start_node, origin, how):
    node = start_node(origin, between_bytes_timeout="0.5")
    path = Breaking(origin, how=how)
    for client in node.h1(), node.h2():
        answer = client.get("/a")
        assert (answer.status, answer.body) == (200, BODY)
        assert (answer.cache.get("stored"), answer.cache.get("hit")) == ((True, None) if client.protocol == "h1" else (None, True))
    first, again = path.asked()
    assert first is None and again == f"bytes={AT}-"
    assert origin.asked("/a")[1].get("if-range") == '"one"' and origin.asked("/a")[0].get("if-range") is None
    resumes(node, completed=1)
    node.saw(miss=1, hit=1)
    assert node.metric("selvedge_origin_requests_total") == 2


def test_before_its_first_byte_all_is_the_rest(client, node, origin):
    path = Breaking(origin, breaks=(0,), how="close")
    assert client.get("/a").body == BODY and client.get("/a").cache["hit"]
    assert path.asked() == [None, "bytes=0-"]


def test_all_who_read_along_get_the_whole(node, origin):
    path, broken, again = Breaking(origin), origin.gate("all read"), origin.gate("the rest")
    path.before_break, path.before_rest = broken.wait, again.wait
    client = node.h2(window=1 << 24)
    streams = [client.ask("/a") for _ in range(10)]
    for stream in streams:
        stream.at_least(AT)
    broken.open()
    origin.wait_for("/a", 2)
    late = node.h2().ask("/a")
    late.at_least(AT)
    again.open()
    assert [stream.rest().body == BODY for stream in [*streams, late]] == [True] * 11
    assert path.asked() == [None, f"bytes={AT}-"] and node.get("/a").cache["hit"]
    resumes(node, completed=1)


def test_the_head_is_that_of_the_first_answer(client, node, origin):
    path = Breaking(origin, Age="10", X_Version="1")
    path.alter = lambda request, answer: answer[1].update({"Age": "50", "X-Version": "2", "Cache-Control": "max-age=600"})
    for _ in range(2):
        answer = client.get("/a")
        assert answer.body == BODY and answer.get("x-version") == "1" and 10 <= answer.age < 40
        assert answer.get("cache-control") == "max-age=60" and "content-range" not in answer.fields
    assert client.get("/a").cache["hit"]


@pytest.mark.parametrize("fields", [
    {"ETag": None}, {"ETag": 'W/"one"'}, {"Accept-Ranges": None}, {"Accept-Ranges": "none"},
    {"Content-Length": None, "Transfer-Encoding": "chunked"},
], ids=repr)
def test_without_what_it_takes_nothing_more_is_asked_for(client, node, origin, fields):
    path = Breaking(origin, **fields)
    if "Transfer-Encoding" in fields:
        path.body = b"%x\r\n%s" % (len(BODY), BODY)
    is_cut_off(client)
    assert path.asked() == [None]
    resumes(node)
    node.wait_metric("selvedge_objects", 0)


@pytest.mark.parametrize("method, status", [("GET", 404), ("POST", 200)])
def test_only_the_200_of_a_get_has_a_rest(client, node, origin, method, status):
    path = Breaking(origin)
    path.answer = lambda request: [status, path.fields, BODY]
    with pytest.raises((BodyCutShort, ConnectionResetError)):
        client.request("/a", method=method)
    assert path.asked() == [None]
    resumes(node)


def altered(status=None, body=None, **fields):
    def alter(request, answer):
        answer[0] = status or answer[0]
        answer[1].update({name.replace("_", "-"): value for name, value in fields.items()})
        answer[2] = answer[2] if body is None else body
    return alter


REST, OTHER = len(BODY) - AT, noise(len(BODY), seed=2)
NOT_THE_REST = {
    "a 200 of another version": altered(200, OTHER, ETag='"two"', Content_Range=None),
    "a 200 of the same": altered(200, BODY, Content_Range=None),
    "another ETag": altered(body=OTHER[AT:], ETag='"two"'),
    "a weak ETag": altered(ETag='W/"one"'),
    "no ETag": altered(ETag=None),
    "two ETags": altered(ETag='"one"\r\nETag: "two"'),
    "from too early": altered(Content_Range=f"bytes {AT - 1}-{len(BODY) - 1}/{len(BODY)}", body=BODY[AT - 1:]),
    "from too late": altered(Content_Range=f"bytes {AT + 1}-{len(BODY) - 1}/{len(BODY)}", body=BODY[AT + 1:]),
    "not to the end": altered(Content_Range=f"bytes {AT}-{len(BODY) - 2}/{len(BODY)}", body=BODY[AT:-1]),
    "of another length": altered(Content_Range=f"bytes {AT}-{len(BODY) - 1}/{len(BODY) + 1}"),
    "of an unknown length": altered(Content_Range=f"bytes {AT}-{len(BODY) - 1}/*"),
    "of another unit": altered(Content_Range=f"lines {AT}-{len(BODY) - 1}/{len(BODY)}"),
    "without Content-Range": altered(Content_Range=None),
    "two Content-Ranges": altered(Content_Range=f"bytes {AT}-{len(BODY) - 1}/{len(BODY)}\r\nContent-Range: bytes 0-9/{len(BODY)}"),
    "fewer bytes than it says": altered(body=BODY[AT:-1]),
    "more bytes than it says": altered(body=BODY[AT:] + b"x"),
    "an end with the connection": altered(Content_Length=None),
    "several parts": altered(Content_Type="multipart/byteranges; boundary=b", Content_Range=None),
    "several parts, and a Content-Range": altered(Content_Type="Multipart/byteranges; boundary=b"),
    "another coding": altered(Content_Encoding="gzip"),
    "304": altered(304, b"", Content_Length=None),
    "404": altered(404, b"no"),
    "416": altered(416, b"", Content_Range=f"bytes */{len(BODY)}"),
    "500": altered(500, b"no"),
    "503": altered(503, b"no", Retry_After="1"),
}


@pytest.mark.parametrize("what", NOT_THE_REST)
def test_anything_but_the_rest_cuts_the_clients_off(client, node, origin, what):
    path = Breaking(origin, how="close")
    path.alter = NOT_THE_REST[what]
    is_cut_off(client)
    assert path.asked() == [None, f"bytes={AT}-"], "it is not tried again"
    resumes(node, refused=1)
    node.wait_metric("selvedge_objects", 0)
    path.fields["ETag"], path.body = '"three"', noise(1000, seed=3)
    answer = node.get("/a")
    assert answer.body == path.body and answer.get("etag") == '"three"', "what it has now"


@pytest.mark.parametrize("rest", ["gzip", None])
def test_the_rest_of_what_has_a_coding(client, node, origin, rest):
    """Of fields like this one an answer to If-Range need not say again what the first answer said (RFC 9110 section 15.3.7)."""
    path = Breaking(origin, Content_Encoding="gzip")
    path.alter = altered(Content_Encoding=rest)
    for _ in range(2):
        answer = client.get("/a")
        assert answer.body == BODY and answer.get("content-encoding") == "gzip"
    assert answer.cache["hit"]


def test_interim_responses_are_passed_over(client, node, origin):
    path = Breaking(origin)
    answer = path.handle

    def handle(request, response):
        if request.number == 2:
            response.raw(b"HTTP/1.1 103 Early Hints\r\nETag: \"two\"\r\nContent-Range: bytes 0-1/2\r\n\r\n")
        answer(request, response)
    origin.on("/a", handle)
    assert client.get("/a").body == BODY
    resumes(node, completed=1)


def test_a_rest_in_chunks(client, node, origin):
    path = Breaking(origin)
    path.alter = lambda request, answer: (answer[1].update({"Content-Length": None, "Transfer-Encoding": "chunked"}),
                                          answer.__setitem__(2, b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer[2]), answer[2])))
    assert client.get("/a").body == BODY and client.get("/a").cache["hit"]
    resumes(node, completed=1)


def test_a_rest_that_breaks_off_has_a_rest_once(client, node, origin):
    path = Breaking(origin, breaks=(AT, 50_000), how="close")
    assert client.get("/a").body == BODY and client.get("/a").cache["hit"]
    assert path.asked() == [None, f"bytes={AT}-", f"bytes={AT + 50_000}-"]
    resumes(node, completed=1)


@pytest.mark.parametrize("breaks, asked", [((AT, 50_000, 50_000, 50_000), 3), ((AT, 0, 50_000), 2), ((0, 0), 2)])
def test_it_is_given_up_after_two_and_after_one_that_brings_nothing(client, node, origin, breaks, asked):
    path = Breaking(origin, breaks=breaks, how="close")
    is_cut_off(client)
    assert len(path.asked()) == asked
    resumes(node, broken=1)
    node.wait_metric("selvedge_objects", 0)


def test_an_origin_that_is_gone_is_asked_no_further(client, node, origin):
    """Its answer to the second request is none."""
    path = Breaking(origin)
    answer = path.handle
    origin.on("/a", lambda request, response: answer(request, response) if request.number == 1 else response.reset())
    is_cut_off(client)
    assert origin.count("/a") <= 3, "one of them a request that met a broken connection"
    resumes(node, broken=1)


@pytest.mark.parametrize("change", [{"Cache-Control": "no-store"}, {"Cache-Control": "private"}, {"Vary": "Accept-Language"},
                                    {"Set-Cookie": "a=b"}, {"Cache-Tag": "new"}], ids=repr)
def test_a_rest_that_forbids_it_is_not_stored(client, node, origin, change):
    path = Breaking(origin)
    path.alter = lambda request, answer: answer[1].update(change)
    assert client.get("/a").body == BODY
    resumes(node, completed=1)
    node.wait_metric("selvedge_objects", 0)
    assert not client.get("/a").cache.get("hit") and len(path.asked()) == 3


VARY = {  # what the rest says where the first answer said Accept-Language: is it stored?
    "accept-language": True, "Accept-Language, Accept-Language": True, "Accept-Language, Accept-Encoding": True, None: True,
    "Accept-Language\r\nVary: X-B": False, "Accept-Language, X-B": False, "X-B": False, "": False, "*": False}


@pytest.mark.parametrize("vary", VARY, ids=repr)
def test_a_rest_that_is_selected_by_other_fields_is_not_stored(client, node, origin, vary):
    path = Breaking(origin, Vary="Accept-Language")
    path.alter = altered(Vary=vary)
    assert client.get("/a").body == BODY
    resumes(node, completed=1)
    assert client.get("/a").cache.get("hit", False) == VARY[vary]


def test_a_large_body_that_streams_through(start_node, origin):
    node = start_node(origin, max_object="1M", memory="16M")
    body = noise(12 * MIB)
    path = Breaking(origin, breaks=(7 * MIB + 5, 123), how="close", body=body, **{"Cache-Control": "no-store"})
    client = node.h1()
    answer = client.get("/a")
    assert answer.body == body and "stored" not in answer.cache
    assert path.asked() == [None, f"bytes={7 * MIB + 5}-", f"bytes={7 * MIB + 5 + 123}-"]
    resumes(node, completed=1)
    assert node.metric("selvedge_memory_bytes") <= 16 * MIB


def test_the_first_piece_of_a_large_body(start_node, origin):
    node = start_node(origin, max_object="1M")
    body = noise(2 * MIB)
    path = Breaking(origin, breaks=(300_000,), how="close", body=body)
    assert node.h1().get("/a").body == body
    assert path.asked()[1:] == [f"bytes=300000-{2 * MIB - 1}"], "and of the one behind it"
    node.wait_metric("selvedge_fills", 0)
    assert node.h1().get("/a").cache["hit"]


def test_a_piece_of_what_is_kept_in_pieces(start_node, origin):
    node = start_node(origin, max_object="1M")
    large = Large(origin)
    asked = {"Range": f"bytes={5 * MIB}-{5 * MIB + 99}"}
    node.h1().request("/a", asked)
    node.wait_metric("selvedge_fills", 0)

    def handle(request, response):
        rest, where = part(large.body, request.get("range"))
        response.head(206, {**large.fields, "ETag": large.etag, "Content-Range": where, "Content-Length": len(rest)})
        response.raw(rest if request.get("range") != pieces(8)[0] else rest[:300_000])
        if request.get("range") == pieces(8)[0]:
            response.close()
    origin.on("/a", handle)
    for _ in range(2):
        answer = node.h1().request("/a", {"Range": f"bytes={8 * MIB}-{9 * MIB - 1}"})
        assert answer.status == 206 and answer.body == large.body[8 * MIB:9 * MIB]
        node.wait_metric("selvedge_fills", 0)
    assert answer.cache["hit"]
    assert large.asked()[-2:] == pieces(8) + [f"bytes={8 * MIB + 300_000}-{9 * MIB - 1}"]
    assert origin.asked("/a")[-1].get("if-range") == '"one"'
    resumes(node, completed=1)


def test_a_piece_whose_rest_is_of_another_version(start_node, origin):
    node = start_node(origin, max_object="1M")
    large = Large(origin)
    node.h1().request("/a", {"Range": f"bytes={5 * MIB}-{5 * MIB + 99}"})
    node.wait_metric("selvedge_fills", 0)
    old, answer = large.body, large.handle

    def handle(request, response):
        if request.get("range") != pieces(8)[0]:
            return answer(request, response)
        rest, where = part(large.body, request.get("range"))
        response.head(206, {**large.fields, "ETag": large.etag, "Content-Range": where, "Content-Length": len(rest)})
        response.raw(rest[:300_000])
        large.change('"two"')
        response.close()
    origin.on("/a", handle)
    with pytest.raises((BodyCutShort, ConnectionResetError)) as cut:
        node.h1().request("/a", {"Range": f"bytes={8 * MIB}-{9 * MIB - 1}"})
    if isinstance(cut.value, BodyCutShort):
        assert old[8 * MIB:].startswith(bytes(cut.value.answer.body))
    resumes(node, refused=1)


def test_a_clients_own_range_that_went_upstream_is_not_added_to(start_node, origin):
    """What is not stored and lies far behind the beginning is asked for by the client's own Range."""
    node = start_node(origin)
    body = noise(20 * MIB)
    Breaking(origin, breaks=(), body=body, Cache_Control="no-store")
    answer = origin.handler("/a")

    def handle(request, response):
        if not request.get("range"):
            return answer(request, response)
        rest, where = part(body, request.get("range"))
        response.head(206, {**FIELDS, "Content-Range": where, "Content-Length": len(rest)})
        response.raw(rest[:1000])
        response.close()
    origin.on("/a", handle)
    with pytest.raises((BodyCutShort, ConnectionResetError)):
        node.h1().request("/a", {"Range": f"bytes={15 * MIB}-{16 * MIB}"})
    assert [request.get("range") for request in origin.asked("/a")] == [None, f"bytes={15 * MIB}-{16 * MIB}"]
    resumes(node)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_purged_before_the_rest_comes(node, origin, soft):
    path, again = Breaking(origin), origin.gate("the rest")
    path.before_rest = again.wait
    early = node.h2().ask("/a")
    origin.wait_for("/a", 2)
    node.purge(urls=[node.url("/a")], soft=soft)
    path.fields["ETag"], new = '"two"', noise(1000, seed=2)
    old, path.body = path.body, new
    assert node.request("/a").body == new, "a fill of its own"
    path.fields["ETag"], path.body = '"one"', old
    again.open()
    assert early.rest().body == old, "it came before the purge"
    answer = node.get("/a")
    assert answer.body == new and answer.cache["hit"], "the old one has not replaced it"
    resumes(node, completed=1)


def test_what_nobody_waits_for_any_more(node, origin):
    """Little is missing: it is finished, and stored. Much: it is given up."""
    for path, length, objects in ("/small", 300_000, 1), ("/large", 5_000_000, 1):
        breaking, again = Breaking(origin, body=noise(length), path=path, how="close"), origin.gate(path)
        breaking.before_rest = again.wait
        client = node.h2()
        stream = client.ask(path)
        origin.wait_for(path, 2)
        stream.cancel()
        client.ping()
        if path == "/large":
            node.wait_metric("selvedge_fills", 0)
        again.open()
        node.wait_metric("selvedge_fills", 0)
        node.wait_metric("selvedge_objects", objects)
    assert node.get("/small").cache["hit"]


@pytest.mark.parametrize("rest", ["comes", "is refused"])
def test_where_something_stale_is_stored(client, node, origin, rest):
    """Refused, the origin is in trouble: as nothing of the new body has come, what is stale answers instead."""
    Breaking(origin, breaks=(), body=b"old", Cache_Control="max-age=60, stale-if-error=6000", Age="100", ETag='"old"')
    assert client.get("/a").body == b"old"
    node.wait_metric("selvedge_fills", 0)
    path = Breaking(origin, breaks=(len(BODY), 0), how="close")
    if rest == "is refused":
        path.alter = altered(503, b"no")
    answer = client.get("/a")
    assert path.asked() == [None, None, "bytes=0-"]
    if rest == "comes":
        assert answer.body == BODY and answer.cache["fwd"] == "stale"
        resumes(node, completed=1)
        assert client.get("/a").cache["hit"]
    else:
        assert answer.body == b"old" and answer.cache["detail"].startswith("stale-if-error/")
        resumes(node, refused=1)
        assert node.metric("selvedge_revalidations_failed_total") == 1


@pytest.fixture
def h2_origin(tmp_path):
    """h2_origin(how): an HTTP/2 origin whose first answers break off so; and the authority's file."""
    ca, certificate, key = make_certificates(tmp_path)
    origins = []

    def answer(request):
        if not request.get("range"):
            return 200, FIELDS, BODY
        rest, where = part(BODY, request.get("range"))
        return 206, {**FIELDS, "Content-Range": where}, rest

    def start(how):
        cut = {"/a": lambda request: None if request.get("range") else AT}
        origins.append(H2Origin(certificate, key, {"/a": answer}, cut=cut, how=how))
        return origins[-1], ca
    yield start
    for origin in origins:
        origin.close()


@pytest.mark.parametrize("how", ["reset", "close"])
def test_over_http_2_upstream(start_node, h2_origin, how):
    origin, ca = h2_origin(how)
    node = start_node(origin.url, ca_file=str(ca))
    for client in node.h1(), node.h2():
        assert client.get("/a").body == BODY
    first, again = origin.requests
    assert again.get("if-range") == '"one"' and 0 < int(again.get("range")[6:-1]) <= AT
    resumes(node, completed=1)
    node.saw(miss=1, hit=1)


def test_of_a_connection_that_fell_silent_nothing_more_is_asked(start_node, h2_origin):
    """The rest would wait for as long as the head of any answer may, and then fail."""
    origin, ca = h2_origin("silence")
    node = start_node(origin.url, ca_file=str(ca), between_bytes_timeout="0.5", first_byte_timeout="5")
    assert node.h2().get("/a").body == BODY
    assert (len(origin.requests), origin.connections) == (2, 2)
    resumes(node, completed=1)


def test_a_stream_over_http_2_that_ends_early_is_no_message(start_node, h2_origin):
    """Upstream says that this was all (RFC 9113 section 8.1.1): nothing broke."""
    origin, ca = h2_origin("early end")
    node = start_node(origin.url, ca_file=str(ca))
    is_cut_off(node.h2())
    assert len(origin.requests) == 1
    resumes(node)
