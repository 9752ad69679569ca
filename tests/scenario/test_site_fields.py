"""Response fields that a site sets, adds and removes."""
import pytest

from harness.node import run


@pytest.fixture
def start(start_site, origin):
    origin.serve("/a", b"0123456789", cache_control="max-age=600", etag='"1"', server="origin/1", x_powered_by="x", x_kept="1")
    origin.serve("/not-stored", b"n", cache_control="no-store", server="origin/1", x_powered_by="x")
    return start_site


SAID = {"set": {"Server": "edge", "X-Frame-Options": "DENY"}, "add": {"X-Kept": "2", "Link": "</a.css>; rel=preload"}, "remove": ["X-Powered-By"]}


@pytest.mark.setting("sites[].response_fields.set", "sites[].response_fields.add", "sites[].response_fields.remove")
@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_fields_are_set_added_and_removed(start, origin, protocol):
    node = start(response_fields=SAID)
    client = getattr(node, protocol)()
    for target, status, more in [("/a", 200, {}), ("/a", 200, {}), ("/a", 200, {"method": "HEAD"}), ("/not-stored", 200, {}),
                                 ("/a", 304, {"fields": {"If-None-Match": '"1"'}}), ("/a", 206, {"fields": {"Range": "bytes=1-2"}}),
                                 ("/a", 200, {"method": "POST", "body": b"1"}), ("/gone", 404, {})]:
        answer = client.get(target, **more)
        assert answer.status == status
        assert answer.fields.all("server") == ["edge"] and answer.fields.all("x-frame-options") == ["DENY"]
        assert "x-powered-by" not in answer.fields and answer.fields.all("link") == ["</a.css>; rel=preload"]
        assert answer.fields.all("x-kept") == (["1", "2"] if target == "/a" else ["2"])
        if target == "/a":
            assert answer.get("etag") == '"1"' and answer.get("cache-control") == "max-age=600"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_304_renews_a_policy_of_the_content(start, origin, protocol):
    """RFC 9110 section 15.4.5: what a 304 leaves out describes the representation; whoever has a copy takes the rest anew."""
    origin.serve("/b", b"0123456789", cache_control="max-age=600", etag='"1"', content_type="text/html", content_language="de",
                 content_disposition="inline", content_security_policy_report_only="img-src *")
    client = getattr(start(response_fields={"set": {"Content-Security-Policy": "default-src 'self'"}}), protocol)()
    whole, answer = client.get("/b"), client.get("/b", {"If-None-Match": '"1"'})
    assert (whole.status, answer.status, answer.body) == (200, 304, b"")
    for name in "content-security-policy", "content-security-policy-report-only", "content-disposition":
        assert answer.get(name) is not None and answer.get(name) == whole.get(name)
    for name in "content-type", "content-language", "content-length":
        assert name in whole.fields and name not in answer.fields
    assert origin.count("/b") == 1


def test_what_clients_are_told_changes_nothing_of_what_is_stored(start, origin):
    origin.on("/b", lambda request, response: response.send(
        304 if request.get("if-none-match") else 200, {"ETag": '"1"', "Cache-Control": "max-age=0"}, b"" if request.get("if-none-match") else b"b"))
    node = start(response_fields={"set": {"Cache-Control": "no-store"}})
    for _ in range(2):
        node.get("/a")
    assert node.get("/a").cache["hit"] and node.get("/a").get("cache-control") == "no-store"
    assert node.get("/b").cache["stored"]
    for _ in range(2):
        assert node.get("/b").cache["fwd-status"] == 304, "the stored response is what the origin said"
    start.again(response_fields={"remove": ["Cache-Control", "ETag".replace("ETag", "X-Kept")]})
    answer = node.get("/a")
    assert answer.cache["hit"] and "cache-control" not in answer.fields and "x-kept" not in answer.fields


@pytest.mark.setting("sites[].rules[].response_fields.set", "sites[].rules[].response_fields.add", "sites[].rules[].response_fields.remove")
def test_a_rule_has_its_own(start, origin):
    origin.serve("/img/a", b"i", cache_control="max-age=600", server="origin/1")
    node = start(response_fields={"set": {"Server": "edge"}, "remove": ["X-Powered-By"]},
                 rules=[{"path": "/img/*", "response_fields": {"set": {"Cache-Control": "immutable"}, "add": {"X-Rule": "1"}, "remove": []}}])
    for _ in range(2):
        answer = node.get("/img/a")
        assert (answer.get("server"), answer.get("cache-control"), answer.get("x-rule")) == ("origin/1", "immutable", "1")
        assert node.get("/a").get("server") == "edge"


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_what_is_stored_goes_by_what_is_in_force(start, origin, protocol):
    node = start()
    client = getattr(node, protocol)()
    client.get("/a")
    for said, server in (SAID, "edge"), ({"set": {"Server": "other"}}, "other"), ({}, "origin/1"), (SAID, "edge"):
        start.again(response_fields=said)
        for _ in range(2):
            answer = client.get("/a")
            assert answer.cache["hit"] and answer.fields.all("server") == [server]
    assert origin.count("/a") == 1


LINES = ("a group of fields and their values, such as {X-Frame-Options: DENY}; fields that the node says itself, such as Date, ETag, "
         "Content-Length or Access-Control-Allow-Origin, are not among them")


@pytest.mark.parametrize("fields, said", [
    ("{set: {Date: now}}", "3:27: sites[].response_fields.set Date: now: not a field that a site says; " + LINES),
    ("{set: {'a b': c}}", "3:27: sites[].response_fields.set a b: c: not a field that a site says; "),
    ("{add: {A: \"b\\nc: d\"}}", "3:27: sites[].response_fields.add A: b?c: d: not the value of a field; "),
    ("{add: {A: ' b'}}", "3:27: sites[].response_fields.add A:  b: not the value of a field; "),
    ("{add: {A: ''}}", "3:27: sites[].response_fields.add A: : not the value of a field; "),
    ("{add: {A: [b]}}", "3:30: sites[].response_fields.add is a list; allowed is a single value: a group of fields"),
    ("{set: [a]}", "3:26: sites[].response_fields.set is a list; allowed is a group of fields and their values"),
    ("{remove: Server}", "3:29: sites[].response_fields.remove is no list; allowed is a list: the name of a field, such as X-Powered-By; "),
    ("{remove: [ETag]}", "3:30: sites[].response_fields.remove ETag: not a field that a site says; the name of a field"),
    ("{set: {%s}}" % ", ".join(f"A{number}: {'x' * 200}" for number in range(20)), ": one too many; a list has room for 4096 bytes")])
def test_what_cannot_be_is_told(tmp_path, fields, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}},\n  response_fields: {fields}}}\n")
    done = run("--config", path, "--check")
    assert done.returncode == 1 and said in done.stdout, done.stdout
