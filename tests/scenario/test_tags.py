"""Purges by tag: what the origin names in fields of its answers, and what the site gives by path."""
import json

import pytest
from test_partial import MIB, Large, get as get_part

from harness.node import SELVEDGECTL, run


@pytest.fixture
def start(start_site):
    return start_site


def serve(origin, path, *fields, etag=None):
    """The body says which request fetched it; what has an ETag has not changed."""
    def handler(request, response):
        said = [("Cache-Control", "max-age=600"), *([("ETag", etag)] if etag else []), *fields]
        if etag and request.get("if-none-match") == etag:
            return response.send(304, said)
        return response.send(200, said, b"fetch %d" % request.number)
    origin.on(path, handler)


def stored(node, *paths):
    """Of these, asked for a first time."""
    for path in paths:
        assert node.get(path).body == b"fetch 1"
        assert node.get(path).cache["hit"]


def hits(node, *paths):
    return [node.get(path).cache.get("hit", False) for path in paths]


# ---- which tags there are

def test_a_tag_of_a_field(node, origin):
    serve(origin, "/a", ("Surrogate-Key", "product-7 shop"))
    serve(origin, "/b", ("Cache-Tag", "shop,product-8"))
    serve(origin, "/c", ("Cache-Tag", "menu"), ("Surrogate-Key", "product-7"))
    serve(origin, "/d", ("Cache-Tag", "PRODUCT-7"), ("Cache-Tag", "product"))
    serve(origin, "/product-7")
    paths = "/a", "/b", "/c", "/d", "/product-7"
    stored(node, *paths)
    node.purge(tags=["product-7"])
    assert hits(node, *paths) == [False, True, False, True, True]
    assert node.get("/a").body == b"fetch 2"
    node.purge(tags=["shop", "product"])
    assert hits(node, *paths) == [False, False, True, False, True]
    node.purge(tags=["nothing-has-it"])
    assert hits(node, *paths) == [True] * 5


@pytest.mark.setting("sites[].tags", "sites[].rules[].tags")
def test_a_tag_of_a_path(start, origin):
    serve(origin, "/*")
    node = start(tags=["all", "{1}"], rules=[{"path": "/img/**", "tags": ["{1}-{2}", "file-{-1}"]}, {"path": "/plain/*", "tags": []}])
    paths = "/a/x", "/b/x?all", "/img/7/x.png", "/img/8/x.png", "/plain/x"
    stored(node, *paths)
    for tag, left in [("a", [False, True, True, True, True]), ("all", [False, False, True, True, True]),
                      ("img", [True] * 5), ("img-7", [True, True, False, True, True]), ("file-x.png", [True, True, False, False, True]),
                      ("plain", [True] * 5), ("7", [True] * 5)]:
        node.purge(tags=[tag])
        assert hits(node, *paths) == left, tag


def test_a_tag_with_a_comma_is_itself_and_its_parts(start, origin):
    """In a field it would be several, whoever meant it as one; a path may give it as one."""
    serve(origin, "/*")
    serve(origin, "/field", ("Surrogate-Key", "price:1,99"))
    node = start(tags=["{-1}"])
    stored(node, "/field", "/x/price:1,99", "/x/1")
    node.purge(tags=["price:1,99"])
    assert hits(node, "/field", "/x/price:1,99", "/x/1") == [False, False, True]


def test_tags_of_a_path_and_of_fields_go_together(start, origin):
    serve(origin, "/a/1", ("Cache-Tag", "news"))
    node = start(tags=["{1}"])
    for tag in "news", "a", "news":
        assert "hit" not in node.get("/a/1").cache and node.get("/a/1").cache["hit"]
        node.purge(tags=[tag])
    assert "hit" not in node.get("/a/1").cache


