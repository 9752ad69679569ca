"""Stale responses: used while one fill in the background asks for a newer one (RFC 5861 section 3), used when the origin
fails (section 4, RFC 9111 section 4.2.4), and never where that is forbidden. What comes with an Age above its max-age is
stale from the beginning, by exactly so much."""
import json
import re
import time

import pytest

from harness.node import SELVEDGECTL, run
from harness.origin import Origin
from harness.waiting import until

AGE = 100
FORBIDDEN = ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "max-age=60, s-maxage=60",
             "max-age=60, no-cache", 'max-age=60, no-cache="x-a"']


def stale(cache_control, etag='"1"', age=AGE):
    """The fields of a response that is stale as it comes."""
    return {"Cache-Control": cache_control, "ETag": etag, "Age": str(age)}


def fresh(etag='"1"'):
    return {"Cache-Control": "max-age=600", "ETag": etag}


def versions(origin, path, *answers):
    """The n-th request gets the n-th answer, a triple for send() or a callable; the last one for ever."""
    def handler(request, response):
        answer = answers[min(request.number, len(answers)) - 1]
        return answer(request, response) if callable(answer) else response.send(*answer)
    origin.on(path, handler)


def held(gate, *answer):
    def handler(_, response):
        gate.wait()
        response.send(*answer)
    return handler


def reset(_, response):
    response.reset()


def quiet(node):
    """What was begun in the background is over."""
    node.wait_metric("selvedge_fills", 0)


def is_stale(answer, detail="stale-while-revalidate"):
    cache = answer.cache
    return cache.get("hit") is True and cache["ttl"] < 0 and cache["detail"] == detail


# ---- while the origin is asked

def test_many_clients_are_answered_at_once_while_one_fill_asks(node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"old"), held(gate, 200, fresh('"2"'), b"new"))
    assert node.get("/a").body == b"old"
    client = node.h2()
    streams = [client.ask("/a") for _ in range(50)]
    answers = [stream.rest() for stream in streams] + [node.request("/a") for _ in range(10)]
    assert all(answer.body == b"old" and is_stale(answer) for answer in answers)
    assert re.fullmatch(r"selvedge; hit; ttl=-4\d; detail=stale-while-revalidate", answers[0].get("cache-status"))
    assert all(100 <= answer.age <= 120 for answer in answers)
    assert origin.wait_for("/a", 2).get("if-none-match") == '"1"'
    assert origin.count("/a") == 2 and node.metric("selvedge_fills") == 1
    gate.open()
    quiet(node)
    hit = node.get("/a")
    assert hit.body == b"new" and hit.cache["hit"] and hit.cache["ttl"] > 590 and "detail" not in hit.cache
    assert origin.count("/a") == 2
    node.saw(miss=1, stale=60, hit=1)
    assert node.metric("selvedge_revalidations_failed_total") == 0


def test_a_304_in_the_background_freshens_it(client, node, origin):
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"old"), (304, fresh(), b""))
    client.get("/a")
    assert is_stale(client.get("/a"))
    quiet(node)
    assert client.get("/a").get("cache-status").startswith("selvedge; hit; ttl=")
    assert origin.count("/a") == 2
    node.saw(miss=1, stale=1, hit=1)


@pytest.mark.parametrize("cache_control, used", [
    ("max-age=60, stale-while-revalidate=60", True), ("max-age=60, stale-while-revalidate=50", True),
    ("max-age=60, stale-while-revalidate=40", False), ("max-age=60, stale-while-revalidate=1", False),
    ("max-age=0, stale-while-revalidate=120", True), ("max-age=0, stale-while-revalidate=100", False),
    ("max-age=60", False), ("max-age=60, stale-if-error=60", False), ("max-age=60, stale-while-revalidate=0", False),
    *((value + ", stale-while-revalidate=600", False) for value in FORBIDDEN),
])
def test_the_window(client, node, origin, cache_control, used):
    versions(origin, "/a", (200, stale(cache_control), b"old"), (200, fresh('"2"'), b"new"))
    client.get("/a")
    answer = client.get("/a")
    assert (answer.body, is_stale(answer)) == ((b"old", True) if used else (b"new", False))
    quiet(node)
    assert client.get("/a").body == b"new" and origin.count("/a") == 2


