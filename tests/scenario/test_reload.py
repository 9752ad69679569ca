"""SIGHUP, or selvedgectl reload: another configuration comes into force without a dropped connection, or the one before
stays in force and it is said why."""
import fcntl
import json
import os
import re
import signal
import socket
import ssl
import threading

import pytest

from harness.h1 import H1
from harness.h2origin import make_certificates
from harness.node import SELVEDGECTL, run
from harness.origin import Origin
from harness.waiting import until


class File:
    """The node's configuration: JSON, which is YAML too."""

    def __init__(self, path, origin):
        self.path = path
        self.content = {"sites": [self.site("www", origin)]}
        self.write()

    @staticmethod
    def site(name, origin, **more):
        return {"name": name, "hosts": [f"{name}.example"], "origin": {"url": origin.url}, **more}

    def write(self, **groups):
        self.content.update(groups)
        self.path.write_text(json.dumps(self.content, indent=1))

    def spoil(self, text='{"limits": {"conections": 5}}'):
        self.path.write_text(text)


@pytest.fixture
def file(tmp_path, origin):
    origin.serve("/a", b"a", cache_control="max-age=600")
    return File(tmp_path / "node.yaml", origin)


@pytest.fixture
def start(start_node, file):
    """A node of that file; options win over it, so that only what a scenario is about is in there."""
    def start(**options):
        return start_node(None, config=str(file.path), **options)
    return start


@pytest.fixture
def other():
    """Another origin."""
    origin = Origin()
    origin.serve("/a", b"from the other", cache_control="max-age=600")
    yield origin
    origin.close()


def reload(node, token=True):
    """Asks the node; what it says came of it."""
    answer = node.admin("POST", "/v1/reload", token=token)
    assert answer.status == (200 if answer.json["in_force"] else 422), answer
    return answer.json


def taken(node, **more):
    said = reload(node, **more)
    assert said["in_force"] and not said["mistakes"], said
    return said


def refused(node):
    said = reload(node)
    assert not said["in_force"] and said["mistakes"], said
    return said["mistakes"]


def says(node, text):
    """On stderr, perhaps a moment later."""
    return node.err.find(re.escape(f"selvedge: {text}"), 10)


def get(node, host="www.example", target="/a"):
    return node.settle(node.request(target, host=host))


# ---- What is taken


def test_sites_come_and_go_and_what_is_cached_of_others_stays(start, file, other):
    node = start()
    assert get(node).body == b"a" and get(node, "new.example").status == 421
    file.write(sites=file.content["sites"] + [file.site("new", other)])
    assert taken(node)["changed"] == ["sites[new] is new"]
    assert get(node, "new.example").body == b"from the other"
    assert "hit" in get(node).cache
    node.purge(urls=["http://new.example/a"])
    node.purge(site="new")
    file.write(sites=file.content["sites"][1:])
    assert taken(node)["changed"] == ["sites[www] is removed"]
    assert get(node).status == 421 and get(node, "new.example").body == b"from the other"
    assert node.admin("POST", "/v1/purge", {"site": "www"}).json["error"]["code"] == "unknown_site"
    node.wait_metric("selvedge_requests_total", 1, site="www", outcome="hit")
    node.wait_metric("selvedge_requests_total", 2, site="new")
    file.write(sites=[file.site("www", other), *file.content["sites"]])
    taken(node)
    assert "hit" in get(node).cache, "it comes back with what is cached of it, and with its counts"
    node.wait_metric("selvedge_requests_total", 2, site="www", outcome="hit")


def test_another_origin_is_asked_from_then_on_and_a_fill_ends_with_the_one_it_began_with(start, file, origin, other):
    gate = origin.gate()

    def halves(request, response):
        response.head(200, {"Content-Length": 10, "Cache-Control": "max-age=60"})
        response.raw(b"first")
        gate.wait()
        response.raw(b"after")
    origin.on("/half", halves)
    node = start()
    client = node.h1()
    client.ask("/half", host="www.example")
    origin.wait_for("/half")
    file.write(sites=[file.site("www", other)])
    assert taken(node)["changed"] == ["sites[www].origin.url"]
    assert node.request("/a", host="www.example").body == b"from the other"
    gate.open()
    assert client.answer().body == b"firstafter"


