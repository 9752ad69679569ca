"""selvedgectl trace: how the node would treat a URL, without touching it."""
import json
import time

import pytest

from harness.node import SELVEDGECTL, run


@pytest.fixture
def trace(node):
    def ask(path):
        done = run("--json", "trace", node.url(path), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url,
                   SELVEDGE_TOKEN=node.token)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return ask


def test_what_was_never_asked_for(node, origin, trace):
    said = trace("/x/../a%41?b=%2f&c=1")
    assert (said["site"], said["key"]) == ("default", "/aA?b=%2f&c=1")
    assert said["treatment"] == "fetch" and said["stored"] is None and said["growing"] is None
    assert said["purge"] is None and said["variants"] == 0 and said["hit_for_miss_s"] == 0
    assert origin.count() == 0 and node.outcomes() == {}


def test_what_is_stored(node, origin, trace):
    origin.serve("/a", b"12345", cache_control="max-age=60")
    node.get("/a")
    said = trace("/a")
    assert said["treatment"] == "hit" and said["stored"]["status"] == 200 and said["stored"]["bytes"] == 5
    assert 50 <= said["stored"]["fresh_for_s"] <= 60 and abs(said["stored"]["fresh_until_s"] - time.time() - 60) < 10
    node.saw(miss=1)
    assert origin.count("/a") == 1


def test_what_was_purged(node, origin, trace):
    origin.serve("/a", b"a", cache_control="max-age=60", etag='"1"')
    node.get("/a")
    node.purge(everything=True, soft=True)
    said = trace("/a")
    assert said["treatment"] == "revalidate" and said["stored"]["purged"] == "soft"
    assert said["purge"] == {"rule": "everything", "mode": "soft", "sequence": 1}
    node.purge(urls=[node.url("/a")])
    said = trace("/a")
    assert said["treatment"] == "fetch" and said["purge"] == {"rule": "url", "mode": "hard", "sequence": 2}
    assert origin.count("/a") == 1


def test_what_may_not_be_shared_and_what_varies(node, origin, trace):
    origin.serve("/private", b"a", cache_control="private, max-age=60")
    node.get("/private")
    said = trace("/private")
    assert said["treatment"] == "bypass" and 100 <= said["hit_for_miss_s"] <= 120
    origin.serve("/v", b"v", cache_control="max-age=60", vary="Accept-Language")
    for language in ("de", "en"):
        node.get("/v", {"Accept-Language": language})
    said = trace("/v")
    assert said["variants"] == 2 and said["treatment"] == "fetch", "of a request without the field"


def test_what_is_being_fetched(node, origin, trace):
    gate = origin.gate()

    def handler(_, response):
        response.head(200, {"Content-Length": 5, "Cache-Control": "max-age=60"})
        response.raw(b"12")
        gate.wait()
        response.raw(b"345")
    origin.on("/a", handler)
    stream = node.h2().ask("/a")
    stream.at_least(2)
    said = trace("/a")
    assert said["treatment"] == "join" and said["growing"] == {"status": 200, "bytes": 2, "length": 5}
    gate.open()
    assert stream.rest().body == b"12345"


def test_as_text_and_what_is_refused(node, origin):
    env = {"SELVEDGE_ADMIN": node.admin_url, "SELVEDGE_TOKEN": node.token}
    done = run("trace", node.url("/a"), binary=SELVEDGECTL, **env)
    assert done.returncode == 0 and "treatment  fetch: " in done.stdout and "key        /a\n" in done.stdout
    assert run("trace", binary=SELVEDGECTL, **env).returncode == 2
    assert run("trace", "bad", binary=SELVEDGECTL, **env).returncode == 4
    for query in ("", "?", "?url", "?uri=x", "?url=%", "?url=%4", "?url=%zz", "?url=http://a/&x=1", "?url="):
        assert node.admin("GET", "/v1/trace" + query).status == 400, query
    assert node.admin("GET", "/v1/trace?url=http%3A%2F%2Fa%2F", token=None).status == 401


def test_what_is_on_disk(start_node, origin, tmp_path):
    """Told from the index alone: nothing is read for it."""
    def ask(path, *options):
        done = run(*options, "trace", node.url(path), binary=SELVEDGECTL, SELVEDGE_ADMIN=node.admin_url, SELVEDGE_TOKEN=node.token)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if options else done.stdout

    def vary(request, response):
        response.send(200, {"Cache-Control": "max-age=60", "Vary": "Accept-Language"}, b"v")
    origin.serve("/a", b"12345", cache_control="max-age=60")
    origin.on("/v", vary)
    options = {"disk": f"{tmp_path}/disk:64M", "disk_admission": "always", "state_dir": tmp_path / "state"}
    node = start_node(origin, **options)
    node.get("/a")
    node.get("/v")
    node.wait_metric("selvedge_disk_records", 3)
    for path in "/a", "/v":
        assert ask(path, "--json")["treatment"] == "hit" and ask(path, "--json")["disk"] is True
    node.stop()
    node = start_node(origin, **options)
    node.wait_metric("selvedge_disk_recovering_segments", 0)
    for path in "/a", "/v":
        said = ask(path, "--json")
        assert said["treatment"] == "disk" and said["disk"] is True and said["stored"] is None
    assert "\ndisk       yes\n" in ask("/a") and "disk       yes" not in ask("/b")
    assert ask("/b", "--json")["treatment"] == "fetch" and ask("/b", "--json")["disk"] is False
    assert node.metric("selvedge_disk_reads_total") == 0
    assert node.get("/a").cache["detail"] == "disk"