def test_the_window_ends(node, origin):
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=42, stale-if-error=0"), b"old"), reset)
    client = node.h1()  # one connection: so many would come at too high a rate
    client.get("/a")
    answer = client.get("/a")
    while is_stale(answer):  # for two seconds
        assert answer.cache["ttl"] >= -42
        answer = client.get("/a")
    assert answer.status == 502 and answer.cache["fwd"] == "stale"


@pytest.mark.parametrize("targeted, used", [("max-age=60, stale-while-revalidate=60", True), ("max-age=60, must-revalidate", False)])
def test_what_is_said_for_caches_like_this_goes_first(client, node, origin, targeted, used):
    """RFC 9213: so an origin can have it used stale here though s-maxage in Cache-Control forbids it to others."""
    other = "s-maxage=60" if used else "max-age=60, stale-while-revalidate=60"
    versions(origin, "/a", (200, {**stale(other), "CDN-Cache-Control": targeted}, b"old"), (200, fresh('"2"'), b"new"))
    client.get("/a")
    assert is_stale(client.get("/a")) == used
    quiet(node)


def test_nothing_to_ask_with_is_fetched_whole(client, node, origin):
    versions(origin, "/a", (200, {"Cache-Control": "max-age=0, stale-while-revalidate=60"}, b"old"),
             (200, {"Cache-Control": "max-age=600"}, b"new"))
    assert client.get("/a").cache["stored"]
    assert client.get("/a").body == b"old"
    quiet(node)
    assert client.get("/a").body == b"new"
    assert "if-none-match" not in origin.asked("/a")[1].fields


def test_each_variant_is_asked_for_with_its_own_fields(client, node, origin):
    def handler(request, response):
        language = request.get("accept-language")
        asked = sum(language == one.get("accept-language") for one in origin.asked("/v"))
        fields = stale("max-age=60, stale-while-revalidate=60") if asked == 1 else fresh()
        response.send(200, {**fields, "Vary": "Accept-Language"}, f"{language} {asked}".encode())
    origin.on("/v", handler)
    for language in "de", "en":
        client.get("/v", {"Accept-Language": language})
    for language in "de", "en":
        assert client.get("/v", {"Accept-Language": language}).body == f"{language} 1".encode()
        quiet(node)
        assert client.get("/v", {"Accept-Language": language}).body == f"{language} 2".encode()


def test_parts_conditions_and_heads_of_it(client, node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"01234567"), held(gate, 304, fresh(), b""))
    client.get("/a")
    part = client.request("/a", {"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"234") and is_stale(part)
    same = client.request("/a", {"If-None-Match": '"1"'})
    assert same.status == 304 and is_stale(same)
    head = client.request("/a", method="HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", "8") and is_stale(head)
    gate.open()
    quiet(node)
    assert [request.method for request in origin.asked("/a")] == ["GET", "GET"]
    assert "range" not in origin.asked("/a")[1].fields
    node.saw(miss=1, stale=3)


def test_a_failed_one_leaves_it_and_the_origin_rests(node, origin):
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"old"), reset)
    node.get("/a")
    begin = time.monotonic()
    answers = []
    while len(answers) < 30:
        answers.append(node.get("/a"))
        quiet(node)
    seconds = time.monotonic() - begin
    assert all(answer.body == b"old" and is_stale(answer) for answer in answers)
    # At once, after a second, two more, four more: a connection that was used before is tried twice.
    assert origin.count("/a") - 1 <= 2 * (1 + int(seconds))
    before = origin.count("/a")
    until(lambda: is_stale(node.get("/a")) and origin.count("/a") > before, "asked again")
    assert node.metric("selvedge_revalidations_failed_total", site="default") >= 2
    assert set(node.outcomes()) == {"miss", "stale"}


