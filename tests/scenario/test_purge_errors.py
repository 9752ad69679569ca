"""What the admin API refuses, and in which words."""
import pytest

BAD = {  # body: (code, field)
    '{"urls":["no url"]}': ("bad_url", "urls[0]"),
    '{"urls":["http://a/","ftp://a/"]}': ("bad_url", "urls[1]"),
    '{"urls":["http://a/%2e%2e/x"]}': ("bad_url", "urls[0]"),
    '{"urls":["http://a/#x"]}': ("bad_url", "urls[0]"),
    '{"urls":[1]}': ("bad_value", "urls[0]"),
    '{"urls":"http://a/"}': ("bad_value", "urls"),
    '{"site":1}': ("bad_value", "site"),
    '{"site":"unknown"}': ("unknown_site", "site"),
    '{"everything":"yes"}': ("bad_value", "everything"),
    '{"everything":true,"soft":1}': ("bad_value", "soft"),
    '{"everything":true,"reason":[]}': ("bad_value", "reason"),
    '{"everything":true,"nothing":1}': ("unknown_field", "nothing"),
    '{"everything":false}': ("nothing_to_purge", None),
    '{}': ("nothing_to_purge", None),
    '{"urls":[]}': ("nothing_to_purge", None),
    '[]': ("bad_json", None),
    '{"everything":true': ("bad_json", None),
    '{"everything":true}{}': ("bad_json", None),
    '{"everything":true,"everything":false}': ("bad_json", None),
    '': ("bad_json", None),
}


def check(answer, status, code, field=None):
    assert answer.status == status, answer
    assert answer.fields["content-type"].startswith("application/json")
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert error["code"] == code and error["message"], answer
    assert error.get("field") == field and set(error) <= {"code", "message", "field"}


@pytest.mark.parametrize("body", BAD)
def test_400(node, origin, body):
    origin.serve("/a", b"a", cache_control="max-age=60")
    node.get("/a")
    check(node.admin("POST", "/v1/purge", body), 400, *BAD[body])
    assert node.get("/a").cache["hit"] and node.status()["sequence"] == 0
    assert node.metric("selvedge_purges_total") == 0


def test_one_bad_url_purges_none(node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60")
    node.get("/a")
    check(node.admin("POST", "/v1/purge", {"urls": [node.url("/a"), "bad"]}), 400, "bad_url", "urls[1]")
    assert node.get("/a").cache["hit"]


@pytest.mark.parametrize("method, path, body", [("POST", "/v1/purge", {"everything": True}), ("GET", "/v1/status", None)])
def test_401_and_403(node, method, path, body):
    answer = node.admin(method, path, body, token=None)
    check(answer, 401, "unauthorized")
    assert answer.fields["www-authenticate"].startswith("Bearer")
    check(node.admin(method, path, body, token="wrong"), 403, "forbidden")
    check(node.admin(method, path, body, token=node.token + "x"), 403, "forbidden")
    check(node.admin(method, path, body, token=node.token[:-1]), 403, "forbidden")
    assert node.admin(method, path, body, token=None, fields={"Authorization": "Basic eDp5"}).status == 401
    assert node.admin(method, path, body).status == 200
    assert node.status()["sequence"] == (1 if body else 0)


def test_404_and_405(node):
    check(node.admin("GET", "/v1/nothing"), 404, "not_found")
    for method, path in ("GET", "/v1/purge"), ("DELETE", "/v1/status"), ("POST", "/healthz"), ("POST", "/metrics"):
        answer = node.admin(method, path)
        check(answer, 405, "method_not_allowed")
        assert answer.fields["allow"]


def test_413(node):
    check(node.admin("POST", "/v1/purge", b" " * ((1 << 20) + 1)), 413, "too_large")
    assert node.admin("POST", "/v1/purge", b'{"everything":true}' + b" " * ((1 << 20) - 19)).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", None])
def test_415(node, content_type):
    check(node.admin("POST", "/v1/purge", {"everything": True}, content_type=content_type), 415, "unsupported_media_type")
    assert node.status()["sequence"] == 0


def test_json_with_a_charset_is_json(node):
    assert node.admin("POST", "/v1/purge", {"everything": True}, content_type="application/json; charset=utf-8").status == 200


def test_clients_cannot_reach_the_api_and_admins_not_the_cache(node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60")
    for path in "/v1/status", "/metrics", "/healthz":
        assert node.get(path).status == 404, "the origin's answer"
    assert origin.count("/metrics") == 1
    assert node.admin("GET", "/a").status == 404 and origin.count("/a") == 0
