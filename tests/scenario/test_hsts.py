"""Strict-Transport-Security: on every answer of the site over https, and on none over http."""
import pytest

from harness.node import run

POLICY = "max-age=31536000; includeSubDomains"
FIELD = "strict-transport-security"
ANSWERS = [  # target, status, and how it is asked for
    ("/a", 200, {}), ("/a", 200, {"method": "HEAD"}), ("/a", 304, {"fields": {"If-None-Match": '"1"'}}),
    ("/a", 206, {"fields": {"Range": "bytes=0-1"}}), ("/a", 416, {"fields": {"Range": "bytes=99-"}}),
    ("/a", 412, {"fields": {"If-Match": '"2"'}}), ("/not-stored", 200, {}), ("/a", 200, {"method": "POST", "body": b"1"}),
    ("/gone", 404, {}), ("/broken", 502, {}), ("/%00", 400, {}), ("/a", 403, {"method": "PURGE"})]


@pytest.fixture
def node(start_node, origin):
    origin.serve("/a", b"0123456789", cache_control="max-age=60", etag='"1"')
    origin.serve("/own", b"own", cache_control="max-age=60", strict_transport_security="max-age=1")
    origin.serve("/not-stored", b"", cache_control="no-store", strict_transport_security="max-age=1")
    origin.on("/broken", lambda _, response: (response.raw(b"nonsense\r\n\r\n"), response.close()))
    return start_node(origin, hsts=POLICY, redirect_https="on", purge_method="on")


@pytest.fixture(params=["h1", "h2"])
def secure(request, node):
    return node.h1(tls=True) if request.param == "h1" else node.h2()


@pytest.mark.setting("sites[].hsts")
def test_every_answer_over_https_has_it(node, secure):
    for target, status, more in ANSWERS * 2:  # fetched, and stored
        answer = secure.get(target, **more)
        assert (answer.status, answer.fields.all(FIELD)) == (status, [POLICY]), (target, more)


def test_over_http_there_is_none(start_node, node, origin):
    for client in node.h1(), node.h2(tls=False):
        for target in "/a", "/%00":
            assert FIELD not in client.request(target).fields
    plain = start_node(origin, hsts="31536000")
    for client in plain.h1(), plain.h2(tls=False):
        for target in "/a", "/a", "/own", "/own", "/not-stored", "/gone", "/broken", "/%00":
            assert FIELD not in client.get(target).fields, target


def test_it_takes_the_place_of_the_origins(node, secure):
    for target in "/own", "/own", "/not-stored":
        assert secure.get(target).fields.all(FIELD) == [POLICY]


def test_without_a_policy_the_origins_stays_over_https(start_node, node, origin):
    node = start_node(origin)
    for client in node.h1(tls=True), node.h2():
        for target in "/own", "/own", "/not-stored":
            assert client.get(target).fields.all(FIELD) == ["max-age=1"]
        assert FIELD not in client.get("/a").fields


def test_what_one_site_says_is_not_said_for_another(start_node, origin, tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text(f"""sites:
- {{name: a, hosts: [a.example], hsts: 600, origin: {{url: '{origin.url}'}}}}
- {{name: b, hosts: [b.example], origin: {{url: '{origin.url}'}}}}
""")
    origin.serve("/a", b"a")
    client = start_node(config=path).h2()
    assert client.request("/a", host="a.example").get(FIELD) == "max-age=600"
    for host in "b.example", "c.example":
        assert FIELD not in client.request("/a", host=host).fields


def test_what_is_stored_goes_by_what_is_in_force(start_node, node, origin, tmp_path):
    path = tmp_path / "node.yaml"

    def write(**more):
        said = "".join(f"  {name}: {value}\n" for name, value in more.items())
        path.write_text(f"sites:\n- name: a\n  hosts: [localhost]\n  origin: {{url: '{origin.url}'}}\n{said}")
    write()
    node = start_node(config=path)
    clients = [node.h1(tls=True), node.h2()]
    clients[0].get("/own")
    for policy, sent in ("60", "max-age=60"), ("max-age=61", "max-age=61"), ("off", "max-age=1"):
        write(hsts=policy, redirect_https="on" if policy == "60" else "off")
        assert node.admin("POST", "/v1/reload").json["in_force"]
        for client in clients:
            answer = client.request("/own")
            assert answer.cache["hit"] and answer.fields.all(FIELD) == [sent]
        assert node.request("/own").status == (301 if policy == "60" else 200)


@pytest.mark.parametrize("value, said", [
    ("a year", "not a policy; allowed is off, a number of seconds, or max-age=SECONDS with `; includeSubDomains` and "
               "`; preload` behind it where wanted, such as max-age=31536000; includeSubDomains"),
    ("max-age=60; preload", "preload is of no use alone: browsers' lists take sites with includeSubDomains and a max-age of at "
                            "least 31536000"),
    ("315360001", "too long; allowed are at most ten years, 315360000")])
def test_what_cannot_be_is_told(tmp_path, value, said):
    path = tmp_path / "node.yaml"
    path.write_text(f"sites:\n- {{name: a, hosts: [a], origin: {{url: 'http://o'}}, hsts: {value}}}\n")
    done = run("--config", path, "--check")
    assert (done.returncode, done.stdout) == (1, f"{path}:2:58: sites[].hsts {value}: {said}\n")
