"""The access log: one line for each request, JSON or the combined format."""
import calendar
import json
import re
import signal
import time

import pytest

from harness.h1 import connect
from harness.waiting import together, until

FIELDS = {"time", "site", "client", "protocol", "method", "host", "path", "status", "bytes", "duration_us", "ttfb_us", "cache",
          "tier", "origin_status", "user_agent", "referer", "node"}


def lines(path, count):
    """The lines once there are this many."""
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} lines in {path.name}")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def page(origin):
    origin.serve("/a", b"12345", cache_control="max-age=60")


@pytest.mark.setting("access_log.path")
def test_a_line_says_what_happened(start_node, origin, page, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log))
    start = time.time()
    node.h2().get("/a?b=c", {"User-Agent": "agent \"quoted\" \\", "Referer": "https://r/é".encode().decode("latin-1")}, host="a.example")
    first = lines(log, 1)[0]
    node.h1().get("/a?b=c", method="HEAD")
    second = lines(log, 2)[1]
    assert set(first) == FIELDS == set(second)
    assert (first["protocol"], first["method"], first["host"], first["path"]) == ("h2", "GET", "a.example", "/a?b=c")
    assert (first["status"], first["bytes"], first["cache"], first["origin_status"]) == (200, 5, "miss", 200)
    assert first["client"] == "127.0.0.1" and first["site"] == "default" and first["user_agent"] == 'agent "quoted" \\'
    assert (second["protocol"], second["method"], second["bytes"], second["cache"]) == ("h1", "HEAD", 0, "hit")
    assert second["tier"] == "memory" and second["origin_status"] in (0, None)
    assert 0 <= first["ttfb_us"] <= first["duration_us"] < 20_000_000
    assert isinstance(first["time"], (str, float, int))
    if isinstance(first["time"], str):
        assert first["time"].startswith(time.strftime("%Y-%m-", time.gmtime(start)))


def test_as_many_lines_as_requests(start_node, origin, page, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log))

    def some(index):
        client = node.h1() if index % 2 else node.h2()
        for _ in range(100):
            client.get("/a")
        client.close()
    together(4, some)
    node.h1().get("/nothing")
    node.stop()
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(written) == 401
    assert sum(line["status"] == 404 for line in written) == 1
    assert {line["protocol"] for line in written} == {"h1", "h2"}


def test_errors_and_broken_bodies_are_logged(start_node, origin, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log))
    origin.on("/error", lambda _, response: response.reset())
    node.get("/error")
    node.get("/%00")
    written = lines(log, 2)
    assert {line["status"] for line in written} == {502, 400}  # two workers: the order is theirs
    assert {line["cache"] for line in written} == {"error"}


def test_sigusr1_opens_it_anew_after_a_rename(start_node, origin, page, tmp_path):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    node = start_node(origin, access_log=str(log))
    node.get("/a")
    lines(log, 1)
    log.rename(old)
    node.process.send_signal(signal.SIGUSR1)
    until(log.exists, "the new file is there")
    node.get("/a")
    assert lines(log, 1)[0]["cache"] == "hit"
    assert len(lines(old, 1)) == 1


def test_to_standard_output(start_node, origin, page):
    node = start_node(origin, access_log="-")
    node.get("/a")
    assert json.loads(node.out.find("^{.*}$", 10)[0])["path"] == "/a"


def test_off_by_default(node, page):
    node.get("/a")
    node.stop()
    assert node.out.text == ""


def test_a_file_that_cannot_be_opened_is_told(origin, tmp_path):
    from harness.node import run
    wrong = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                "--access-log", str(tmp_path / "missing" / "log"))
    assert wrong.returncode in (1, 2) and "--access-log" in wrong.stderr


def test_a_line_cannot_be_broken_by_a_client(start_node, origin, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log))
    assert node.get("/a?'", {"User-Agent": "a\t\"}\\u0000{" + "\xff" * 20, "Referer": "x" * 5000}).status == 404
    assert lines(log, 1)[0]["method"] == "GET"


# ---- the combined format

COMBINED = re.compile(
    r'(?P<client>[0-9a-f.:]+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) \+0000\] '
    r'"(?P<method>[!#-~]+) (?P<path>[!#-~]*) (?P<version>HTTP/(?:1\.[01]|2\.0))" (?P<status>\d{3}) (?P<bytes>\d+) '
    r'"(?P<referer>[ !#-~]*)" "(?P<agent>[ !#-~]*)"')


def combined(path, count):
    """The lines once there are this many, each strictly read."""
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count, f"{count} lines in {path.name}")
    written = path.read_bytes().decode("ascii").split("\n")
    assert written.pop() == ""
    found = [COMBINED.fullmatch(line) for line in written]
    assert all(found), written
    return [each.groupdict() for each in found]


@pytest.mark.setting("access_log.format")
def test_the_combined_format(start_node, origin, page, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log), access_log_format="combined", workers="1")
    before = time.time()
    node.h2().get("/a?b=c", {"User-Agent": "agent/1", "Referer": "https://r/"})
    node.h1().get("/a?b=c", method="HEAD")
    with connect(("127.0.0.1", node.http_port)) as client:
        client.sendall(b"GET /a HTTP/1.0\r\nUser-Agent:\r\n\r\n")
        while client.recv(1 << 16):
            pass
    first, second, third = combined(log, 3)
    told = calendar.timegm(time.strptime(first.pop("time"), "%d/%b/%Y:%H:%M:%S"))
    assert int(before) <= told <= time.time()
    assert first == {"client": "127.0.0.1", "method": "GET", "path": "/a?b=c", "version": "HTTP/2.0", "status": "200",
                     "bytes": "5", "referer": "https://r/", "agent": "agent/1"}
    assert (second["method"], second["version"], second["bytes"], second["agent"]) == ("HEAD", "HTTP/1.1", "0", "-")
    assert (third["version"], third["agent"]) == ("HTTP/1.0", "")


def test_a_line_of_the_combined_format_cannot_be_broken_by_a_client(start_node, origin, tmp_path):
    log = tmp_path / "access.log"
    node = start_node(origin, access_log=str(log), access_log_format="combined")
    forged = '" 200 0 "-" "-"\\n127.0.0.1 - - [x] "GET /forged HTTP/1.1'
    for client in node.h1(), node.h2():
        client.get('/a?"x\'\\', {"User-Agent": forged + "\t\xff\x80", "Referer": "x" * 5000})
    for line in combined(log, 2):
        assert line["path"] == "/a?\\x22x'\\x5C"
        assert line["agent"].startswith("\\x22 200 0 \\x22-\\x22 \\x22-\\x22\\x5Cn127.0.0.1 - - [x] ")
        assert line["referer"].endswith("xxx...") and line["status"] == "404"


def test_as_many_lines_of_the_combined_format_as_requests(start_node, origin, page, tmp_path):
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    node = start_node(origin, access_log=str(log), access_log_format="combined")

    def some(index):
        client = node.h1() if index % 2 else node.h2()
        for _ in range(100):
            client.get("/a")
        client.close()
    together(4, some)
    log.rename(old)
    node.process.send_signal(signal.SIGUSR1)
    until(log.exists, "the new file is there")
    together(4, some)
    node.stop()
    assert len(combined(old, 0)) + len(combined(log, 0)) == 800