def test_every_kind_of_site_setting_is_taken_and_named(start, file, origin):
    gate = origin.gate()
    origin.on("/slow", lambda request, response: gate.wait())
    node = start()
    site = file.content["sites"][0]
    site["purge_method"] = "on"
    site["hosts"] = ["www.example", "another.example"]
    site["origin"].update(first_byte_timeout=0.1, host="told.example")
    file.write()
    assert taken(node)["changed"] == [f"sites[www].{name}" for name in (
        "hosts", "purge_method", "origin.host", "origin.first_byte_timeout")]
    assert get(node, "another.example").body == b"a"
    assert origin.asked("/a")[-1].get("host") == "told.example"
    purged = node.request("/a", {"Authorization": f"Bearer {node.token}"}, method="PURGE", host="www.example")
    assert purged.status == 200
    assert get(node, target="/slow").status == 504


def is_refused(node):
    """Is a further connection closed without an answer?"""
    try:
        with H1(("127.0.0.1", node.http_port)) as client:
            client.ask("/a", host="www.example")
            return client.answer() is None
    except (ConnectionError, EOFError):
        return True


def test_limits_become_lower_and_higher(start, file):
    node = start()
    clients = [node.h1() for _ in range(3)]
    assert all(client.request("/a", host="www.example").status == 200 for client in clients)
    file.write(limits={"address_connections": 2})
    assert taken(node)["changed"] == ["limits.address_connections"]
    assert is_refused(node)
    assert all(client.request("/a", host="www.example").status == 200 for client in clients), "who is there stays"
    file.write(limits={"address_connections": 100, "address_request_rate": 1, "request_body": 4})
    assert len(taken(node)["changed"]) == 3
    assert get(node).status == 200
    statuses = {clients[0].request("/a", host="www.example").status for _ in range(12)}
    assert statuses == {200, 429}
    file.write(limits={"request_body": 4})
    taken(node)
    assert clients[0].request("/a", host="www.example").status == 200
    assert node.request("/a", method="POST", body=b"12345", host="www.example").status == 413


def test_timeouts_hold_for_connections_that_are_open(start, file):
    node = start()
    client = node.h1()
    assert client.request("/a", host="www.example").status == 200
    file.write(timeouts={"idle": 1})
    assert taken(node)["changed"] == ["timeouts.idle"]
    node.wait_metric("selvedge_connections_cut_total", 1, reason="idle")
    file.write(timeouts={"idle": 60, "shutdown": 0.001})
    taken(node)


def test_the_reset_budget_of_connections_to_come(start, file, origin):
    gate = origin.gate()
    origin.on("/wait", lambda request, response: gate.wait())
    node = start()
    file.write(http2={"reset_budget": 2})
    assert taken(node)["changed"] == ["http2.reset_budget"]
    client = node.h2()
    for _ in range(3):
        client.ask("/wait", host="www.example").cancel()
    node.wait_metric("selvedge_guard_stopped_total", 1, reason="too_many_resets")


def test_the_largest_object(start, file, origin):
    origin.serve("/large", b"x" * 5000, cache_control="max-age=600")
    node = start()
    file.write(memory={"max_object": "2K"})
    assert taken(node)["changed"] == ["memory.max_object"]
    get(node, target="/large")
    assert "hit" not in get(node, target="/large").cache


def test_tokens(start, file, tmp_path):
    node = start()
    made = node.token
    file.write(admin={"token": "first-word"})
    assert taken(node)["changed"] == ["admin.token"]
    assert node.admin("GET", "/v1/status", token=made).status == 403
    (tmp_path / "token").write_text("second-word\n")
    file.write(admin={"token_file": str(tmp_path / "token")})
    assert taken(node, token="first-word")["changed"] == ["admin.token", "admin.token_file"]
    (tmp_path / "token").write_text("third-word\n")
    assert taken(node, token="second-word")["changed"] == [str(tmp_path / "token")]
    assert node.admin("GET", "/v1/status", token="third-word").status == 200
    file.write(admin={})
    taken(node, token="third-word")
    assert node.status()["pid"] == node.pid


