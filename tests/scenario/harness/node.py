"""A selvedge process of its own: started with free ports, watched, asked, and ended by its id."""
import http.client
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

from .h1 import H1
from .h2client import H2
from .sanitizer import is_sanitized, trouble_in
from .waiting import Deadline, until

ROOT = Path(__file__).resolve().parents[3]
BIN_DIR = Path(os.environ.get("SELVEDGE_BIN_DIR", ROOT / "build"))
SELVEDGE, SELVEDGECTL = BIN_DIR / "selvedge", BIN_DIR / "selvedgectl"
SANITIZED = SELVEDGE.exists() and is_sanitized(SELVEDGE)

DEFAULTS = {
    "listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"],
    "admin": "http://127.0.0.1:0",
    "memory": "64M",
    "workers": "2",
    "shutdown_timeout": "10",
}
READY = re.compile(r"selvedge: ready (.*?) admin=(\S+) state=(.*)")

command_lines = []  # of every daemon that this scenario started, a list of words each


def environment(**more):
    """Sanitizers end a process that does wrong with 99, which no option or signal gives."""
    return {**os.environ, "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:"
                                          "verify_asan_link_order=0",  # a scenario preloads a library
           
            "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "exitcode=99", **more}


def arguments(options):
    """{'first_byte_timeout': '1', 'listen': [a, b], 'memory': None} as a command line; None leaves an option out."""
    line = []
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                line += ["--" + name.replace("_", "-"), str(one)]
    return line


def run(*line, binary=SELVEDGE, seconds=20, **more):
    """Runs a command that ends by itself; its exit code, stdout and stderr."""
    if binary == SELVEDGE:
        command_lines.append([str(word) for word in line])
    done = subprocess.run([str(binary), *map(str, line)], capture_output=True, text=True, env=environment(**more),
                          timeout=Deadline(seconds).left(), stdin=subprocess.DEVNULL)
    assert not trouble_in(done.stderr), trouble_in(done.stderr)
    return done


class Lines:
    """A pipe's lines, read on a thread as they come."""

    def __init__(self, pipe):
        self.lines, self.ended = [], False
        self.reading = threading.Event()  # cleared: nobody reads
        self.reading.set()
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe):
        for line in pipe:
            self.reading.wait()
            with self.changed:
                self.lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()
        pipe.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, pattern, seconds):
        """The match in the first line that has one, waiting for it; None when the pipe ends without."""
        deadline, seen = Deadline(seconds), 0
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    if found := re.search(pattern, line):
                        return found
                seen = len(self.lines)
                if self.ended:
                    return None
                self.changed.wait(deadline.left())

    @property
    def text(self):
        with self.changed:
            return "\n".join(self.lines)


