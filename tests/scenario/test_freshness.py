"""How long a stored response answers by itself: s-maxage, max-age, Expires, a guess from Last-Modified; and its Age."""
import email.utils
import time

import pytest


def date(seconds_from_now):
    return email.utils.formatdate(time.time() + seconds_from_now, usegmt=True)


LIFETIMES = {  # fields of the response, times as seconds from now: seconds it stays fresh
    "s-maxage first": ({"Cache-Control": "max-age=10, s-maxage=100"}, 100),
    "the order does not matter": ({"Cache-Control": "s-maxage=100, max-age=10"}, 100),
    "then max-age": ({"Cache-Control": "max-age=50", "Expires": 500}, 50),
    "then Expires": ({"Expires": 300}, 300),
    "Expires is measured from Date": ({"Date": -100, "Expires": 100}, 100),
    "Age of an upstream cache counts": ({"Cache-Control": "max-age=100", "Age": "30"}, 70),
    "an old Date counts": ({"Cache-Control": "max-age=100", "Date": -40}, 60),
    "a tenth of the time since Last-Modified": ({"Last-Modified": -10_000}, 1000),
    "names in any case": ({"Cache-Control": "Max-Age=50"}, 50),
    "quoted, as recipients ought to accept it": ({"Cache-Control": 'max-age="50"'}, 50),
    "over several lines": ([("Cache-Control", "public"), ("Cache-Control", "max-age=50")], 50),
}


@pytest.mark.parametrize("what", LIFETIMES)
def test_lifetime(client, origin, what):
    fields, seconds = LIFETIMES[what]
    pairs = [(name, date(value) if isinstance(value, int) else value)
             for name, value in (fields.items() if isinstance(fields, dict) else fields)]
    origin.on("/a", lambda _, response: response.send(200, pairs, b"a"))
    assert client.get("/a").cache["stored"]
    hit = client.get("/a").cache
    assert hit["hit"] and seconds - 3 <= hit["ttl"] <= seconds + 1


@pytest.mark.parametrize("fields", [
    {}, {"Cache-Control": "public"}, {"Expires": "0"}, {"Expires": "Mon, 05 Jan 2026 10:00:00 GMT"}, {"Cache-Control": "max-age=0"},
    {"Cache-Control": "max-age=60, s-maxage=0"}, {"Cache-Control": "max-age=60", "Age": "61"},
    {"Cache-Control": "max-age=3600", "Age": "2147483648"}, {"Cache-Control": "max-age=3600", "Age": "99999999999999999999"},
    {"Cache-Control": "max-age=-1"}, {"Cache-Control": "max-age=abc"}, {"Cache-Control": "no-cache"},
    {"Cache-Control": "max-age=60, no-cache"}, {"Cache-Control": "max-age='60'"}, {"Cache-Control": 'max-age="60'},
    [("Expires", "Fri, 31 Dec 9999 23:59:59 GMT")] * 2,
], ids=repr)
def test_what_is_not_fresh_is_fetched_again(client, origin, fields):
    origin.on("/a", lambda _, response: response.send(200, fields, b"a"))
    assert [client.get("/a").body for _ in range(3)] == [b"a"] * 3
    assert origin.count("/a") == 3


@pytest.mark.parametrize("form", ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S GMT"])
def test_date_stays_what_the_origin_said(client, origin, form):
    """Whatever form it has there (RFC 9110 section 5.6.7): clients measure Expires from it."""
    made = time.gmtime(time.time() - 1000)
    origin.serve("/a", b"a", date=False, Date=time.strftime(form, made), expires=date(1000))
    for _ in range(2):
        answer = client.get("/a")
        assert answer.fields.all("date") == [time.strftime("%a, %d %b %Y %H:%M:%S GMT", made)]
    assert answer.cache["hit"] and 995 <= answer.cache["ttl"] <= 1001


def test_age_is_there_on_reuse_and_counts_on(client, origin):
    origin.serve("/a", b"a", cache_control="max-age=600", age="100")
    first, second = client.get("/a"), client.get("/a")
    assert second.cache["hit"] and 100 <= second.age <= 103
    assert second.age + second.cache["ttl"] in (599, 600)  # both are rounded down
    origin.serve("/new", b"new", cache_control="max-age=600")
    client.get("/new")
    assert client.get("/new").age in (0, 1)
    assert first.fields.all("age") in ([], ["100"])


def test_it_becomes_stale_by_itself(client, node, origin):
    origin.serve("/a", b"a", cache_control="max-age=1")
    client.get("/a")
    deadline = time.monotonic() + 10
    while (answer := client.get("/a")).cache.get("hit"):
        assert time.monotonic() < deadline and answer.age <= 1 and answer.cache["ttl"] >= 0
    assert answer.cache["fwd"] == "stale" and origin.count("/a") == 2


def test_fields_of_the_origin_come_through_and_hop_by_hop_ones_do_not(client, origin):
    sent = [("Content-Type", "text/css"), ("ETag", '"1"'), ("X-One", "1"), ("X-Two", "a"), ("X-Two", "b"),
            ("Cache-Control", "max-age=60"), ("Server", "scripted"), ("Connection", "X-Hop, close"), ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"), ("Proxy-Authenticate", "Basic")]
    origin.on("/a", lambda _, response: response.send(200, sent, b"a"))
    for _ in range(2):
        answer = client.get("/a")
        for name, value in sent[:7]:
            assert value in answer.fields.all(name), name
        assert answer.fields.all("x-two") in (["a", "b"], ["a, b"])
        for name in ("x-hop", "keep-alive", "proxy-authenticate"):
            assert name not in answer.fields
        assert len(answer.fields.all("date")) == 1


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
def test_statuses_with_a_lifetime_are_stored(client, origin, status):
    origin.serve("/a", b"" if status == 204 else b"a", status=status, cache_control="max-age=60")
    assert client.get("/a").status == status
    again = client.get("/a")
    assert again.status == status and again.cache["hit"]
    assert again.body == (b"" if status == 204 else b"a")