def shown(node):
    """The certificate that a client is shown."""
    return ssl.get_server_certificate(("127.0.0.1", node.https_port))


def folder(path):
    path.mkdir()
    return path


def test_certificates(start, file, tmp_path):
    _, certificate, key = make_certificates(folder(tmp_path / "first"))
    _, next_certificate, next_key = make_certificates(folder(tmp_path / "next"))
    file.write(certificates=[{"cert": str(certificate), "key": str(key)}])
    node = start()
    assert shown(node) == certificate.read_text()
    client = node.h2()
    assert client.request("/a", host="www.example").status == 200
    with socket.create_connection(("127.0.0.1", node.https_port)) as early:  # it has not said a byte by then
        node.wait_metric("selvedge_connections", lambda _: True)
        certificate.write_bytes(next_certificate.read_bytes())
        key.write_bytes(next_key.read_bytes())
        assert taken(node)["changed"] == [str(certificate), str(key)]
        assert shown(node) == next_certificate.read_text()
        context = ssl._create_unverified_context()
        with context.wrap_socket(early) as tls:
            tls.sendall(b"GET /a HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
            assert tls.recv(100).startswith(b"HTTP/1.1 200")
    assert client.request("/a", host="www.example").status == 200, "a connection goes on with what it began with"
    file.write(certificates=[])
    assert set(taken(node)["changed"]) == {"certificates[].cert", "certificates[].key"}
    own = shown(node)
    taken(node)
    assert shown(node) == own, "the node's own certificate stays the same"


# ---- What is not taken


def test_a_wrong_file_keeps_all_that_holds_and_says_every_mistake(start, file, other):
    node = start()
    get(node)
    before = node.status()["configuration"]
    assert before["last_reload_refused"] is None and before["loaded"].endswith("Z")
    file.path.write_text("sites:\n- name: www\n  hosts: [other.example]\n  origin: {url: %s}\n"
                         "limits: {conections: 5}\ntimeouts:\n  idle: 0\n" % other.url)
    mistakes = refused(node)
    assert mistakes[0] == (f"{file.path}:5:10: 'conections' is not a key of limits; allowed are " +
                           mistakes[0].split("allowed are ")[1]) and "did you mean connections?" in mistakes[0]
    assert mistakes[1].startswith(f"{file.path}:7:9: timeouts.idle 0: too small")
    for mistake in mistakes:
        assert says(node, mistake)
    assert says(node, "not reloaded: the configuration before stays in force")
    assert "hit" in get(node).cache and get(node, "other.example").status == 421
    assert node.status()["configuration"]["last_reload_refused"] is not None
    assert node.status()["configuration"]["loaded"] == before["loaded"]
    assert (node.metric("selvedge_reloads_total", result="refused"),
            node.metric("selvedge_reloads_total", result="ok")) == (1, 0)
    file.write()
    taken(node)
    assert node.status()["configuration"]["last_reload_refused"] is None
    assert node.metric("selvedge_reloads_total", result="ok") == 1


@pytest.mark.parametrize("kind", ["gone", "a directory", "empty"])
def test_no_file_to_speak_of_is_refused(start, file, kind):
    node = start()
    file.path.unlink()
    if kind == "a directory":
        file.path.mkdir()
    elif kind == "empty":
        file.path.write_text("")
    said = {"gone": "the file cannot be read: No such file", "a directory": "the file cannot be read: Is a directory",
            "empty": ":1:1: sites is missing"}[kind]
    assert said in refused(node)[0]
    assert get(node).status == 200


def test_a_certificate_that_is_wrong_keeps_the_rest_of_the_file_from_being_taken(start, file, tmp_path):
    _, certificate, key = make_certificates(tmp_path)
    file.write(certificates=[{"cert": str(certificate), "key": str(key)}])
    node = start()
    key.write_text("nothing of a key\n")
    file.write(admin={"token": "never-taken"})
    assert f"{key}: no private key in it" in refused(node)[0] and f"{file.path}:" in refused(node)[0]
    assert node.admin("GET", "/v1/status", token="never-taken").status == 403
    assert shown(node) == certificate.read_text()
    (tmp_path / "token").write_text("not a token\n")
    file.write(certificates=[], admin={"token_file": str(tmp_path / "token")})
    assert "holds no token" in refused(node)[0]
    assert shown(node) == certificate.read_text()


def test_what_needs_a_restart_is_named_and_stays(start, file, start_node):
    node = start(memory=None, workers=None)
    file.write(workers=3, memory={"size": "32M"}, state_dir="/elsewhere", listen=["http://127.0.0.1:1"],
               limits={"request_body": "1M"})
    said = taken(node)
    assert said["changed"] == ["limits.request_body"]
    # The options --listen and --state-dir win over the file: nothing has changed there.
    assert set(said["needs_restart"]) == {"workers", "memory.size", "memory.max_object"}
    assert says(node, "needs a restart: workers; what it was at the start stays in force")
    assert node.status()["memory_limit_bytes"] != 32 << 20
    assert reload(node)["needs_restart"] == said["needs_restart"], "it is said until it is done"


def test_what_can_only_work_after_a_restart_is_refused(start, file):
    """A redirect to the https listener that the file has, and the node does not."""
    file.write(listen=["http://127.0.0.1:0"])
    node = start(listen=None)
    site = {**file.content["sites"][0], "redirect_https": "on"}
    file.write(listen=["http://127.0.0.1:0", "https://127.0.0.1:0"], sites=[site])
    assert "needs a restart first" in refused(node)[0]
    assert get(node).status == 200


def test_explain_says_of_each_setting_whether_a_reload_takes_it():
    settings = run("--explain").stdout.strip().split("\n\n")
    takes = {text.split("\n")[0] for text in settings if "  reload    a running node takes a new value" in text}
    restarts = {text.split("\n")[0] for text in settings if "  reload    needs a restart" in text}
    assert len(takes | restarts) == len(settings) and not takes & restarts
    assert {"sites[].origin.url", "certificates[].cert", "limits.connections", "timeouts.idle", "admin.token"} <= takes
    assert "disk_admission" in takes
    assert {"listen[].url", "workers", "memory.size", "state_dir", "user", "disk[].path", "disk[].size"} <= restarts


# ---- Signals, selvedgectl, restarts


def hang_up(node):
    """SIGHUP, and the node has dealt with it."""
    before = node.metric("selvedge_reloads_total")
    node.process.send_signal(signal.SIGHUP)
    node.wait_metric("selvedge_reloads_total", lambda value: value > before)


def test_the_signal_does_the_same(start, file, other):
    node = start()
    file.write(sites=[file.site("www", other)])
    hang_up(node)
    assert get(node).body == b"from the other"
    assert says(node, "changed: sites[www].origin.url")
    file.spoil()
    hang_up(node)
    assert says(node, f"{file.path}:1:13: 'conections' is not a key")
    assert "hit" in get(node).cache


def ctl(node, *words):
    return run("--admin", node.admin_url, "--token-file", str(node.state_dir / "admin-token"), *words, binary=SELVEDGECTL)


def test_selvedgectl_reload(start, file):
    node = start(workers=None)
    file.write(timeouts={"idle": 5}, workers=7)
    done = ctl(node, "reload")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("reloaded: the new configuration is in force\nchanged          timeouts.idle\n"
                           "needs a restart  workers\n")
    assert json.loads(ctl(node, "--json", "reload").stdout)["needs_restart"] == ["workers"]
    file.spoil()
    done = ctl(node, "reload")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"selvedgectl: {file.path}:1:13: 'conections' is not a key of limits")
    assert done.stderr.endswith("not reloaded: the configuration before stays in force\n")
    done = ctl(node, "--json", "reload")
    assert done.returncode == 1 and json.loads(done.stdout)["in_force"] is False
    assert ctl(node, "reload", "x").returncode == 2


