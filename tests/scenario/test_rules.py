"""What a site says of its paths: rules by pattern, lifetimes, and what is never stored."""
import re

import pytest

from harness.node import ROOT, SELVEDGECTL, run


@pytest.fixture
def start(start_site):
    return start_site


@pytest.fixture
def silent(origin):
    """An origin that says nothing of caching."""
    origin.on("/*", lambda request, response: response.send(404 if "gone" in request.target else 200, {}, request.target.encode()))


@pytest.mark.setting("sites[].default_lifetime", "sites[].rules[].path", "sites[].rules[].default_lifetime")
def test_a_lifetime_where_the_origin_says_none(start, origin, silent):
    origin.serve("/said", b"said", cache_control="max-age=600")
    node = start(default_lifetime=60, rules=[{"path": "/css/*", "default_lifetime": 3600}, {"path": "*.html", "default_lifetime": "off"}])
    for target, ttl in ("/a", 60), ("/css/x.html", 3600), ("/said", 600):
        assert node.get(target).cache["stored"]
        assert ttl - 5 <= node.get(target).cache["ttl"] <= ttl
    assert node.get("/a.html").cache["detail"] == "no-freshness"
    assert "hit" not in node.get("/a.html").cache
    assert node.get("/gone").cache["detail"] == "no-freshness"
    node.saw(miss=6, hit=3)


@pytest.mark.setting("sites[].lifetime", "sites[].rules[].lifetime")
def test_a_lifetime_whatever_the_origin_says(start, origin):
    for path in "/a", "/v1/a.js", "/img/a":
        origin.serve(path, b"a", cache_control="max-age=1, public", etag='"1"')
    origin.serve("/private", b"p", cache_control="private, max-age=1")
    node = start(lifetime=100, rules=[{"path": "/v*/*.js", "lifetime": 31536000}, {"path": "/img/**", "lifetime": "off"}])
    for target, ttl in ("/a", 100), ("/v1/a.js", 31536000), ("/img/a", 1):
        assert node.get(target).cache["stored"]
        answer = node.get(target)
        assert ttl - 5 <= answer.cache["ttl"] <= ttl
        assert answer.get("cache-control") == "max-age=1, public", "what clients do is the origin's to say"
    assert node.get("/private").cache["detail"] == "private"
    node.saw(miss=4, hit=3)


def test_a_lifetime_in_place_of_one_that_is_none(start, origin):
    for target, said in ("/a", "max-age=abc"), ("/b", "max-age=1, max-age=2"), ("/c", "max-age = 1"), ("/d", "max-age=abc, private"):
        origin.serve(target, b"a", cache_control=said)
    node = start(lifetime=100)
    for target, stored in ("/a", True), ("/b", True), ("/c", False), ("/d", False):
        node.get(target)
        assert ("hit" in node.get(target).cache) == stored, target
        assert origin.count(target) == (1 if stored else 2)


@pytest.mark.setting("sites[].rules[].lifetime")
def test_a_lifetime_of_nothing_asks_the_origin_each_time(start, origin):
    origin.on("/a", lambda request, response: response.send(
        304 if request.get("if-none-match") else 200, {"ETag": '"1"', "Cache-Control": "max-age=600"}, b"" if request.get("if-none-match") else b"a"))
    node = start(rules=[{"path": "/a", "lifetime": 0}])
    assert node.get("/a").cache["stored"]
    for _ in range(2):
        answer = node.get("/a")
        assert answer.body == b"a" and answer.cache["fwd-status"] == 304, "the 304 is judged by the rule, too"
    node.saw(miss=1, revalidated=2)