def gone(pid):
    """Has this process ended? One that nobody has waited for yet has."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class AdminAnswer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


class Node:
    def __init__(self, origin=None, env=None, inside=(), **options):
        """origin: an Origin or a URL. inside: a command that runs the daemon. Further options are the daemon's own, with _
        for -."""
        url = getattr(origin, "url", origin)
        options = {"origin": url, **DEFAULTS, **options}
        command_lines.append(arguments(options))
        # setpriv: should the tests be killed, the node goes with them.
        line = ["setpriv", "--pdeathsig", "KILL", *map(str, inside), str(SELVEDGE), *arguments(options)]
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment(**(env or {})))
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)
        self.clients, self.stopping = [], False
        self.may_die = False  # True: the scenario ends the serving process itself
        try:
            ready = self.err.find(READY, 20)
            assert ready, f"the node ended ({self.process.wait(10)}) without being ready:\n{self.err.text}"
        except BaseException:
            self.kill()
            raise
        self.urls, self.admin_url, self.state_dir = ready[1].split(), ready[2], Path(ready[3])

    @property
    def pid(self):
        return self.process.pid

    @property
    def serving_pid(self):
        """The process that serves, a child of the node's; None while there is none."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            pids = children.read().split()
        assert len(pids) <= 1, pids
        return int(pids[0]) if pids else None

    def port(self, scheme):
        return next(urlsplit(url).port for url in self.urls if url.startswith(scheme + ":"))

    @property
    def http_port(self):
        return self.port("http")

    @property
    def https_port(self):
        return self.port("https")

    @property
    def token(self):
        return (self.state_dir / "admin-token").read_text().strip()

    # ---- clients; they are closed before the node is stopped

    def h1(self, tls=False, **more):
        client = H1(("127.0.0.1", self.https_port if tls else self.http_port), tls=tls, settle=self.settle, **more)
        self.clients.append(client)
        return client

    def h2(self, tls=True, **more):
        client = H2(("127.0.0.1", self.https_port if tls else self.http_port), tls=tls, settle=self.settle, **more)
        self.clients.append(client)
        return client

    def settle(self, answer):
        """A client can have the last byte of a miss a moment before the node has seen that it was the last; whoever asked
        in that moment would join rather than hit. Waits for that moment to pass. Not for scenarios that hold a fill."""
        if answer.cache and "stored" in answer.cache:
            self.wait_metric("selvedge_fills", 0)
        return answer

    def request(self, target, fields=(), **more):
        """One request on a connection of its own, HTTP/1.1."""
        with H1(("127.0.0.1", self.http_port)) as client:
            return client.request(target, fields, **more)

    def get(self, target, fields=(), **more):
        """request(), and whatever it stored is complete."""
        return self.settle(self.request(target, fields, **more))

    # ---- the admin listener

    def admin(self, method, path, body=None, token=True, content_type="application/json", fields=(), seconds=20):
        """token: True for the node's, None for none, or another. body: bytes, text, or anything else as JSON."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        sent = dict(fields)
        if body is not None and content_type:
            sent["Content-Type"] = content_type
        if token is not None:
            sent["Authorization"] = "Bearer " + (self.token if token is True else token)
        split = urlsplit(self.admin_url)
        connection = http.client.HTTPConnection(split.hostname, split.port, timeout=Deadline(seconds).left())
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return AdminAnswer(answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read())
        finally:
            connection.close()

    def purge(self, urls=None, site=None, everything=None, soft=None, reason=None, tags=None):
        """Purges and returns the sequence once it is acknowledged."""
        asked = {"urls": urls, "tags": tags, "site": site, "everything": everything, "soft": soft, "reason": reason}
        answer = self.admin("POST", "/v1/purge", {k: v for k, v in asked.items() if v is not None})
        assert answer.status == 200 and answer.json["applied_here"] is True, answer
        return answer.json["sequence"]

    def url(self, path):
        return f"http://localhost:{self.http_port}{path}"

    def status(self):
        answer = self.admin("GET", "/v1/status")
        assert answer.status == 200, answer
        return answer.json

    def metrics(self):
        """{(name, ((label, value), ...)): number}, labels sorted."""
        answer = self.admin("GET", "/metrics", token=None)
        assert answer.status == 200, answer
        return parse_metrics(answer.body.decode())

    def metric(self, name, **labels):
        """The sum over every series of this name that has these labels."""
        wanted = set(labels.items())
        return sum(value for (key, have), value in self.metrics().items() if key == name and wanted <= set(have))

    def wait_metric(self, name, predicate, seconds=10, **labels):
        """Waits until the metric is as wanted (a number or a predicate); returns its value."""
        wanted = predicate if callable(predicate) else lambda value: value == predicate
        last = []

        def question():
            last[:] = [self.metric(name, **labels)]
            return wanted(last[0])
        try:
            until(question, f"{name}{labels} as wanted", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {last[0]}") from None
        return last[0]

    def outcomes(self):
        """Requests by outcome, those that are not zero."""
        found = {}
        for (name, labels), value in self.metrics().items():
            if name == "selvedge_requests_total" and value:
                outcome = dict(labels)["outcome"]
                found[outcome] = found.get(outcome, 0) + int(value)
        return found

    def saw(self, seconds=5, **wanted):
        """Asserts what the node counted: requests by outcome, exactly. A request is counted once its answer is out, which
        may be a moment after the client has it."""
        try:
            until(lambda: self.outcomes() == wanted, "counted", seconds)
        except AssertionError:
            assert self.outcomes() == wanted

    # ---- its end

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def wait(self, seconds=30):
        code = self.process.wait(Deadline(seconds).left())
        self.out.thread.join(5)
        self.err.thread.join(5)
        return code

    def terminate(self, number=signal.SIGTERM):
        self.stopping = True
        self.process.send_signal(number)

    def stop(self, seconds=30):
        """SIGTERM; asserts that it drains, exits with 0, and that no sanitizer had anything to say."""
        self.close_clients()
        self.terminate()
        code = self.wait(seconds)
        self.check_stderr()
        assert code == 0, f"exit {code}:\n{self.err.text}"

    def check_stderr(self):
        assert not trouble_in(self.err.text), trouble_in(self.err.text)
        assert self.may_die or "selvedge: the serving process" not in self.err.text, self.err.text

    def kill(self):
        """kill -9 and nothing more. The serving process ends with its parent, a moment later."""
        self.close_clients()
        serving = None
        if self.process.poll() is None:
            serving = self.serving_pid
            self.process.kill()
        self.wait()
        until(lambda: serving is None or gone(serving), "the serving process has ended")

    @property
    def running(self):
        return self.process.poll() is None

    def finish(self):
        """What every scenario ends with: no fill left, a clean stop."""
        self.close_clients()
        try:
            if self.running and not self.stopping:
                self.wait_metric("selvedge_fills", 0, seconds=15)
                self.stop()
            elif self.running:
                assert self.wait() == 0
            self.check_stderr()
        finally:
            self.kill()


def parse_metrics(page):
    found = {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        assert match, f"not a sample: {line!r}"
        labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")))
        assert (match[1], labels) not in found, f"twice: {line!r}"
        found[match[1], labels] = float(match[3])
    return found
