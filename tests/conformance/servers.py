"""The servers that a run of the suite needs, each a process of its own until the end of a with block."""
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = ROOT / os.environ.get("SELVEDGE_BIN_DIR", "build")
START_SECONDS = 20


class CannotRun(Exception):
    """The suite could not be run; says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server that has started when its output has the pattern."""

    def __init__(self, directory, line, pattern, **more):
        self.log = directory / f"{Path(line[0]).name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, line)], stdout=log, stderr=log, **more)
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(pattern, self.log.read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise CannotRun(f"{line[0]} did not start:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.found = found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise CannotRun("a server did not stop") from None


def variables(**more):
    """What the suite's programs read; it tells "none" from "absent"."""
    settings = {"protocol": "http", "id": "", **more}
    return dict(os.environ, npm_package_config_id="", **{f"npm_config_{name}": str(value) for name, value in settings.items()})


class Origin(Process):
    """The suite's own."""

    def __init__(self, suite, directory):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(directory, ["node", "server/server.mjs"], "Listening", cwd=suite,
                         env=variables(port=self.port, pidfile=directory / "origin.pid", base=""))


class Node(Process):
    """A node of this build, with the configuration beside this file."""

    def __init__(self, directory, origin):
        file = directory / "selvedge.yaml"
        file.write_text((HERE / "selvedge.yaml").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{origin.port}"))
        super().__init__(directory, [BUILD / "selvedge", "--config", file, "--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0",
                                     "--admin", "http://127.0.0.1:0", "--state-dir", directory / "state"],
                         r"selvedge: ready (http://\S+) https://127\.0\.0\.1:(\d+)\S* admin=(http://\S+)")
        self.url, self.tls_port, self.admin = self.found[1].rstrip("/"), self.found[2], self.found[3].rstrip("/")

    def requests(self):
        """How many were answered, by protocol."""
        with urllib.request.urlopen(self.admin + "/metrics", timeout=10) as answer:
            series = re.findall(r'^selvedge_requests_total\{.*\bprotocol="(\w+)".*\} (\d+)$', answer.read().decode(), re.MULTILINE)
        counts = {}
        for protocol, count in series:
            counts[protocol] = counts.get(protocol, 0) + int(count)
        return {protocol: count for protocol, count in counts.items() if count > 0}


class Nghttpx(Process):
    """Debian's nghttpx: speaks HTTP/1.1 with the suite's client, and what `backend` says with the server behind it."""

    def __init__(self, directory, backend):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(directory, ["nghttpx", "--conf=/dev/null", "--single-process", "--workers=1", "--log-level=NOTICE",
                                     "--errorlog-file=/dev/stderr", "--accesslog-file=/dev/null", f"--frontend=127.0.0.1,{port};no-tls",
                                     f"--backend={backend}", "-k", "--no-via", "--no-server-rewrite", "--no-location-rewrite",
                                     "--no-add-x-forwarded-proto"], "Created worker thread")