def test_selvedgectl_check(file):
    done = run("check", file.path, binary=SELVEDGECTL)
    assert (done.returncode, done.stdout) == (0, f"{file.path}: nothing is wrong\n")
    file.spoil()
    done = run("check", file.path, binary=SELVEDGECTL)
    assert done.returncode == 1 and done.stdout.startswith(f"{file.path}:1:13: 'conections' is not a key")
    assert run("check", binary=SELVEDGECTL).returncode == 2


def all_are_served(node, count):
    """So many connections at once. Those of before may still be on their way out, and take places."""
    try:
        return all(client.request("/a", host="www.example").status == 200 for client in [node.h1() for _ in range(count)])
    except (OSError, EOFError):
        node.close_clients()
        return False


def restart(node):
    """The serving process is killed; the next one serves."""
    node.may_die = True
    ready = node.err.text.count("selvedge: ready")
    os.kill(node.serving_pid, signal.SIGKILL)
    until(lambda: node.err.text.count("selvedge: ready") > ready, "the next one is ready", 20)


def test_a_serving_process_that_starts_again_has_what_was_in_force_last(start, file, other, tmp_path):
    _, certificate, key = make_certificates(tmp_path)
    file.write(certificates=[{"cert": str(certificate), "key": str(key)}])
    shown_before = certificate.read_text()
    node = start()
    file.write(sites=[file.site("www", other)], limits={"address_connections": 7}, admin={"token": "a-word"}, workers=9)
    taken(node)
    file.spoil()
    hang_up(node)
    key.write_text("spoiled")
    certificate.unlink()
    restart(node)
    assert get(node).body == b"from the other" and shown(node) == shown_before
    until(lambda: all_are_served(node, 7), "seven connections are served at once")
    assert is_refused(node)
    node.close_clients()
    until(lambda: not is_refused(node), "there is room again")
    assert node.admin("GET", "/v1/status", token="a-word").status == 200
    file.path.unlink()
    restart(node)
    assert get(node).body == b"from the other"
    certificate.write_text(shown_before)
    file.write(certificates=[])
    taken(node, token="a-word")
    restart(node)
    assert shown(node) != shown_before