@pytest.mark.parametrize("answer", [(200, {"Cache-Control": "no-store"}, b"new"), (200, {"Cache-Control": "private"}, b"new"),
                                    (404, {"Cache-Control": "no-store"}, b"gone")], ids=lambda answer: str(answer[:2]))
def test_what_came_instead_and_may_not_be_stored_ends_it(client, node, origin, answer):
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"old"), answer)
    client.get("/a")
    assert client.get("/a").body == b"old"
    quiet(node)
    after = client.get("/a")
    assert (after.status, after.body) == (answer[0], answer[2])


def test_a_large_body_is_fetched_for_nobody_and_stored(node, origin):
    body = bytes(5 << 20)
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=60"), b"old"), (200, fresh('"2"'), body))
    node.get("/a")
    assert node.get("/a").body == b"old"
    quiet(node)
    assert node.get("/a").body == body and origin.count("/a") == 2


# ---- when the origin fails

def times_out(_, response):
    response.gone()


def half_a_head(_, response):
    response.raw(b"HTTP/1.1 200 OK\r\nContent-Le")
    response.close()


def nonsense(_, response):
    response.raw(b"what?\r\n\r\n")
    response.close()


FAILURES = {
    "a reset": (reset, 0, "connection_terminated"),
    "half a head": (half_a_head, 0, None),
    "nonsense": (nonsense, 0, None),
    "no answer": (times_out, 0, "http_response_timeout"),
    **{str(status): ((status, {"Cache-Control": "no-store"}, b"down"), status, None) for status in (500, 502, 503, 504)},
}


@pytest.mark.parametrize("how", FAILURES)
def test_it_answers_instead(start_node, origin, how):
    node = start_node(origin, first_byte_timeout="0.3")
    failure, status, detail = FAILURES[how]
    versions(origin, "/a", (200, stale("max-age=60, stale-if-error=60"), b"old"), failure)
    node.get("/a")
    answer = node.get("/a")
    assert (answer.status, answer.body) == (200, b"old") and answer.age >= AGE
    cache = answer.cache
    assert cache["fwd"] == "stale" and cache["ttl"] < -39 and cache.get("fwd-status", 0) == status and "stored" not in cache
    assert cache["detail"].partition("/")[0] == "stale-if-error"
    if detail:
        assert cache["detail"] == "stale-if-error/" + detail
    node.saw(miss=1, stale=1)
    quiet(node)
    assert node.metric("selvedge_revalidations_failed_total") == 1


def test_no_origin_at_all(start_node):
    origin = Origin()
    node = start_node(origin)
    origin.serve("/a", b"old", **{"Cache-Control": "max-age=60", "Age": str(AGE), "ETag": '"1"'})
    node.get("/a")
    origin.close()
    answers = [node.get("/a") for _ in range(5)]
    assert all(answer.body == b"old" for answer in answers), "for a day, where nothing else is said"
    assert answers[0].cache["fwd"] == "stale" and answers[0].cache["detail"].startswith("stale-if-error/connection_")


