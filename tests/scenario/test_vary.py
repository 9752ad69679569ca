"""Variants selected by Vary, exactly."""


def by_language(origin, vary="Accept-Language"):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": vary}, (request.get("accept-language") or "none").encode()))


def ask(client, language=None, **more):
    return client.get("/a", {"Accept-Language": language} if language is not None else {}, **more)


def test_each_variant_is_stored_by_itself(client, node, origin):
    by_language(origin)
    assert [ask(client, language).body for language in ("de", "fr", None, "de", "fr", None)] == [
        b"de", b"fr", b"none", b"de", b"fr", b"none"]
    assert origin.count("/a") == 3
    node.saw(miss=3, hit=3)
    assert ask(client, "es").cache["fwd"] in ("vary-miss", "miss")


def test_only_what_is_equal_matches(client, origin):
    by_language(origin)
    for language in ("de", "DE", "de, fr", "fr, de"):
        assert ask(client, language).body == language.encode()
    assert origin.count("/a") == 4
    assert ask(client, "de,fr").cache["hit"], "white space around commas does not count"


def test_field_names_in_any_case(client, origin):
    by_language(origin, "aCCept-LANGUAGE")
    ask(client, "de")
    assert client.get("/a", {"ACCEPT-language": "de"}).cache["hit"]


def test_a_field_the_origin_never_sees_is_one_variant_of_nothing(client, origin):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": "Cookie"}, (request.get("cookie") or "none").encode()))
    assert client.get("/a", {"Cookie": "mine=1"}).body == b"none"
    assert client.get("/a", {"Cookie": "yours=2"}).body == b"none"


def test_accept_encoding_makes_no_variants(client, origin):
    by_language(origin, "Accept-Encoding")
    client.get("/a", {"Accept-Encoding": "gzip"})
    assert client.get("/a", {"Accept-Encoding": "br"}).cache["hit"]
    assert client.get("/a").cache["hit"]
    assert origin.count("/a") == 1


def test_vary_star_is_not_stored(client, node, origin):
    by_language(origin, "*")
    assert [ask(client, "de").body for _ in range(2)] == [b"de", b"de"]
    assert origin.count("/a") == 2
    node.wait_metric("selvedge_objects", 0)


def test_clients_of_one_variant_collapse_and_those_of_another_do_not(node, origin):
    gate = origin.gate()

    def handler(request, response):
        gate.wait()
        response.send(200, {"Cache-Control": "max-age=60", "Vary": "Accept-Language"}, request.get("accept-language").encode())
    origin.on("/a", handler)
    client = node.h2()
    streams = [client.ask("/a", {"Accept-Language": language}) for language in ("de", "fr") * 10]
    client.ping()
    gate.open()
    assert [bytes(stream.rest().body) for stream in streams] == [b"de", b"fr"] * 10
    assert origin.count("/a") == 2


def test_another_vary_joins_in(client, origin):
    by_language(origin)
    ask(client, "de")
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": "Origin"}, (request.get("origin") or "none").encode()))
    assert ask(client, "fr").body == b"none"
    for origin_field in "https://one", "https://two":
        fields = {"Origin": origin_field, "Accept-Language": "es"}
        assert client.get("/a", fields).body == origin_field.encode()
        assert client.get("/a", fields).cache["hit"]
    assert client.get("/a", {"Origin": "https://one", "Accept-Language": "es"}).body == b"https://one"


def test_a_purge_takes_every_variant(client, node, origin):
    by_language(origin)
    for language in "de", "fr":
        ask(client, language)
    node.purge(urls=[node.url("/a")])
    assert all(ask(client, language).cache["fwd"] in ("miss", "vary-miss") for language in ("de", "fr"))
    assert origin.count("/a") == 4