def test_one_that_dies_before_it_has_taken_the_new_one_starts_with_the_old(start, file, other):
    """It is stopped, and replaced for that; what it was to take is not in force, and not what the next one starts by."""
    other.serve("/b", b"b of the other")
    node = start(heartbeat_limit="1")
    node.may_die = True
    file.write(sites=[file.site("www", other)])
    os.kill(node.serving_pid, signal.SIGSTOP)
    node.process.send_signal(signal.SIGHUP)
    until(lambda: node.err.text.count("selvedge: ready") == 2, "the next one is ready", 20)
    assert says(node, "the new configuration had not been taken: the one before stays in force")
    assert get(node).body == b"a"
    hang_up(node)
    assert get(node, target="/b").body == b"b of the other"


def test_many_at_once_are_answered_each(start, file):
    node = start()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(taken(node))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert node.metric("selvedge_reloads_total", result="ok") <= 12


def test_a_file_that_hangs_holds_up_nobody(start, file):
    """A FIFO that somebody has open and writes nothing into."""
    node = start()
    file.path.unlink()
    os.mkfifo(file.path)
    writer = os.open(file.path, os.O_RDWR)
    try:
        node.process.send_signal(signal.SIGHUP)
        for _ in range(20):
            assert get(node).status == 200
        assert node.metric("selvedge_reloads_total") == 0
        node.stop()
    finally:
        os.close(writer)


# ---- Nobody waits


def test_what_nobody_reads_of_its_outcome_holds_no_client(start, file, origin):
    """stderr may be a pipe whose reader is slow: the workers serve on, and it is all said in the end."""
    node = start(workers=1)
    fcntl.fcntl(node.process.stderr, fcntl.F_SETPIPE_SZ, 4096)
    node.err.reading.clear()
    names = [f"a-site-whose-name-is-long-as-there-may-be-{number:03}" for number in range(255)]
    file.write(sites=file.content["sites"] + [file.site(name, origin) for name in names])
    os.kill(node.pid, signal.SIGHUP)
    until(lambda: get(node, f"{names[-1]}.example").status == 200, "the last of them")
    for _ in range(20):
        assert get(node).body == b"a"
    assert node.admin("GET", "/healthz").status == 200
    assert names[-1] not in node.err.text
    node.err.reading.set()
    assert says(node, f"changed: sites[{names[-1]}] is new")