def test_who_waits_together_is_answered_together(node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-if-error=60"), b"old"), held(gate, 503, {"Cache-Control": "no-store"}, b"down"))
    node.get("/a")
    client = node.h2()
    streams = [client.ask("/a") for _ in range(20)]
    client.ping()
    gate.open()
    answers = [stream.rest() for stream in streams]
    assert all((answer.status, answer.body) == (200, b"old") for answer in answers)
    states = [answer.get("cache-status") for answer in answers]
    alone = r"selvedge; fwd=stale; fwd-status=503; ttl=-4\d; detail=stale-if-error"
    together = r"selvedge; fwd=stale; fwd-status=503; collapsed; ttl=-4\d; detail=stale-if-error"
    assert sorted(bool(re.fullmatch(alone, state)) for state in states) == [False] * 19 + [True]
    assert sum(bool(re.fullmatch(together, state)) for state in states) == 19
    assert origin.count("/a") == 2


def test_what_the_origin_answers_to_one_client_keeps_no_other_from_asking(client, node, origin):
    def handler(request, response):
        if request.get("user-agent") == "odd":
            return response.send(503, {}, b"not for you")
        return response.send(200, *((stale("max-age=60, stale-if-error=6000"), b"old") if request.number == 1 else (fresh('"2"'), b"new")))
    origin.on("/a", handler)
    client.get("/a")
    for _ in range(3):
        answer = client.request("/a", {"User-Agent": "odd"})
        assert answer.body == b"old" and answer.cache["detail"] == "stale-if-error" and answer.cache["fwd-status"] == 503
    assert client.request("/a").body == b"new" and origin.count("/a") == 5
    assert node.metric("selvedge_revalidations_failed_total") == 3


@pytest.mark.parametrize("cache_control, allowed", [
    ("max-age=60, stale-if-error=60", True), ("max-age=60, stale-if-error=40", False), ("max-age=60, stale-if-error=0", False),
    ("max-age=60", True), *((value + ", stale-if-error=600", False) for value in FORBIDDEN),
])
@pytest.mark.parametrize("failure, status", [(reset, 502), ((503, {}, b"down"), 503)], ids=["reset", "503"])
def test_where_it_is_forbidden_the_failure_is_passed_on(client, node, origin, cache_control, allowed, failure, status):
    """And what is stored stays: the origin may confirm it when it is back."""
    versions(origin, "/a", (200, stale(cache_control), b"old"), failure, failure, (304, stale(cache_control), b""))
    client.get("/a")
    answer = client.get("/a")
    assert answer.status == (200 if allowed else status) and (answer.body == b"old") == allowed
    if allowed:
        return
    confirmed = client.get("/a")
    while confirmed.status == status:  # a connection that was used before is tried twice
        confirmed = client.get("/a")
    assert confirmed.body == b"old" and confirmed.cache["fwd-status"] == 304
    assert all(request.get("if-none-match") == '"1"' for request in origin.asked("/a")[1:])


@pytest.mark.parametrize("cache_control, replaced", [("max-age=60", False), ("max-age=60, must-revalidate", True)])
def test_an_error_that_says_how_long_it_lasts(client, node, origin, cache_control, replaced):
    versions(origin, "/a", (200, stale(cache_control), b"old"), (503, {"Cache-Control": "max-age=600"}, b"down"))
    client.get("/a")
    client.get("/a")
    quiet(node)
    after = client.get("/a")
    assert (after.status, after.body) == ((503, b"down") if replaced else (200, b"old"))
    assert after.cache.get("hit", False) == replaced and origin.count("/a") == (2 if replaced else 3)


# ---- settings

def answers_stale(node, path):
    answer = node.get(path)
    quiet(node)
    return is_stale(answer)


@pytest.mark.setting("sites[].stale_while_revalidate", "sites[].rules[].stale_while_revalidate")
def test_the_sites_window_where_the_origin_says_nothing(start_site, origin):
    node = start_site(stale_while_revalidate=60, rules=[{"path": "/never/*", "stale_while_revalidate": 0}])
    for path, more in ("/a", ""), ("/own", ", stale-while-revalidate=1"), ("/must", ", must-revalidate"), ("/never/a", ""):
        versions(origin, path, (200, stale("max-age=60" + more), b"old"), (200, fresh('"2"'), b"new"))
        node.get(path)
    assert [answers_stale(node, path) for path in ("/a", "/own", "/must", "/never/a")] == [True, False, False, False]


@pytest.mark.setting("sites[].stale_if_error", "sites[].rules[].stale_if_error")
def test_without_the_sites_window_an_error_is_an_error(start_site, origin):
    node = start_site(stale_if_error=0, rules=[{"path": "/may/*", "stale_if_error": 60}])
    for path, more in ("/a", ""), ("/own", ", stale-if-error=60"), ("/may/a", ""):
        versions(origin, path, (200, stale("max-age=60" + more), b"old"), reset)
        node.get(path)
    assert [node.get(path).status for path in ("/a", "/own", "/may/a")] == [502, 200, 200]


def test_what_bypasses_the_cache_has_its_errors(start_site, origin):
    node = start_site()
    versions(origin, "/a", (200, stale("max-age=60"), b"old"), reset)
    node.get("/a")
    start_site.again(bypass="on")
    assert node.get("/a").status == 502


def test_what_is_fetched_after_a_reload_has_the_windows_of_then(start_site, origin):
    node = start_site(stale_while_revalidate=60)
    versions(origin, "/a", (200, stale("max-age=60"), b"old"))
    node.get("/a")
    assert start_site.again(stale_while_revalidate=0) == ["sites[a].stale_while_revalidate"]
    assert [answers_stale(node, "/a") for _ in range(2)] == [True, False]


# ---- purges

def test_a_soft_purge_makes_it_stale_as_of_then(client, node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, {"Cache-Control": "max-age=600, stale-while-revalidate=60", "ETag": '"1"'}, b"old"),
             held(gate, 200, fresh('"2"'), b"new"))
    client.get("/a")
    node.purge(urls=[node.url("/a")], soft=True)
    for _ in range(3):
        answer = client.get("/a")
        assert answer.body == b"old" and is_stale_or_just(answer)
    gate.open()
    quiet(node)
    assert client.get("/a").body == b"new" and origin.count("/a") == 2


