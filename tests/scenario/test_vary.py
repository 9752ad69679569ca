"""Variants selected by Vary: by what the definition of the selecting fields says is the same, and no more."""
import pytest


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


def test_of_languages_case_order_repeats_and_the_spelling_of_weights_say_nothing(client, node, origin):
    by_language(origin)
    for asked, same in ("de,fr", ("fr,de", "DE , Fr", "de, fr, de", "fr;q=1.000, de;q=1")), ("de,fr;q=0.5", ("FR; Q=0.50 ,de",)):
        assert ask(client, asked).body == asked.encode()
        for language in same:
            assert ask(client, language).body == asked.encode(), language
    assert origin.count("/a") == 2
    node.saw(miss=2, hit=5)


@pytest.mark.parametrize("said, told", [
    ("en,de,,", "de,en"), ("de, en", "de,en"), ("DE;q=1.000", "de"), ("fr;q=0.50, PT-br;q=0.9, zh-hant-tw", "zh-Hant-TW,pt-BR;q=0.9,fr;q=0.5"),
    ("*;q=0 , en ;q=0.3", "en;q=0.3,*;q=0"), ("x y,,EN", "x y,EN"), ("", "")])
def test_upstream_is_told_no_more_than_what_selects(client, origin, said, told):
    """Whoever comes first: no spelling of its own is in the answer that others get."""
    by_language(origin)
    assert ask(client, said).body == (told or "none").encode()
    assert origin.asked("/a")[0].fields.all("accept-language") == [told]
    assert ask(client, told).cache["hit"]


def test_whoever_comes_first_others_get_what_they_asked_for(client, origin):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": "Accept"}, request.get("accept").encode()))
    assert client.get("/a", [("Accept", "text/css ,"), ("Accept", "*/*;q=0.1")]).body == b"text/css,*/*;q=0.1"
    assert client.get("/a", {"Accept": "text/css, */*;q=0.1"}).cache["hit"]
    assert client.get("/a", {"Accept": "*/*;q=0.1, text/css"}).body == b"*/*;q=0.1,text/css"


def test_other_languages_and_weights_are_other_variants(client, origin):
    by_language(origin)
    languages = ["de", "de-AT", "de;q=0.5", "de;q=0", "*", "", "de,en_us", "de,en_US;q=2"]
    for language in languages:
        assert ask(client, language).body == (language or "none").encode()
    assert origin.count("/a") == len(languages)


@pytest.mark.parametrize("name, honest, others", [
    ("User-Agent", "Mozilla/5.0 (KHTML, like Gecko)", ["Mozilla/5.0 (KHTML,like Gecko)", ",Mozilla/5.0 (KHTML,,,, like Gecko)"]),
    ("Authorization", 'Digest a="b", c="d"', ['Digest a="b",,c="d"', 'Digest a="b" , c="d"']),
    ("Origin", "a, b", ["b, a", "A, b", "a ,b"])])
def test_of_a_field_that_is_no_list_every_byte_says_something(client, origin, name, honest, others):
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "public, max-age=60", "Vary": name}, request.get(name).encode()))
    for value in [*others, honest]:
        assert client.get("/a", {name: value}).body == value.encode()
        assert client.get("/a", {name: value}).cache["hit"]


def test_as_many_fields_as_there_are(start_node, origin):
    node = start_node(origin, forward="all")
    names = [f"x-{number}" for number in range(64)]
    origin.on("/a", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=60", "Vary": ", ".join(names)}, request.get("x-63").encode()))
    client = node.h1()
    for value in b"one", b"two":
        assert client.get("/a", {"X-63": value.decode()}).body == value
        assert client.get("/a", {"X-63": value.decode()}).cache["hit"]
    names.append("x-64")
    node.purge(everything=True)
    assert not any("hit" in client.get("/a", {"X-63": "one"}).cache for _ in range(2)), "more are as good as *"


def test_of_one_url_the_64_variants_that_came_last_are_kept(client, node, origin):
    by_language(origin)
    languages = [f"x-{number}" for number in range(70)]
    for language in languages:
        ask(client, language)
    node.wait_metric("selvedge_objects", 64)
    assert node.metric("selvedge_variants_evicted_total") == 6
    assert all("hit" in ask(client, language).cache for language in languages[6:])
    assert not any("hit" in ask(client, language).cache for language in languages[:6]), "each takes another's place"
    node.wait_metric("selvedge_variants_evicted_total", 12)
    node.saw(miss=76, hit=64)


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