@pytest.mark.setting("sites[].tag_fields")
def test_the_site_says_which_fields_name_tags(start, origin):
    serve(origin, "/a", ("Cache-Tag", "a"), ("X-Tags", "b"))
    node = start(tag_fields="X-Tags")
    stored(node, "/a")
    node.purge(tags=["a"])
    assert hits(node, "/a") == [True]
    node.purge(tags=["b"])
    assert hits(node, "/a") == [False]
    start.again(tag_fields="off")
    assert hits(node, "/a", "/a") == [False, True]
    node.purge(tags=["a", "b"])
    assert hits(node, "/a") == [True]


@pytest.mark.setting("sites[].consumed_fields")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_clients_do_not_see_the_fields_unless_the_site_says_so(start, origin, protocol):
    serve(origin, "/a", ("Cache-Tag", "a"), ("Surrogate-Key", "b"))
    node = start()
    client = getattr(node, protocol)()
    for _ in range(2):
        answer = client.get("/a")
        assert "cache-tag" not in answer.fields and "surrogate-key" not in answer.fields
    start.again(consumed_fields="surrogate-key")
    node.purge(tags=["b"])
    for _ in range(2):
        answer = client.get("/a")
        assert answer.get("cache-tag") == "a" and "surrogate-key" not in answer.fields
    start.again(consumed_fields="off")
    node.purge(tags=["b"])
    for _ in range(2):
        answer = client.get("/a")
        assert answer.get("cache-tag") == "a" and answer.get("surrogate-key") == "b"
    node.purge(tags=["a"])
    assert hits(node, "/a") == [False], "seen or not, it counts"


def test_with_too_many_tags_it_is_not_stored(node, origin):
    serve(origin, "/most", ("Cache-Tag", ",".join(map(str, range(1024)))))
    serve(origin, "/more", ("Cache-Tag", ",".join(map(str, range(1024)))), ("Surrogate-Key", "x"))
    stored(node, "/most")
    for number in 1, 2:
        answer = node.get("/more")
        assert answer.body == b"fetch %d" % number and answer.cache["detail"] == "too-many-tags"
        assert "stored" not in answer.cache
    node.purge(tags=["1023"])
    assert hits(node, "/most") == [False]


# ---- what a purge does

def test_soft_makes_it_stale_and_a_304_lifts_it(node, origin):
    serve(origin, "/a", ("Cache-Tag", "a"), etag='"1"')
    node.get("/a")
    node.purge(tags=["a"], soft=True)
    answer = node.get("/a")
    assert answer.body == b"fetch 1" and answer.cache["fwd"] == "stale" and answer.cache["fwd-status"] == 304
    assert node.get("/a").cache["hit"]
    node.purge(tags=["a"])
    assert node.get("/a").body == b"fetch 3" and "if-none-match" not in origin.asked("/a")[2].fields
    node.saw(miss=2, revalidated=1, hit=1)


def test_a_304_that_takes_the_tag_away_while_it_is_purged(node, origin):
    gate, tags = origin.gate(), ["a", "b", "b"]

    def handler(request, response):
        fields = {"ETag": '"1"', "Cache-Control": "max-age=0" if request.number == 1 else "max-age=600", "Cache-Tag": tags[request.number - 1]}
        if request.get("if-none-match"):
            gate.wait()
            return response.send(304, fields)
        return response.send(200, fields, b"fetch %d" % request.number)
    origin.on("/a", handler)
    node.get("/a")
    early = node.h2().ask("/a")
    origin.wait_for("/a", count=2)
    node.purge(tags=["a"])
    gate.open()
    assert early.rest().body == b"fetch 1", "it came before the purge"
    assert node.get("/a").body == b"fetch 3", "the body is the one that had the tag"
    node.purge(tags=["a"])
    assert node.get("/a").cache["hit"], "what came since never had it"


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_before_the_head_nobody_knows_the_tag_and_who_came_after_moves_on(node, origin, soft):
    gate = origin.gate()

    def handler(request, response):
        if request.number == 1:
            gate.wait()
        response.send(200, {"Cache-Control": "max-age=60", "Cache-Tag": "a"}, b"fetch %d" % request.number)
    origin.on("/a", handler)
    client = node.h2()
    early = client.ask("/a")
    origin.wait_for("/a")
    node.purge(tags=["a"], soft=soft)
    late = [client.ask("/a") for _ in range(3)]
    client.ping()
    assert origin.count("/a") == 1, "they wait for what it is"
    gate.open()
    assert early.rest().body == b"fetch 1", "it came before the purge"
    for stream in late:
        assert stream.rest().body == b"fetch 2"
    assert node.get("/a").body == b"fetch 2" and origin.count("/a") == 2


