"""CORS: a site says which origins' pages may read its answers, and what is stored is the same for all of them."""
import pytest

from harness.node import run

SHOP, BLOG, OTHER = "https://shop.example", "https://blog.example", "https://other.example"
FIELD = "access-control-allow-origin"


@pytest.fixture
def start(start_site, origin):
    origin.on("/*", lambda request, response: response.send(200, [
        ("Cache-Control", "max-age=600"), ("Access-Control-Allow-Origin", request.get("origin") or "none"), ("Vary", "Origin"), ("ETag", '"1"')],
        b"0123456789"))
    return start_site


def ask(client, target, origin=None, **more):
    fields = {**({"Origin": origin} if origin else {}), **more.pop("fields", {})}
    return client.get(target, fields=fields, **more)


@pytest.mark.setting("sites[].cors")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_of_a_list_each_is_told_itself_and_all_share_what_is_stored(start, origin, protocol):
    node = start(cors=[SHOP, "https://*.blog.example"])
    client = getattr(node, protocol)()
    for asker, allowed in [(SHOP, [SHOP]), (SHOP, [SHOP]), (None, []), (OTHER, []), ("https://x.blog.example", ["https://x.blog.example"]),
                           (BLOG, []), ("null", [])]:
        answer = ask(client, "/a", asker)
        assert answer.fields.all(FIELD) == allowed, asker
        assert answer.fields.all("vary") == ["Origin"], "caches behind must know"
    for more, status in ({"fields": {"If-None-Match": '"1"'}}, 304), ({"fields": {"Range": "bytes=0-1"}}, 206), ({"method": "HEAD"}, 200):
        answer = ask(client, "/a", SHOP, **more)
        assert (answer.status, answer.fields.all(FIELD)) == (status, [SHOP])
    assert origin.count() == 1 and origin.requests[0].get("origin") is None, "who asks does not go upstream"
    node.saw(miss=1, hit=9)


@pytest.mark.setting("sites[].cors", "sites[].rules[].cors")
def test_all_are_told_the_same(start, origin):
    node = start(cors="*", rules=[{"path": "/own", "cors": "off"}, {"path": "/shop/*", "cors": [SHOP]}])
    for asker in SHOP, OTHER, None:
        assert ask(node, "/a", asker).fields.all(FIELD) == ["*"]
    assert origin.count() == 1
    assert ask(node, "/shop/a", OTHER).fields.all(FIELD) == [] and ask(node, "/shop/a", SHOP).fields.all(FIELD) == [SHOP]
    assert ask(node, "/own", SHOP).fields.all(FIELD) == [SHOP] and ask(node, "/own", OTHER).fields.all(FIELD) == [OTHER]
    assert ask(node, "/own", SHOP).cache["hit"], "there it is the origin's to say, by variants"


def test_the_nodes_own_answers_have_it(start, origin):
    node = start(cors=[SHOP])
    origin.on("/broken", lambda _, response: (response.raw(b"nonsense\r\n\r\n"), response.close()))
    for target, status, more in ("/broken", 502, {}), ("/a", 412, {"fields": {"If-Match": '"2"'}}):
        answer = ask(node, target, SHOP, **more)
        assert (answer.status, answer.fields.all(FIELD), answer.fields.all("vary")) == (status, [SHOP], ["origin"])
    assert ask(node, "/%00", SHOP).fields.all(FIELD) == [], "it has no path"


def preflight(client, target, origin, **fields):
    return client.request(target, {"Origin": origin, "Access-Control-Request-Method": "GET", **fields}, method="OPTIONS")


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_preflights_are_answered_by_the_node(start, origin, protocol):
    node = start(cors=[SHOP], rules=[{"path": "/api/*", "cors": "off"}])
    client = getattr(node, protocol)()
    for _ in range(2):  # the connection goes on
        answer = preflight(client, "/a", SHOP, **{"Access-Control-Request-Headers": "x-a,x-b"})
        assert (answer.status, answer.body, answer.fields.all(FIELD)) == (204, b"", [SHOP])
        assert answer.get("access-control-allow-methods") == "GET, HEAD" and answer.get("access-control-allow-headers") == "x-a,x-b"
        assert answer.get("access-control-max-age") == "86400" and answer.get("vary") == "origin"
        assert "content-length" not in answer.fields and "content-type" not in answer.fields
    answer = preflight(client, "/a", OTHER)
    assert answer.status == 204 and not [name for name, _ in answer.fields if name.lower().startswith("access-control")]
    assert origin.count() == 0
    node.saw(preflight=3)
    assert preflight(client, "/api/1", SHOP).get(FIELD) == SHOP and origin.count() == 1, "there the origin server answers"
    assert client.request("/a", {"Origin": SHOP}, method="OPTIONS").status == 200 and origin.count() == 2, "this is no preflight"


def test_other_methods_still_tell_the_origin_server_who_asks(start, origin):
    node = start(cors="*")
    answer = node.request("/a", {"Origin": SHOP}, method="POST", body=b"1")
    assert answer.fields.all(FIELD) == ["*"] and origin.requests[0].get("origin") == SHOP


@pytest.mark.parametrize("cors, said", [
    ("shop.example", "3:9: sites[].cors shop.example: not an origin; off, * for all, or origins as browsers write them, such as "
                     "https://www.example.com or https://*.example.com"),
    ("[https://a/]", "3:10: sites[].cors https://a/: not an origin; "),
    ("[https://a, '*']", "3:21: sites[].cors *: goes with no other; "),
    ("['*', https://a]", "3:15: sites[].cors https://a: goes with no other; "),
    ("[off, https://a]", "3:15: sites[].cors https://a: goes with no other; off, * for all, or origins as browsers write them, such as "
                         "https://www.example.com or https://*.example.com"),
    ("[https://a, off]", "3:21: sites[].cors off: goes with no other; "),
    ("[off, '*']", "3:15: sites[].cors *: goes with no other; "),
    ("[off, off]", "3:15: sites[].cors off: goes with no other; "),
    ("{a: b}", "3:9: sites[].cors is no list; allowed is a list: off, * for all")])
def test_what_cannot_be_is_told(tmp_path, cors, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}},\n  cors: {cors}}}\n")
    done = run("--config", path, "--check")
    assert done.returncode == 1 and said in done.stdout, done.stdout
