"""Reloads under load, with good files and bad ones in turn: no request fails, and no connection is dropped."""
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from harness.h2origin import make_certificates
from harness.node import environment
from harness.origin import Origin
from harness.waiting import PATIENCE

RELOADS = int(os.environ.get("SELVEDGE_RELOADS", "10"))
RATE = 2000  # requests per second, half of them over TLS and HTTP/2
EACH = 400  # requests from one reload to the next
CLIENTS = 4  # connections of each protocol


class Load:
    """One h2load: so many requests at an even pace over connections that it keeps."""

    def __init__(self, url, port, requests, *more):
        line = ["h2load", "-n", str(requests), "-c", str(CLIENTS), f"--rps={RATE / 2 / CLIENTS:g}",
                f"--connect-to=127.0.0.1:{port}", *more, url]
        self.requests = requests
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment())

    def check(self):
        said = self.process.communicate(timeout=60 * PATIENCE)[0]
        counts = re.search(r"requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout",
                           said)
        assert counts and {int(count) for count in counts.groups()} == {self.requests}, said
        assert f"status codes: {self.requests} 2xx, 0 3xx, 0 4xx, 0 5xx" in said, said


class Kept:
    """Clients that ask over one connection each, from before the first reload until after the last."""

    def __init__(self, clients):
        self.stop, self.wrong, self.answers = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._ask, args=(client,), daemon=True) for client in clients]
        for thread in self.threads:
            thread.start()

    def _ask(self, client):
        number = 0
        try:
            while not self.stop.is_set():
                number += 1
                target = f"/miss/{id(client)}/{number}" if number % 4 == 0 else "/a"
                answer = client.request(target, host="www.example")
                self.answers += 1
                if (answer.status, bytes(answer.body)) != (200, b"whole" * 100):
                    self.wrong.append((target, answer.status, bytes(answer.body[:100])))
        except Exception as error:  # handed over by check()
            self.wrong.append(error)

    def check(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(20 * PATIENCE)
            assert not thread.is_alive()
        assert not self.wrong and self.answers > 0, self.wrong[:5]


@pytest.fixture
def origins():
    """Two that have the same."""
    both = [Origin(), Origin()]
    for origin in both:
        origin.serve("/a", b"whole" * 100, cache_control="max-age=1")
        origin.serve("/miss/*", b"whole" * 100, cache_control="max-age=600")
    yield both
    for origin in both:
        origin.close()
        assert not origin.failures, origin.failures


@pytest.fixture
def files(tmp_path, origins):
    """good(i), bad(i): what the file says for the i-th reload. Everything that may change does, from one to the next."""
    certificates = []
    for name in "first", "second":
        (tmp_path / name).mkdir()
        _, certificate, key = make_certificates(tmp_path / name)
        certificates.append({"cert": str(certificate), "key": str(key)})

    def good(i):
        origin = {"url": origins[i % 2].url, "first_byte_timeout": 20 + i}
        others = [{"name": f"other{k}", "hosts": [f"other{k}.example"], "origin": origin} for k in range(i % 3)]
        return {"sites": [*others, {"name": "www", "hosts": ["www.example", f"alias{i}.example"], "origin": origin}],
                "certificates": [certificates[i // 2 % 2]], "http2": {"reset_budget": 200 + i},
                "limits": {"address_connections": 1000 + i, "request_body": f"{i + 1}M", "address_request_rate": 50000 + i},
                "timeouts": {"idle": 30 + i, "stall": 40 + i, "header": 20 + i}}

    def bad(i):
        file = good(i)
        ways = [lambda: file["limits"].update(address_conections=1), lambda: file.update(sites=[]),
                lambda: file["certificates"][0].update(key=str(tmp_path / "gone")),
                lambda: file["sites"][-1]["origin"].update(url="ftp://www"), lambda: file.update(workers=0)]
        file["certificates"] = [dict(file["certificates"][0])]
        ways[i // 2 % len(ways)]()
        return file
    return good, bad


def reload(node, number, in_force):
    """By the signal or over the API, in turn; waits until the node has dealt with it."""
    result = "ok" if in_force else "refused"
    if number % 4 < 2:
        assert node.admin("POST", "/v1/reload").status == (200 if in_force else 422), node.err.text
    else:
        before = node.metric("selvedge_reloads_total", result=result)
        node.process.send_signal(signal.SIGHUP)
        node.wait_metric("selvedge_reloads_total", before + 1, result=result)


@pytest.mark.patient(120)
def test_under_load_no_request_fails_and_no_connection_is_dropped(start_node, files, tmp_path):
    good, bad = files
    path = tmp_path / "node.yaml"
    path.write_text(json.dumps(good(0)))
    node = start_node(None, config=str(path))
    serving = node.serving_pid
    requests = RELOADS * EACH // 2
    kept = Kept([node.h1(), node.h1(tls=True), node.h2(), node.h2(tls=False)])
    loads = [Load(f"https://www.example:{node.https_port}/a", node.https_port, requests),
             Load(f"http://www.example:{node.http_port}/a", node.http_port, requests, "--h1")]
    for number in range(RELOADS):
        node.wait_metric("selvedge_requests_total", lambda value: value >= number * EACH, seconds=60)
        in_force = number % 2 == 0
        path.write_text(json.dumps((good if in_force else bad)(number + 1), indent=1))
        reload(node, number, in_force)
    for load in loads:
        load.check()
    kept.check()
    assert node.metric("selvedge_reloads_total", result="ok") == (RELOADS + 1) // 2
    assert node.metric("selvedge_reloads_total", result="refused") == RELOADS // 2
    assert node.outcomes().keys() <= {"hit", "miss", "revalidated"}, node.outcomes()
    assert node.metric("selvedge_connections_cut_total") == node.metric("selvedge_refused_total") == 0
    assert node.metric("selvedge_origin_requests_total", site="www") == node.metric("selvedge_origin_requests_total")
    assert node.serving_pid == serving