@pytest.mark.setting("sites[].negative_lifetime", "sites[].rules[].negative_lifetime")
def test_what_is_not_there_is_not_asked_for_again_and_again(start, origin, silent):
    origin.on("/410", lambda _, response: response.send(410, {}, b""))
    origin.on("/said", lambda _, response: response.send(404, {"Cache-Control": "max-age=600"}, b""))
    origin.on("/forbidden", lambda _, response: response.send(404, {"Cache-Control": "no-store"}, b""))
    origin.on("/500", lambda _, response: response.send(500, {}, b""))
    node = start(negative_lifetime=10, rules=[{"path": "/new/*", "negative_lifetime": 1000}])
    for target, ttl in ("/gone", 10), ("/410", 10), ("/new/gone", 1000), ("/said", 600):
        assert node.get(target).cache["stored"]
        answer = node.get(target)
        assert answer.status == (410 if target == "/410" else 404)
        assert ttl - 5 <= answer.cache["ttl"] <= ttl
    for target in "/forbidden", "/500", "/a":
        for _ in range(2):
            assert "hit" not in node.get(target).cache
    node.saw(**{"pass": 1}, miss=9, hit=4)


@pytest.mark.setting("sites[].bypass", "sites[].rules[].bypass")
def test_what_is_bypassed_is_asked_for_by_each_request_alone(start, origin):
    gate = origin.gate()

    def on_cart(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=600", "ETag": '"1"'}, b"cart")
    origin.on("/cart/*", on_cart)
    origin.serve("/a", b"a", cache_control="max-age=600")
    node = start(rules=[{"path": "/cart/*", "bypass": "on"}])
    clients = [node.h1(), node.h1()]
    for client in clients:
        client.ask("/cart/1")
    origin.wait_for("/cart/1", count=2)
    gate.open()
    for answer in [client.answer() for client in clients]:
        assert answer.body == b"cart"
        assert answer.cache["fwd"] == "bypass" and "stored" not in answer.cache and answer.cache["detail"] == "bypass"
    assert node.request("/cart/1", method="HEAD").status == 200
    assert node.request("/cart/1", {"If-None-Match": '"1"'}).status == 304
    part = node.request("/cart/1", {"Range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"ar")
    assert node.get("/a").cache["stored"] and node.get("/a").cache["hit"]
    assert node.metric("selvedge_objects") == 1
    node.saw(**{"pass": 5}, miss=1, hit=1)
    start.again()
    assert node.get("/a").cache["hit"]
    start.again(bypass="on", rules=[{"path": "/cart/1", "bypass": "off"}])
    assert node.get("/a").cache["fwd"] == "bypass" and node.get("/cart/2").cache["fwd"] == "bypass"
    assert node.get("/cart/1").cache["stored"] and node.get("/cart/1").cache["hit"]
    start.again(bypass="on", rules=[{"path": "/cart/*", "bypass": "on"}])
    assert node.get("/cart/1").cache["fwd"] == "bypass"


@pytest.mark.setting("sites[].rules[].request_fields")
def test_a_rule_says_which_request_fields_the_origin_sees(start, origin, silent):
    node = start(default_lifetime=60, rules=[{"path": "/api/*", "request_fields": "all"}])
    for target in "/api/1", "/a":
        node.get(target, {"X-Own": "1", "Accept": "text/css"})
    assert origin.asked("/api/1")[0].get("x-own") == "1" and origin.asked("/a")[0].get("x-own") is None
    start.again(request_fields="all", default_lifetime=60, rules=[{"path": "/api/*", "request_fields": "safe"}])
    for target in "/api/2", "/b":
        node.get(target, {"X-Own": "1"})
    assert origin.asked("/api/2")[0].get("x-own") is None and origin.asked("/b")[0].get("x-own") == "1"
    start.again(default_lifetime=60, rules=[{"path": "/api/*", "request_fields": "all"}])


@pytest.mark.setting("sites[].rules[].set_cookie")
def test_a_rule_says_what_a_cookie_does(start, origin):
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600", "Set-Cookie": "a=b"}, b""))
    node = start(rules=[{"path": "/assets/*", "set_cookie": "remove"}])
    assert node.get("/a").cache["detail"] == "set-cookie"
    assert node.get("/assets/a").cache["stored"]
    answer = node.get("/assets/a")
    assert answer.cache["hit"] and "set-cookie" not in answer.fields


def test_the_first_rule_that_matches_counts_and_leaves_the_rest_to_the_site(start, origin, silent):
    node = start(default_lifetime=50, negative_lifetime=10,
                 rules=[{"path": "/a/private.txt", "bypass": "on"}, {"path": "/a/*", "default_lifetime": 200},
                        {"path": "*.txt", "default_lifetime": 300}])
    for target, ttl in ("/a/x.txt", 200), ("/x.txt", 300), ("/a/?private.txt", 200), ("/a/gone", 10), ("/x", 50), ("/%61/x", 200):
        assert node.get(target).cache["stored"], target
        assert ttl - 5 <= node.get(target).cache["ttl"] <= ttl, target
    assert node.get("/a/b/../private.txt").cache["fwd"] == "bypass"


def test_a_reload_takes_rules_and_says_so(start, origin, silent):
    node = start(default_lifetime=50)
    node.get("/a")
    assert start.again(default_lifetime=50, rules=[{"path": "/b", "default_lifetime": 7}]) == ["sites[a].rules"]
    node.get("/b")
    assert node.get("/b").cache["ttl"] <= 7 and node.get("/a").cache["ttl"] > 7
    assert start.again(rules=[{"path": "/b", "default_lifetime": 7}]) == ["sites[a].default_lifetime"]
    assert node.get("/c").cache["detail"] == "no-freshness"


def test_a_trace_says_the_rule_and_what_is_bypassed(start, origin, silent):
    node = start(rules=[{"path": "/b", "bypass": "on"}])
    for target, treatment, rule in ("/a", "fetch", None), ("/b?c", "bypass", "/b"):
        done = run("trace", node.url(target), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
        assert f"treatment  {treatment}: " in done.stdout
        assert (f"rule       {rule}\n" in done.stdout) if rule else ("rule  " not in done.stdout)


@pytest.mark.parametrize("rule, said", [
    ("{path: a/b}", "3:18: sites[].rules[].path a/b: does not begin with a slash; a pattern is a path, such as /robots.txt, or has "
                    "stars: /assets/* is all below, /img/*.png is of one segment, /a/**/b of any segments between, *.css of the last "
                    "segment anywhere"),
    ("{lifetime: 1}", "3:11: sites[].rules[].path is missing; each item of sites[].rules has one: a pattern is a path"),
    ("{path: /**/1/2/3/4/5/6/7/8/9/*}", "3:18: sites[].rules[].path /**/1/2/3/4/5/6/7/8/9/*: has more than 8 segments between `**` and "
                                        "the next, or the star at its end; a pattern is a path, such as /robots.txt, or has stars: "
                                        "/assets/* is all below, /img/*.png is of one segment, /a/**/b of any segments between, *.css of the "
                                        "last segment anywhere\n"),
    ("{path: /a, lifetime: soon}", "3:32: sites[].rules[].lifetime soon: not a time; off, or a number of seconds with at most "
                                   "three decimals, such as 3600"),
    ("{path: /a, bypas: on}", "3:22: 'bypas' is not a key of sites[].rules[]; allowed are ")])
def test_what_cannot_be_is_told(tmp_path, rule, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}},\n  rules: [{rule}]}}\n")
    done = run("--config", path, "--check")
    assert done.returncode == 1 and done.stdout.startswith(f"{path}:{said}"), done.stdout


def test_rules_without_end_are_told(tmp_path):
    path = tmp_path / "node.yaml"
    rules = ", ".join(f"{{path: /{number}}}" for number in range(1025))
    path.write_text(f"sites: [{{name: a, hosts: [a], origin: {{url: 'http://o'}}, rules: [{rules}]}}]\n")
    assert "sites[].rules has one item too many; at most 1024 are allowed in all sites" in run("--config", path, "--check").stdout


def test_the_example_of_the_readme_is_right(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(re.search(r"```yaml\n(sites:.*?)```", (ROOT / "README.md").read_text(), re.S)[1])
    done = run("--config", path, "--check")
    assert (done.returncode, done.stdout) == (0, f"{path}: nothing is wrong\n")