def is_stale_or_just(answer):
    """Purged in this very millisecond it has been stale for no time."""
    return answer.cache.get("hit") is True and answer.cache["ttl"] <= 0 and answer.cache["detail"] == "stale-while-revalidate"


def test_a_hard_purge_ends_it_whatever_is_under_way(client, node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=600, stale-if-error=600"), b"old"),
             held(gate, 304, fresh(), b""), (200, fresh('"3"'), b"new"))
    client.get("/a")
    assert is_stale(client.get("/a"))
    origin.wait_for("/a", 2)
    node.purge(urls=[node.url("/a")])
    after = client.request("/a")
    assert (after.status, after.body) == (200, b"new") and after.cache["fwd"] == "miss"
    assert "if-none-match" not in origin.asked("/a")[2].fields
    gate.open()
    quiet(node)
    assert client.get("/a").body == b"new" and origin.count("/a") == 3


def test_a_soft_purge_while_it_is_asked_for_has_it_asked_for_anew(client, node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=600"), b"old"), held(gate, 200, fresh('"2"'), b"between"),
             (200, fresh('"3"'), b"new"))
    client.get("/a")
    assert is_stale(client.get("/a"))
    origin.wait_for("/a", 2)
    node.purge(everything=True, soft=True)
    assert client.get("/a").body == b"old"
    origin.wait_for("/a", 3)
    gate.open()
    quiet(node)
    assert client.get("/a").body == b"new" and origin.count("/a") == 3


def test_a_hard_purge_leaves_nothing_for_an_error_to_who_asked_before(node, origin):
    """And nobody else has found it purged."""
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-if-error=600"), b"old"), held(gate, 503, {"Cache-Control": "no-store"}, b"down"))
    node.get("/a")
    before = node.h2().ask("/a")
    origin.wait_for("/a", 2)
    node.purge(urls=[node.url("/a")])
    gate.open()
    assert before.rest().status == 503


def test_a_hard_purge_while_it_is_asked_for_leaves_nothing_for_an_error(node, origin):
    gate = origin.gate()
    versions(origin, "/a", (200, stale("max-age=60, stale-if-error=600"), b"old"), held(gate, 503, {"Cache-Control": "no-store"}, b"down"))
    node.get("/a")
    before = node.h2().ask("/a")
    origin.wait_for("/a", 2)
    node.purge(urls=[node.url("/a")])
    after = node.h2().ask("/a")
    origin.wait_for("/a", 3)
    gate.open()
    assert after.rest().status == before.rest().status == 503


