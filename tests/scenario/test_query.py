"""Query parameters: what a site keeps of them, drops, and sorts, in its keys and in what the origin is asked for."""
import itertools
import json
import threading

import pytest

from harness.node import SELVEDGECTL, run


@pytest.fixture
def start(start_site, origin):
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, request.target.encode()))
    return start_site


@pytest.mark.setting("sites[].query.drop", "sites[].rules[].query.drop")
def test_what_is_dropped_makes_no_difference_and_is_not_asked_for(start, origin):
    node = start(query={"drop": ["utm_*", "fbclid"]}, rules=[{"path": "/all", "query": {"drop": []}}])
    client = node.h2()
    assert client.get("/a?utm_source=x&v=1&fbclid=y").body == b"/a?v=1"
    for target in "/a?v=1", "/a?v=1&utm_medium=mail", "/a?fbclid=z&v=1&utm_=", "/a?&v=1&":
        assert client.get(target).cache["hit"], target
    assert client.get("/a?utm_source=x").body == b"/a" and client.get("/a").cache["hit"]
    assert client.get("/a?v=2").body == b"/a?v=2"
    assert client.get("/all?fbclid=1").body == b"/all?fbclid=1"
    assert [request.target for request in origin.asked()] == ["/a?v=1", "/a", "/a?v=2", "/all?fbclid=1"]
    node.saw(miss=4, hit=5)


@pytest.mark.setting("sites[].query.keep", "sites[].rules[].query.keep")
def test_what_is_not_kept_makes_no_difference(start, origin):
    node = start(query={"keep": []}, rules=[{"path": "/search", "query": {"keep": ["q", "page"]}}, {"path": "/api/*", "query": {"keep": ["*"]}}])
    for target, asked in ("/a?x=1", "/a"), ("/search?session=7&q=a+b&page=2", "/search?q=a+b&page=2"), ("/api/1?x=1&y", "/api/1?x=1&y"):
        assert node.get(target).body == asked.encode()
    for target in "/a", "/a?", "/a?y=2", "/search?q=a+b&page=2&x", "/api/1?x=1&y":
        assert node.get(target).cache["hit"], target
    assert "hit" not in node.get("/search?page=2&q=a+b").cache, "in another order it is another one"


@pytest.mark.setting("sites[].query.sort", "sites[].rules[].query.sort")
def test_the_order_makes_no_difference_where_a_site_says_so(start, origin):
    node = start(query={"sort": "on"}, rules=[{"path": "/as-it-is", "query": {"sort": "off"}}])
    assert node.get("/a?b=2&a=1&b=1").body == b"/a?a=1&b=2&b=1", "those of one name stay in their order"
    assert node.get("/a?a=1&b=2&b=1").cache["hit"] and node.get("/a?b=2&b=1&a=1").cache["hit"]
    assert node.get("/a?b=1&b=2&a=1").body == b"/a?a=1&b=1&b=2"
    assert node.get("/as-it-is?b&a").body == b"/as-it-is?b&a"


def test_who_waited_over_a_reload_stores_nothing_under_keys_of_before(start, origin):
    """It asks the origin by itself, as what it waited for turns out to be private; the purge of the reload is over by then."""
    gate = origin.gate()

    def handler(request, response):
        if request.number == 1:
            gate.wait()
        response.send(200, {"Cache-Control": "private" if request.number == 1 else "max-age=600"}, b"fetch %d" % request.number)
    node = start(query={"drop": ["v"]})
    origin.on("/a", handler)
    client = node.h2()
    early = client.ask("/a?v=1")
    origin.wait_for("/a")
    late = client.ask("/a?v=2")
    client.ping()
    assert start.again() == ["sites[a].query.drop"]
    gate.open()
    assert [early.rest().body, late.rest().body] == [b"fetch 1", b"fetch 2"]
    node.wait_metric("selvedge_fills", 0)
    assert node.get("/a").body == b"fetch 3", "what was fetched for another query is not found"


def test_other_methods_and_what_is_bypassed_have_their_whole_query(start, origin):
    node = start(query={"keep": []}, rules=[{"path": "/cart", "bypass": "on"}])
    node.get("/a")
    assert node.request("/cart?x=1").body == b"/cart?x=1"
    assert node.request("/a?x=1&y", method="POST", body=b"1").body == b"/a?x=1&y"
    assert "hit" not in node.get("/a").cache, "and it is the stored one that a method invalidates"
    node.get("/named")
    origin.on("/post", lambda _, response: response.send(201, {"Location": "/named?utm=1"}, b""))
    node.request("/post?x", method="POST", body=b"1")
    assert "hit" not in node.get("/named").cache, "so is what its answer names"


@pytest.mark.parametrize("target", ["/a?b=2", "/a?utm_x=1&b=2", "/a?b=2&&utm_y", "/./%61?b=2"])
def test_a_purge_finds_the_key_whatever_its_query_says_beside_it(start, origin, target):
    node = start(query={"drop": ["utm_*"]}, purge_method="on")
    node.get("/a?b=2&utm_z=3")
    node.get("/a?b=3")
    node.purge(urls=[node.url(target)])
    assert node.get("/a?b=2").cache["fwd"] == "miss" and node.get("/a?b=3").cache["hit"]
    assert node.request(target, {"Authorization": f"Bearer {node.token}"}, method="PURGE").status == 200
    assert node.get("/a?b=2").cache["fwd"] == "miss" and node.get("/a?b=3").cache["hit"]