def test_who_waited_for_what_has_another_tag_reads_along(node, origin):
    gate = origin.gate()

    def handler(_, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60", "Cache-Tag": "b"}, b"b")
    origin.on("/b", handler)
    client = node.h2()
    early = client.ask("/b")
    origin.wait_for("/b")
    node.purge(tags=["a"])
    late = client.ask("/b")
    client.ping()
    gate.open()
    assert [early.rest().body, late.rest().body, node.get("/b").body] == [b"b"] * 3
    assert origin.count("/b") == 1


@pytest.mark.parametrize("asked", [True, False], ids=["asked for at once", "asked for at its end"])
def test_in_the_body(node, origin, asked):
    rest = origin.gate()

    def handler(request, response):
        if request.number > 1:
            return response.send(200, {"Cache-Control": "max-age=60", "Cache-Tag": "a"}, b"new")
        response.head(200, {"Content-Length": 6, "Cache-Control": "max-age=60", "Cache-Tag": "a"})
        response.raw(b"old")
        rest.wait()
        return response.raw(b"old")
    origin.on("/a", handler)
    early = node.h2().ask("/a")
    early.at_least(3)
    node.purge(tags=["a"])
    if asked:
        assert node.request("/a").body == b"new"
    rest.open()
    assert early.rest().body == b"oldold"
    node.wait_metric("selvedge_fills", 0)
    assert node.get("/a").body == b"new" and origin.count("/a") == 2


def test_head_is_answered_from_the_fresh_one(node, origin):
    serve(origin, "/a", ("Cache-Tag", "a"))
    stored(node, "/a")
    node.purge(tags=["a"])
    assert "hit" not in node.request("/a", method="HEAD").cache
    assert node.get("/a").body != b"fetch 1"


def test_variants_have_tags_of_their_own(node, origin):
    origin.on("/v", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": "Accept-Language", "Cache-Tag": f"all,{request.get('accept-language')}"}, b"v"))

    def hit(language):
        return "hit" in node.get("/v", {"Accept-Language": language}).cache
    assert [hit("de"), hit("en"), hit("de"), hit("en")] == [False, False, True, True]
    node.purge(tags=["de"])
    assert [hit("de"), hit("en")] == [False, True]
    node.purge(tags=["all"])
    assert [hit("de"), hit("en")] == [False, False]


@pytest.mark.parametrize("after", ["a", "b"], ids=["same tag after", "other tag after"])
def test_pieces_go_with_the_whole(start_node, origin, after):
    node, large = start_node(origin, max_object="1M"), Large(origin, **{"Cache-Tag": "a"})
    get_part(node, large, 5 * MIB, 5 * MIB + 9)  # what is asked for first is the whole
    get_part(node, large, 5 * MIB, 5 * MIB + 9)
    before = len(large.asked())
    assert get_part(node, large, 5 * MIB + 1, 5 * MIB + 9).cache["hit"] and len(large.asked()) == before
    large.fields["Cache-Tag"] = after
    node.purge(tags=["a"])
    get_part(node, large, 5 * MIB, 5 * MIB + 9)
    get_part(node, large, 5 * MIB, 5 * MIB + 9)
    since = large.asked()[before:]
    assert len(since) == before and f"bytes={5 * MIB}-{6 * MIB - 1}" in since, "the same ETag, and yet no byte of before"
    node.purge(tags=["c"])
    assert get_part(node, large, 5 * MIB, 5 * MIB + 9).cache["hit"]


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_who_joined_a_piece_after_the_purge_of_a_tag_that_it_turns_out_to_have(start_node, origin, soft):
    node, large = start_node(origin, max_object="1M"), Large(origin)
    get_part(node, large, 5 * MIB, 5 * MIB + 9)  # what is asked for first is the whole, which has no tag
    large.gate, field = origin.gate(), {"Range": f"bytes={9 * MIB}-{9 * MIB + 8}"}
    client = node.h2()
    before = len(large.asked())
    early = client.ask("/a", field)
    origin.wait_for("/a", count=before + 1)
    large.alter = lambda request, answer: answer[1].update({"Cache-Tag": "a"})
    node.purge(tags=["a"], soft=soft)
    late = client.ask("/a", field)
    client.ping()
    large.gate.open()
    for stream in early, late:
        answer = stream.rest()
        assert answer.status == 206 and answer.body == large.body[9 * MIB:9 * MIB + 9]
    node.wait_metric("selvedge_fills", 0)
    assert large.answered[before] == 206 and large.answered[before + 1] == (304 if soft else 200), "what came with the tag was asked for before"


def test_in_the_middle_of_an_answer_such_a_piece_is_asked_for_again(start_node, origin):
    node, large = start_node(origin, max_object="1M"), Large(origin)
    for _ in range(2):
        get_part(node, large, 9 * MIB, 9 * MIB + 9)
    large.gate, piece = origin.gate(), f"bytes={10 * MIB}-{11 * MIB - 1}"
    early = node.h2().ask("/a", {"Range": f"bytes={10 * MIB}-{10 * MIB + 8}"})
    origin.wait_for("/a", count=3)
    large.alter = lambda request, answer: answer[1].update({"Cache-Tag": "a"})
    node.purge(tags=["a"])
    late = node.h2(window=1 << 22).ask("/a", {"Range": f"bytes={9 * MIB}-{10 * MIB + 8}"})
    late.at_least(MIB)
    assert large.asked().count(piece) == 1
    large.gate.open()
    assert early.rest().body == large.body[10 * MIB:10 * MIB + 9]
    assert late.rest().body == large.body[9 * MIB:10 * MIB + 9]
    node.wait_metric("selvedge_fills", 0)
    assert large.asked().count(piece) == 2


def test_memory_comes_back(node, origin):
    for number in range(30):
        origin.serve(f"/{number}", b"x" * 10_000, cache_control="max-age=60", cache_tag="odd" if number % 2 else "even")
        node.get(f"/{number}")
    node.purge(tags=["odd"])
    node.wait_metric("selvedge_objects", 15)
    node.purge(tags=["even"])
    node.wait_metric("selvedge_objects", 0)
    node.wait_metric("selvedge_memory_bytes", 0)


def test_the_counters(node):
    node.purge(tags=["a", "b"])
    node.purge(tags=["a"], soft=True, site="default")
    assert node.metric("selvedge_purges_total", kind="tag", mode="hard") == 2
    assert node.metric("selvedge_purges_total", kind="tag", mode="soft") == 1
    assert node.metric("selvedge_purges_total") == 3


@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_it_outlives_the_process(start_node, origin, stop):
    serve(origin, "/a", ("Cache-Tag", "a"))
    node = start_node(origin)
    sequence = node.purge(tags=["a"])
    getattr(node, stop)()
    again = start_node(origin, state_dir=str(node.state_dir))
    assert again.status()["sequence"] >= sequence
    done = run("--json", "trace", again.url("/a"), binary=SELVEDGECTL, SELVEDGE_ADMIN=again.admin_url, SELVEDGE_TOKEN=again.token)
    assert json.loads(done.stdout)["purge"] is None, "what is not stored has no tag that anybody knows of"
    again.get("/a")
    done = run("--json", "trace", again.url("/a"), binary=SELVEDGECTL, SELVEDGE_ADMIN=again.admin_url, SELVEDGE_TOKEN=again.token)
    assert json.loads(done.stdout)["purge"] == {"rule": "tag", "mode": "hard", "sequence": sequence, "tag": "a"}
    assert again.get("/a").cache["hit"], "it came after the purge"


# ---- whose tags they are

@pytest.fixture
def two_sites(start_node, origin, tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(json.dumps({"sites": [{"name": name, "hosts": [name], "origin": {"url": origin.url}} for name in ("one", "two")]}))
    serve(origin, "/a", ("Cache-Tag", "a"))
    return start_node(config=path)


def test_the_tags_of_one_site_are_not_those_of_another(two_sites):
    def hit(site):
        return "hit" in two_sites.settle(two_sites.request("/a", host=site)).cache
    assert [hit("one"), hit("two"), hit("one"), hit("two")] == [False, False, True, True]
    two_sites.purge(tags=["a"], site="one")
    assert [hit("one"), hit("two")] == [False, True]
    two_sites.purge(tags=["b"], site="two")
    assert [hit("one"), hit("two")] == [True, True], "with tags the site is not purged"


def test_with_several_sites_one_has_to_be_named(two_sites):
    answer = two_sites.admin("POST", "/v1/purge", {"tags": ["a"]})
    assert answer.status == 400 and answer.json["error"] == {
        "code": "bad_value", "field": "site",
        "message": 'tags are those of one site: say of which, as in "site": "NAME"; there is one, two'}
    done = run("purge", "--tag", "a", binary=SELVEDGECTL, SELVEDGE_ADMIN=two_sites.admin_url, SELVEDGE_TOKEN=two_sites.token)
    assert done.returncode == 4 and "tags are those of one site: say of which" in done.stderr
    done = run("purge", "--tag", "a", "--site", "two", binary=SELVEDGECTL, SELVEDGE_ADMIN=two_sites.admin_url, SELVEDGE_TOKEN=two_sites.token)
    assert (done.returncode, done.stderr) == (0, "")


# ---- a reload

def test_a_change_of_tags_is_a_purge_of_the_site(start, origin):
    serve(origin, "/a", ("Cache-Tag", "x"))
    node = start()
    stored(node, "/a")
    for changed, more in [(["sites[a].tags"], {"tags": ["{1}"]}),
                          (["sites[a].rules"], {"tags": ["{1}"], "rules": [{"path": "/b", "tags": []}]}),
                          (["sites[a].tag_fields"], {"tags": ["{1}"], "rules": [{"path": "/b", "tags": []}], "tag_fields": "x-tags"})]:
        assert node.get("/a").cache["hit"]
        before = node.metric("selvedge_purges_total", kind="site", mode="hard")
        assert start.again(**more) == changed
        assert node.get("/a").cache["fwd"] == "miss", changed
        assert node.metric("selvedge_purges_total", kind="site", mode="hard") == before + 2, "before the workers switch, and after"
        start.again(**more, default_lifetime=60)
        assert node.get("/a").cache["hit"], "nothing of tags has changed"
        start.again(**more)
    node.purge(tags=["a"])
    assert node.get("/a").cache["fwd"] == "miss"


@pytest.mark.parametrize("why", ["private", "of another variant"])
def test_who_waited_over_a_reload_stores_nothing_that_lacks_the_new_tags(start, origin, why):
    """What it waited for is not for it, so it asks the origin by itself; the purge of the reload is over by then."""
    gate = origin.gate()

    def handler(request, response):
        if request.number == 1:
            gate.wait()
        alone = {"Cache-Control": "private"} if request.number == 1 and why == "private" else {"Cache-Control": "max-age=600"}
        response.send(200, {**alone, **({} if why == "private" else {"Vary": "Accept-Language"})}, b"fetch %d" % request.number)
    origin.on("/a/1", handler)
    node = start()
    client, language = node.h2(), {"Accept-Language": "en"}
    early = client.ask("/a/1", {"Accept-Language": "de"})
    origin.wait_for("/a/1")
    late = client.ask("/a/1", language)
    client.ping()
    assert start.again(tags=["{1}"]) == ["sites[a].tags"]
    gate.open()
    assert [early.rest().body, late.rest().body] == [b"fetch 1", b"fetch 2"]
    node.wait_metric("selvedge_fills", 0)
    node.purge(tags=["a"])
    assert node.get("/a/1", language).body == b"fetch 3"
    assert node.get("/a/1", language).cache["hit"], "who came since has the tags of now"


# ---- the tools

def test_selvedgectl_purges_by_tag(node, origin):
    serve(origin, "/a", ("Cache-Tag", "a"), etag='"1"')
    serve(origin, "/b", ("Cache-Tag", "b"))
    stored(node, "/a", "/b")
    for line, left in [(["--tag", "a"], [False, True]), (["--tag", "a", "--tag", "b", "--site", "default"], [False, False]),
                       (["--tag", "a", "--soft", "--reason", "a release"], [False, True])]:
        done = run("purge", *line, binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
        assert done.returncode == 0 and done.stdout.startswith("purged: sequence "), done
        assert hits(node, "/a", "/b") == left
    assert origin.asked("/a")[-1].get("if-none-match") == '"1"'


def test_a_trace_shows_tags_and_the_one_that_was_purged(start, origin):
    serve(origin, "/p/7", ("Surrogate-Key", "shop"), ("Cache-Tag", "menu"))
    node = start(tags=["product-{2}"])

    def trace(*options):
        done = run(*options, "trace", node.url("/p/7?x"), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
        assert done.returncode == 0, done.stderr
        return done.stdout
    assert "\ntags       product-7\n" in trace(), "those of the path are known before"
    node.get("/p/7?x")
    assert "\ntags       shop menu product-7\n" in trace() and "treatment  hit: " in trace()
    sequence = node.purge(tags=["other", "menu"], soft=True)
    said = json.loads(trace("--json"))
    assert said["tags"] == ["shop", "menu", "product-7"] and said["treatment"] == "fetch" and said["stored"]["purged"] == "soft"
    assert said["purge"] == {"rule": "tag", "mode": "soft", "sequence": sequence, "tag": "menu"}
    assert f"\npurge      tag menu, soft, sequence {sequence}\n" in trace()
    node.purge(tags=["product-7"])
    node.wait_metric("selvedge_objects", 0)
    said = json.loads(trace("--json"))
    assert said["tags"] == ["product-7"] and said["stored"] is None
    assert said["purge"] == {"rule": "tag", "mode": "hard", "sequence": sequence + 1, "tag": "product-7"}


# ---- what is wrong with it

TAG = "; a tag without spaces, in which {1} to {9} stand for a segment of the path, and {-1} to {-9} for one counted from its end\n"


@pytest.mark.parametrize("site, said", [
    ("tags: product", "3:9: sites[].tags is no list; allowed is a list: a tag without spaces, in which {1} to {9} stand for a segment of the path"),
    ("tags: ['']", "3:10: sites[].tags '': is empty" + TAG),
    ("tags: ['a b']", "3:10: sites[].tags a b: holds a space or a control byte" + TAG),
    ("tags: ['p-{0}']", "3:10: sites[].tags p-{0}: has a brace that is no segment of the path, {1} to {9} or {-1} to {-9}" + TAG),
    ("rules: [{path: /a, tags: ['{']}]", "3:29: sites[].rules[].tags {: has a brace that is no segment of the path, {1} to {9} or {-1} to {-9}" + TAG),
    ("tags: [%s]" % ", ".join(["x" * 99] * 45), "sites[].tags " + "x" * 99 + ": one too many; a list has room for 4096 bytes"),
    ("tag_fields: 'a b'", "3:15: sites[].tag_fields a b: not a list of fields; allowed is off, or the names of up to eight fields, a comma between two")])
def test_what_cannot_be_is_told(tmp_path, site, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}},\n  {site}}}\n")
    done = run("--config", path, "--check")
    assert done.returncode == 1 and said in done.stdout, done.stdout
