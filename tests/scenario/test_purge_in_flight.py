"""A purge while the response is on its way: whoever comes after the acknowledgement gets the new one."""
import pytest


class Deployed:
    """A path whose first answer is the old version, in two steps; from the second request on, the new one."""

    def __init__(self, origin):
        self.origin, self.head, self.rest = origin, origin.gate("head"), origin.gate("rest")
        origin.on("/a", self.handler)

    def handler(self, request, response):
        if request.number > 1:
            return response.send(200, {"Cache-Control": "max-age=60"}, b"new")
        self.head.wait()
        response.head(200, {"Content-Length": 6, "Cache-Control": "max-age=60"})
        response.raw(b"old")
        self.rest.wait()
        return response.raw(b"old")


PURGES = {
    "URL": lambda node: node.purge(urls=[node.url("/a")]), "site": lambda node: node.purge(site="default"),
    "everything": lambda node: node.purge(everything=True), "soft": lambda node: node.purge(everything=True, soft=True),
}


@pytest.mark.parametrize("kind", PURGES)
def test_before_the_head(node, origin, kind):
    path = Deployed(origin)
    early = node.h2().ask("/a")
    origin.wait_for("/a")
    PURGES[kind](node)
    assert node.request("/a").body == b"new", "a fill of its own"
    path.head.open()
    path.rest.open()
    assert early.rest().body == b"oldold", "it came before the purge"
    assert node.get("/a").body == b"new", "the old fill has not replaced it"
    assert origin.count("/a") == 2


@pytest.mark.parametrize("kind", PURGES)
def test_in_the_body(node, origin, kind):
    path = Deployed(origin)
    path.head.open()
    early = node.h2().ask("/a")
    early.at_least(3)
    PURGES[kind](node)
    assert node.request("/a").body == b"new"
    path.rest.open()
    assert early.rest().body == b"oldold"
    assert node.get("/a").body == b"new" and origin.count("/a") == 2


@pytest.mark.parametrize("kind", PURGES)
def test_nobody_asks_until_the_old_fill_has_ended(node, origin, kind):
    path = Deployed(origin)
    path.head.open()
    early = node.h2().ask("/a")
    early.at_least(3)
    PURGES[kind](node)
    path.rest.open()
    assert early.rest().body == b"oldold"
    node.wait_metric("selvedge_fills", 0)
    assert node.get("/a").body == b"new"


def test_those_who_joined_before_the_purge_and_those_after_it(node, origin):
    path = Deployed(origin)
    client = node.h2()
    before = [client.ask("/a") for _ in range(5)]
    origin.wait_for("/a")
    client.ping()
    node.purge(urls=[node.url("/a")])
    after = [client.ask("/a") for _ in range(5)]
    assert all(stream.rest().body == b"new" for stream in after)
    path.head.open()
    path.rest.open()
    assert all(stream.rest().body in (b"oldold", b"new") for stream in before)
    assert origin.count("/a") == 2


def test_a_revalidation_in_flight_does_not_lift_a_later_purge(node, origin):
    gate = origin.gate()

    def handler(request, response):
        if request.number == 1:
            return response.send(200, {"ETag": '"old"', "Cache-Control": "max-age=0"}, b"old")
        if request.number == 2:
            gate.wait()
            return response.send(304, {"ETag": '"old"', "Cache-Control": "max-age=60"})
        return response.send(200, {"ETag": '"new"', "Cache-Control": "max-age=60"}, b"new")
    origin.on("/a", handler)
    node.get("/a")
    early = node.h2().ask("/a")
    origin.wait_for("/a", 2)
    node.purge(urls=[node.url("/a")])
    gate.open()
    assert early.rest().body in (b"old", b"new")
    assert node.get("/a").body == b"new"
    assert node.get("/a").body == b"new"
