"""Targeted cache control (RFC 9213): what an origin says to caches like this one goes before Cache-Control."""
import pytest


def serve(origin, *fields):
    origin.on("/a", lambda _, response: response.send(200, list(fields), b"a"))


def is_stored(node):
    answers = [node.h2().get("/a") for _ in range(2)]
    assert [answer.body for answer in answers] == [b"a", b"a"]
    return "hit" in answers[1].cache


@pytest.mark.parametrize("fields, stored", [
    ([("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60")], True),
    ([("Cache-Control", "private, max-age=0"), ("CDN-Cache-Control", "max-age=60")], True),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store")], False),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "private")], False),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-cache, max-age=60")], False),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=0")], False),
    ([("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60, no-store=?0")], True),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store, max-age=\"0\"")], True),  # a wrong type: ignored
    ([("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=\"5\", max-age=60")], True),  # the last of a key
    ([("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=60, max-age=\"5\"")], False),
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store, &")], True),  # not a structured field: ignored
    ([("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=60"), ("Selvedge-Cache-Control", "no-store")], False),
    ([("Cache-Control", "no-store"), ("CDN-Cache-Control", "no-store"), ("Selvedge-Cache-Control", "max-age=60")], True),
    ([("Cache-Control", "max-age=60"), ("Surrogate-Control", "no-store")], True),  # not among this site's
])
def test_it_goes_before_cache_control(node, origin, fields, stored):
    serve(origin, *fields)
    assert is_stored(node) == stored
    assert origin.count("/a") == (1 if stored else 2)


def test_its_lifetime_is_the_one_that_is_told(node, origin):
    serve(origin, ("Cache-Control", "max-age=5"), ("CDN-Cache-Control", "max-age=600"), ("Expires", "Mon, 01 Jan 2001 00:00:00 GMT"))
    assert is_stored(node)
    answer = node.h2().get("/a")
    assert 590 < answer.cache["ttl"] <= 600
    assert answer.get("cache-control") == "max-age=5", "that is for browsers"


def test_ours_ends_here_and_that_of_all_cdns_goes_on(node, origin):
    serve(origin, ("CDN-Cache-Control", "max-age=60"), ("Selvedge-Cache-Control", "max-age=600"), ("Surrogate-Control", "max-age=1"))
    assert is_stored(node)
    for answer in (node.h1().get("/a"), node.h2().get("/a")):
        assert answer.get("cdn-cache-control") == "max-age=60"
        assert not answer.get("selvedge-cache-control") and not answer.get("surrogate-control")


def test_what_ends_here_still_counts_after_a_304(node, origin):
    """The 304 does not say it again, and it is not among what clients were sent."""
    def handler(request, response):
        if request.get("if-none-match"):
            return response.send(304, {"ETag": '"a"'})
        return response.send(200, {"ETag": '"a"', "Cache-Control": "no-store", "Selvedge-Cache-Control": "no-cache, max-age=60"}, b"a")
    origin.on("/a", handler)
    answers = [node.h2().get("/a") for _ in range(3)]
    assert [answer.body for answer in answers] == [b"a"] * 3
    assert [bool(request.get("if-none-match")) for request in origin.asked("/a")] == [False, True, True]


@pytest.mark.setting("sites[].targeted_fields")
def test_a_site_has_its_own_list(start_node, origin):
    serve(origin, ("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "no-store"), ("X-Cache-Control", "max-age=600"))
    for fields, ttl in (("off", 60), ("X-Cache-Control", 600), ("X-Cache-Control, CDN-Cache-Control", 600)):
        node = start_node(origin, targeted_fields=fields)
        assert is_stored(node)
        assert ttl - 10 < node.h2().get("/a").cache["ttl"] <= ttl
    assert not is_stored(start_node(origin, targeted_fields="CDN-Cache-Control, X-Cache-Control"))


@pytest.mark.setting("sites[].consumed_fields")
def test_what_ends_here_is_the_sites_choice(start_node, origin):
    serve(origin, ("Cache-Control", "max-age=60"), ("CDN-Cache-Control", "max-age=60"), ("Selvedge-Cache-Control", "max-age=60"))
    node = start_node(origin, consumed_fields="CDN-Cache-Control, X-None")
    assert is_stored(node)
    answer = node.h2().get("/a")
    assert not answer.get("cdn-cache-control") and answer.get("selvedge-cache-control") == "max-age=60"


def test_surrogate_control_where_a_site_wants_it(start_node, origin):
    """The origin is told that it is understood, and by what name this node can be meant alone."""
    def handler(request, response):
        name = request.get("surrogate-capability").partition("=")[0]
        response.send(200, {"Cache-Control": "no-store", "Surrogate-Control": f"no-store, max-age=60+5;{name}"}, b"a")
    origin.on("/a", handler)
    node = start_node(origin, targeted_fields="Surrogate-Control", forward="all")
    assert node.h1().get("/a", {"Surrogate-Capability": 'evil="Surrogate/1.0"'}).status == 200
    assert is_stored(node)
    assert [request.get("surrogate-capability") for request in origin.asked("/a")] == ['selvedge="Surrogate/1.0"']


def test_it_is_not_told_where_a_site_does_not(node, origin):
    serve(origin, ("Cache-Control", "max-age=60"))
    assert is_stored(node)
    assert not origin.asked("/a")[0].get("surrogate-capability")