def test_an_error_is_not_what_is_come_back_to(client, node, origin):
    """Stored, as it says for how long; but when the origin fails again, the new failure is told."""
    versions(origin, "/a", (503, {"Cache-Control": "max-age=60", "Age": "100", "ETag": '"1"'}, b"old trouble"), (503, {}, b"new trouble"),
             (200, fresh(), b"well"))
    assert [client.get("/a").body for _ in range(3)] == [b"old trouble", b"new trouble", b"well"]


def test_an_unsafe_method_ends_it(client, node, origin):
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=600, stale-if-error=600"), b"old"), (204, {}, b""), reset)
    client.get("/a")
    assert client.request("/a", method="POST", body=b"x").status == 204
    assert client.get("/a").status == 502


# ---- HEAD (RFC 9111 section 4.3.5): none goes upstream, so what one learns is what a GET learns

@pytest.mark.parametrize("answer, body", [((304, fresh(), b""), b"old"), ((200, fresh('"2"'), b"newer"), b"newer")], ids=["304", "200"])
def test_a_head_updates_what_is_stored(client, node, origin, answer, body):
    versions(origin, "/a", (200, {**stale("max-age=60"), "X-A": "1"}, b"old"), answer)
    client.get("/a")
    head = client.request("/a", method="HEAD")
    assert (head.status, head.body, head.get("content-length")) == (200, b"", str(len(body)))
    quiet(node)
    hit = client.get("/a")
    assert hit.body == body and hit.cache["hit"] and hit.cache["ttl"] > 590
    assert [request.method for request in origin.asked("/a")] == ["GET", "GET"]


# ---- what is told

def test_trace_and_access_log(start_node, origin, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log))
    versions(origin, "/a", (200, stale("max-age=60, stale-while-revalidate=600, stale-if-error=6000"), b"old"), reset)
    node.get("/a")

    def trace(*options):
        done = run(*options, "trace", node.url("/a"), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
        assert done.returncode == 0, done.stderr
        return done.stdout
    said, now = json.loads(trace("--json")), time.time()
    assert said["treatment"] == "stale" and said["why"] == "it is stale, and used while the origin is asked in the background"
    assert abs(said["stored"]["stale_while_revalidate_until_s"] - (now + 560)) < 10
    assert abs(said["stored"]["stale_if_error_until_s"] - (now + 5960)) < 10
    assert origin.count("/a") == 1
    assert re.search(r"^stale      while the origin is asked: until \S+ \S+ UTC; when it fails: until \S+ \S+ UTC$", trace(), re.M)
    node.get("/a")
    quiet(node)
    assert json.loads(trace("--json"))["why"] == "it is stale, and used as the origin failed just now"
    node.saw(miss=1, stale=1)
    until(lambda: log.read_text().count("\n") == 2, "logged")
    lines = {line["cache"]: line for line in map(json.loads, log.read_text().splitlines())}
    assert set(lines) == {"miss", "stale"} and lines["stale"]["tier"] == "memory" and lines["stale"]["status"] == 200


# ---- limits

def test_much_that_is_stale_at_once_ends_no_connection_and_does_not_flood_the_origin(node, origin):
    """More than a connection's own fills may be (64), and more than are in the background at a time (128)."""
    gate = origin.gate()
    paths = [f"/many/{number}" for number in range(150)]

    def handler(request, response):
        if request.number > 1:
            gate.wait()
            return response.send(304, fresh())
        return response.send(200, stale("max-age=60, stale-while-revalidate=600"), b"old")
    origin.on("/many/*", handler)
    client = node.h2()
    for path in paths:
        assert client.get(path).body == b"old"
    assert all(is_stale(client.get(path)) for path in paths)
    until(lambda: origin.count() == 150 + 128, "128 fills")
    assert node.metric("selvedge_fills") == 128 and node.metric("selvedge_guard_stopped_total") == 0
    gate.open()
    quiet(node)
    answers = [client.get(path).cache for path in paths]  # for the rest it is their turn now
    assert sum("detail" not in answer for answer in answers) == 128
    quiet(node)
    assert all("detail" not in client.get(path).cache for path in paths)
    assert origin.count() == 300
    assert set(node.outcomes()) == {"miss", "stale", "hit"}
