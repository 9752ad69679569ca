"""The public test suite of HTTP caches (npm http-cache-tests), against a node of this build.

    tests/conformance/run              which cases do not pass; those of expected.txt may
    tests/conformance/run --all        also the optional ones, a line each

The suite is installed by npm into BUILD/conformance, as package-lock.json has it. Its cases tell ages of some seconds
apart, so one that fails on a busy machine is tried again, with all others, up to three times.

Exit: 0 when every required case passes that expected.txt does not name, else 1; 2 when the suite could not be run.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = ROOT / os.environ.get("SELVEDGE_BIN_DIR", "build")
TRIES, SUITE_SECONDS, START_SECONDS = 3, 180, 20


class CannotRun(Exception):
    """The suite could not be run; says why."""


def install():
    """The suite's directory."""
    place = BUILD / "conformance"
    suite = place / "node_modules" / "http-cache-tests"
    lock = (HERE / "package-lock.json").read_bytes()
    if not suite.exists() or (place / "package-lock.json").read_bytes() != lock:
        place.mkdir(exist_ok=True)
        for name in "package.json", "package-lock.json":
            shutil.copy(HERE / name, place / name)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=place, capture_output=True, text=True)
        if done.returncode != 0:
            raise CannotRun("npm ci failed:\n" + done.stdout + done.stderr)
    return suite


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server, until the end of a with block."""

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


def origin(suite, directory):
    port = free_port()
    return port, Process(directory, ["node", "server/server.mjs"], "Listening", cwd=suite,
                         env=variables(port=port, pidfile=directory / "origin.pid", base=""))


def node(directory, port):
    file = directory / "selvedge.yaml"
    file.write_text((HERE / "selvedge.yaml").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
    return Process(directory, [BUILD / "selvedge", "--config", file, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                               "--state-dir", directory / "state"], r"selvedge: ready (http://\S+)")


def run_once(suite):
    """What became of each case: true, or a list of what went wrong."""
    with tempfile.TemporaryDirectory(prefix="selvedge-conformance-") as name:
        directory = Path(name)
        port, server = origin(suite, directory)
        with server, node(directory, port) as cache:
            done = subprocess.run(["node", "--no-warnings", "cli.mjs"], cwd=suite, env=variables(base=cache.found[1].rstrip("/")),
                                  capture_output=True, text=True, timeout=SUITE_SECONDS)
    if done.returncode != 0 or not done.stdout.startswith("{"):
        raise CannotRun("the suite did not end well:\n" + done.stdout[-2000:] + done.stderr[-2000:])
    return json.loads(done.stdout)


def expected():
    lines = [line.split(None, 1) for line in (HERE / "expected.txt").read_text().splitlines()]
    return {line[0]: line[1] for line in lines if line and not line[0].startswith("#")}


def try_often(suite, required, allowed):
    """The best result of each case in as many runs as it takes."""
    best = {}
    for _ in range(TRIES):
        for name, result in run_once(suite).items():
            best[name] = True if best.get(name) is True else result
        if all(best.get(name) is True for name in required - allowed):
            break
    return best


def report(cases, best, allowed, everything):
    wrong = []
    for kind, called in ("required", "required"), ("optimal", "optional"):
        names = [case["id"] for case in cases if case["kind"] == kind and not case["browser"]]
        passed = [name for name in names if best.get(name) is True]
        print(f"{called}: {len(passed)} of {len(names)} pass")
        for name in names:
            if best.get(name) is True and name in allowed:
                print(f"  {name}: passes; take it from expected.txt")
            if best.get(name) is not True and (everything or kind == "required"):
                why = " ".join(map(str, best.get(name) or ["was not run"]))
                print(f"  {name}: {allowed[name] if name in allowed else why}")
        if kind == "required":
            wrong = [name for name in names if best.get(name) is not True and name not in allowed]
    return wrong


def main():
    parser = argparse.ArgumentParser(prog="tests/conformance/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the optional cases that do not pass, a line each")
    arguments = parser.parse_args()
    suite = install()
    cases = json.loads(subprocess.run(["node", HERE / "list.mjs", suite], capture_output=True, text=True, check=True).stdout)
    allowed = expected()
    required = {case["id"] for case in cases if case["kind"] == "required" and not case["browser"]}
    best = try_often(suite, required, allowed.keys())
    wrong = report(cases, best, allowed, arguments.all)
    if wrong:
        print(f"FAILED: {len(wrong)} required cases that expected.txt does not name: {' '.join(wrong)}")
    else:
        passed = sum(best.get(name) is True for name in required)
        print(f"{passed} of {len(required)} required cases pass, and expected.txt names the rest")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotRun, FileNotFoundError, subprocess.SubprocessError) as error:
        print(f"tests/conformance/run: {error}", file=sys.stderr)
        sys.exit(2)
