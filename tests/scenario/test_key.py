"""The cache key: site, normalised path, query. Not the host's name, not the scheme."""
import pytest


@pytest.fixture
def echo(origin):
    """Every path answers with the target it was asked for."""
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=60"}, request.target.encode()))


def test_host_names_are_aliases_of_one_site(client, node, origin, echo):
    assert client.get("/a", host="one.example").cache["stored"]
    for host in ("two.example", "ONE.example:8080", "localhost", "[::1]"):
        assert client.get("/a", host=host).cache["hit"]
    assert origin.count() == 1
    assert origin.requests[0].get("host") == origin.authority
    node.saw(miss=1, hit=4)


def test_the_scheme_is_not_in_the_key(node, origin, echo):
    assert node.h1().get("/a").cache["stored"]
    assert node.h2().get("/a").cache["hit"]
    assert origin.requests[0].get("x-forwarded-proto") == "https"


@pytest.mark.setting("sites[].forwarded_proto")
def test_the_forwarded_scheme_is_the_sites_constant(start_node, origin, echo):
    node = start_node(origin, forwarded_proto="http")
    node.h2().get("/a")
    assert origin.requests[0].get("x-forwarded-proto") == "http"


@pytest.mark.parametrize("spelling, normal", [
    ("/~user", "/%7Euser"), ("/%7euser", "/~user"), ("/%41bc", "/Abc"), ("/a%2db", "/a-b"), ("/caf%c3%a9", "/caf%C3%A9"), ("/a|b[c]", "/a%7Cb%5Bc%5D"),
    ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/b/.", "/a/b/"), ("/./a", "/a"), ("/a/b/../../c", "/c"),
    ("/a/../b?c=../d", "/b?c=../d"),
])
def test_equivalent_spellings_are_one_key(client, node, origin, echo, spelling, normal):
    assert client.get(spelling).cache["stored"]
    assert client.get(normal).cache["hit"]
    assert origin.count() == 1
    node.saw(miss=1, hit=1)


@pytest.mark.parametrize("one, other", [
    ("/a", "/A"), ("/a", "/a/"), ("/a//b", "/a/b"), ("/a?x", "/a"), ("/a?x=1", "/a?x=2"), ("/a?x=1&y=2", "/a?y=2&x=1"),
    ("/a?", "/a"), ("/a?%7e", "/a?~"), ("/a;b", "/a"), ("/a%3Fb", "/a?b"),
])
def test_different_urls_are_different_keys(client, origin, echo, one, other):
    assert client.get(one).body != client.get(other).body
    assert origin.count() == 2


@pytest.mark.parametrize("path", [
    "/../a", "/a/../../b", "/%2e%2e/a", "/a/%2E%2E/b", "/a/.%2e/b", "/%2e/a", "/a%00b", "/a\\b", "/a%5Cb", "/a%2Fb", "/a%2fb",
    "/a%zz", "/a%4", "/a%", "/caf\xe9",
])
def test_what_escapes_the_root_or_hides_a_separator_is_refused(node, origin, echo, path):
    for client in node.h1(), node.h2():
        if client.protocol == "h2" and not path.isascii():
            continue
        assert client.request(path).status == 400
    assert origin.count() == 0
    assert node.metric("selvedge_guard_stopped_total") >= 1
    assert node.metric("selvedge_objects") == 0


def test_a_target_with_a_fragment_is_refused(node, origin, echo):
    assert node.request("/a#b").status == 400
    assert origin.count() == 0


def test_an_absolute_target_is_the_same_resource(node, origin, echo):
    client = node.h1()
    assert client.get("http://other.example/a?b").body == b"/a?b"
    assert client.get("/a?b").cache["hit"]


@pytest.mark.parametrize("spelling", ["/%7Euser/./a?q=1", "/~user/x/../a?q=1", "/%7euser/%61?q=1"])
def test_a_purge_of_an_equivalent_spelling_hits(node, origin, echo, spelling):
    node.get("/~user/a?q=1")
    node.get("/~user/a?q=2")
    node.purge(urls=[node.url(spelling)])
    assert node.get("/~user/a?q=1").cache["fwd"] == "miss"
    assert node.get("/~user/a?q=2").cache["hit"]