def test_a_trace_shows_the_key(start):
    node = start(query={"drop": ["utm_*"], "sort": "on"})
    node.get("/a?b=2&a=1")
    done = run("trace", node.url("/a?b=2&utm_x=1&a=1"), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
    assert "key        /a?a=1&b=2\n" in done.stdout and "treatment  hit: " in done.stdout


def test_a_change_of_what_keys_have_is_a_purge_of_the_site(start, origin):
    node = start(query={"drop": ["utm_*"]})
    node.get("/a")
    assert start.again(query={"drop": ["utm_*"]}, default_lifetime=60) == ["sites[a].default_lifetime"]
    assert node.get("/a").cache["hit"] and node.metric("selvedge_purges_total") == 0
    assert start.again(query={"drop": ["utm_*", "fbclid"]}) == ["sites[a].default_lifetime", "sites[a].query.drop"]
    assert node.get("/a").cache["fwd"] == "miss"
    assert node.metric("selvedge_purges_total", kind="site", mode="hard") == 2, "before the workers switch, and after"
    start.again(query={"drop": ["utm_*", "fbclid"]}, rules=[{"path": "/b", "lifetime": 5}])
    assert node.get("/a").cache["hit"], "rules that say nothing of queries change no key"
    start.again(query={"drop": ["utm_*", "fbclid"]}, rules=[{"path": "/b", "query": {"drop": ["c"]}}])
    assert node.get("/a").cache["fwd"] == "miss"


def test_what_was_purged_stays_purged_when_keys_change_back(start, origin):
    node = start()
    node.get("/a?utm_x=1")
    start.again(query={"drop": ["utm_*"]})
    node.purge(urls=[node.url("/a?utm_x=1")])
    start.again()
    assert node.get("/a?utm_x=1").cache["fwd"] == "miss"


def test_purges_hold_while_keys_change(start, origin):
    """A purge names a key by the configuration of one worker, and another worker may store by another one's."""
    version = [0]
    origin.on("/a", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, str(version[0]).encode()))
    node = start()
    target, ended = "/a?utm_x=1", threading.Event()

    def change():
        for turn in itertools.count():
            if ended.is_set():
                return
            start.again(**({"query": {"drop": ["utm_*"]}} if turn % 2 == 0 else {}))
    changing = threading.Thread(target=change)
    changing.start()
    try:
        for number in range(1, 301):
            version[0] = number
            node.purge(urls=[node.url(target)])
            for _ in range(4):
                assert int(node.get(target).body) == number
    finally:
        ended.set()
        changing.join()
    assert node.metric("selvedge_purges_total", kind="url", mode="hard") < 300, "meanwhile they are purges of the site"


def test_a_site_that_comes_back_with_other_keys_is_purged(start_node, origin, tmp_path):
    path = tmp_path / "node.yaml"
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, b""))

    def sites(*names, **more):
        path.write_text(json.dumps({"sites": [{"name": name, "hosts": [name], "origin": {"url": origin.url}, **more} for name in names]}))
    sites("a", "b")
    node = start_node(config=path)
    for then, fwd in ({}, None), ({"query": {"sort": "on"}}, "miss"):
        node.settle(node.request("/x", host="b"))
        sites("a")
        assert node.admin("POST", "/v1/reload").json["in_force"]
        sites("a", "b", **then)
        assert node.admin("POST", "/v1/reload").json["in_force"]
        assert node.settle(node.request("/x", host="b")).cache.get("fwd") == fwd


@pytest.mark.parametrize("query, said", [
    ("{keep: v}", "3:17: sites[].query.keep is no list; allowed is a list: the name of a parameter, as it is written in queries, in "
                  "which a star stands for any bytes, such as utm_*"),
    ("{drop: ['a=b']}", "3:18: sites[].query.drop a=b: not a parameter; the name of a parameter, as it is written in queries"),
    ("{drop: ['']}", "3:18: sites[].query.drop '': not a parameter; "),
    ("{drop: [%s]}" % ", ".join(["x" * 99] * 45), "sites[].query.drop " + "x" * 99 + ": one too many; a list has room for 4096 bytes"),
    ("{keep: [%s]}" % ", ".join("abcdefghijklmnopqrstuvwxyz"[number % 26] for number in range(129)), "sites[].query.keep y: one too many, allowed are 128; the name of"),
    ("{sort: name}", "3:17: sites[].query.sort name: not a word that it knows; allowed is off or on"),
    ("[a]", "3:10: sites[].query is a list; allowed is a group of keys")])
def test_what_cannot_be_is_told(tmp_path, query, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}},\n  query: {query}}}\n")
    done = run("--config", path, "--check")
    assert done.returncode == 1 and said in done.stdout, done.stdout
