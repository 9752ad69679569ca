"""Real input: files from npm packages, nginx as the origin, and curl, nghttp and Chromium as the clients.

First pass, cold cache: 50 clients at once (curl over HTTP/2 and HTTP/1.1, nghttp) ask for all files, each in its own
random order, and a headless Chromium page fetches and digests them too. Second pass: one of each kind again, Chromium
over both protocols. The SHA-256 of everything that anyone got equals that of the file on disk; nginx was asked exactly
once for each file; in the second pass every Cache-Status says hit.

Exit: 0 all of it held, 1 something did not, 2 the run could not be made.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import http.server
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Parts of the packages, chosen for many small files beside some large ones; one has `@` in its name.
PARTS = ["bootstrap/dist", "katex/dist", "monaco-editor/min", "three/build", "three/examples/jsm",
         "three/examples/fonts", "@popperjs/core/dist"]
FILES_AT_LEAST = 500
PAGE_FILES = ("page.html", "files.json")  # what the page itself is made of
CURL_H2, CURL_H1, NGHTTP = 25, 20, 5  # fifty clients at once
NGHTTP_BATCH = 90
CLIENT_DEADLINE_S = 240
CHROMIUM = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--ignore-certificate-errors",
            "--host-resolver-rules=MAP localhost 127.0.0.1,MAP * ~NOTFOUND"]


class CannotRun(Exception):
    """The run could not be made; says why."""


class CannotFetch(Exception):
    """A client failed as a whole."""


class Failures:
    """What did not hold. Any thread."""

    def __init__(self):
        self.lock, self.found = threading.Lock(), []

    def add(self, message):
        with self.lock:
            self.found.append(message)

    def report(self):
        for message in self.found[:20]:
            print("FAILED: " + message)
        if len(self.found) > 20:
            print(f"... and {len(self.found) - 20} more")


# The files

def unpack_packages(build):
    """npm's packages as the committed lock file pins them, under the build directory; returns node_modules."""
    directory = os.path.join(build, "tests", "real", "npm")
    with open(os.path.join(HERE, "package-lock.json"), "rb") as file:
        wanted = hashlib.sha256(file.read()).hexdigest()
    stamp = os.path.join(directory, "unpacked")
    with contextlib.suppress(FileNotFoundError), open(stamp) as file:
        if file.read() == wanted:
            return os.path.join(directory, "node_modules")
    os.makedirs(directory, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), directory)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory,
                   check=True)
    with open(stamp, "w") as file:
        file.write(wanted)
    return os.path.join(directory, "node_modules")


def digest_of(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        return "nothing"


def lay_out(modules, root):
    """Copies the chosen parts to the origin's root, with the page and its list. Returns {path: SHA-256}."""
    for part in PARTS:
        shutil.copytree(os.path.join(modules, part), os.path.join(root, part))
    files = [os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names]
    digests = {"/" + urllib.parse.quote(os.path.relpath(path, root), safe="/@"): digest_of(path) for path in files}
    shutil.copy(os.path.join(HERE, "page.html"), root)
    with open(os.path.join(root, "files.json"), "w") as file:
        json.dump(sorted(digests), file)
    return digests | {"/" + name: digest_of(os.path.join(root, name)) for name in PAGE_FILES}


# The servers

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


NGINX_CONF = """
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    types {{ text/html html; text/css css; text/javascript js mjs; application/json json map; font/woff2 woff2; }}
    default_type application/octet-stream;
    log_format asked '$request_method $request_uri $status';
    access_log {directory}/access.log asked;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        add_header Cache-Control max-age=3600;
    }}
}}
"""


class Nginx:
    def __init__(self, directory, root):
        self.log = os.path.join(directory, "access.log")
        configuration = os.path.join(directory, "nginx.conf")
        port = free_port()
        with open(configuration, "w") as file:
            file.write(NGINX_CONF.format(directory=directory, root=root, port=port))
        program = shutil.which("nginx") or "/usr/sbin/nginx"  # sbin may not be on an ordinary user's path
        self.process = subprocess.Popen([program, "-c", configuration, "-p", directory, "-g", "daemon off;",
                                         "-e", os.path.join(directory, "error.log")])
        self.url = f"http://127.0.0.1:{port}"
        wait_until(lambda: accepts(port) or self.process.poll() is not None, 15)
        if self.process.poll() is not None:
            raise CannotRun("nginx did not start; is another server on its port?")

    def asked(self):
        """The lines of its access log."""
        with open(self.log) as file:
            return file.read().splitlines()

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=30)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


class Node:
    def __init__(self, program, directory, origin_url):
        self.messages = os.path.join(directory, "selvedge.stderr")
        command = [program, "--origin", origin_url, "--listen", "http://127.0.0.1:0", "--listen",
                   "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--memory", "512M",
                   "--state-dir", os.path.join(directory, "state")]
        with open(self.messages, "w") as messages:
            self.process = subprocess.Popen(command, stderr=messages)
        wait_until(lambda: self.ready() or self.process.poll() is not None, 30)
        if not self.ready():
            raise CannotRun("selvedge did not get ready:\n" + self.said())
        ready = self.ready()
        self.h1, self.h2, self.admin = (re.search(r"(?:^| )" + p + r"(\S+)", ready)[1] for p in
                                        ("(?=http:)", "(?=https:)", "admin="))

    def said(self):
        with open(self.messages) as file:
            return file.read()

    def ready(self):
        found = re.search(r"^selvedge: ready( .*)\n", self.said(), re.MULTILINE)
        return found and found[1]

    def counter(self, name):
        with urllib.request.urlopen(self.admin + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if re.match(name + r"[{ ]", line))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)
        return self.process.returncode


# The clients. Each fetches all paths in an order of its own, and says what it got: [(path, SHA-256, Cache-Status)].

def curl(base, paths, directory, flags, version):
    """One curl for all paths. `flags`: its protocol; `version`: what it must have spoken."""
    configuration = os.path.join(directory, "curl.conf")
    with open(configuration, "w") as file:
        for number, path in enumerate(paths):
            file.write(f'url = "{base}{path}"\noutput = "{directory}/{number}"\n')
    answers = os.path.join(directory, "answers")
    with open(answers, "w") as file:
        process = subprocess.run(["curl", "-sSk", *flags, "-K", configuration, "-w",
                                  "%{urlnum} %{http_code} %{http_version} %header{cache-status}\n"],
                                 stdout=file, stderr=subprocess.PIPE, text=True, timeout=CLIENT_DEADLINE_S)
    if process.returncode != 0:
        raise CannotFetch(f"curl {' '.join(flags)} ended with {process.returncode}: {process.stderr[-500:]}")
    got = {}
    with open(answers) as file:
        for line in file:
            number, status, spoken, cache = line.rstrip("\n").split(" ", 3)
            if (status, spoken) != ("200", version):
                raise CannotFetch(f"curl {' '.join(flags)} {paths[int(number)]}: {status} over HTTP/{spoken}")
            got[int(number)] = cache
    return [(path, digest_of(os.path.join(directory, str(number))), got.get(number, "")) for number, path in
            enumerate(paths)]


def curl_h2(base, paths, directory):
    return curl(base, paths, directory, ["--http2", "--parallel", "--parallel-max", "20"], "2")


def curl_h1(base, paths, directory):
    return curl(base, paths, directory, ["--http1.1"], "1.1")


def nghttp(base, paths, directory):
    """Batches small enough that all requests of one are sent before the first answer comes."""
    results = []
    for start in range(0, len(paths), NGHTTP_BATCH):
        batch = paths[start:start + NGHTTP_BATCH]
        process = subprocess.run(["nghttp", "-v", "-w30", "-W30", *(base + path for path in batch)],
                                 capture_output=True, timeout=CLIENT_DEADLINE_S)
        if process.returncode != 0:
            raise CannotFetch(f"nghttp ended with {process.returncode}: {process.stderr[-500:]}")
        answers = streams_in(process.stdout)
        results += [(path, *answers.get(path, ("nothing", ""))) for path in batch]
    return results


# What nghttp may say it sent while a payload comes in, and so in the midst of it.
SENT_MEANWHILE = re.compile(rb"\[ *[\d.]+\] send (?:SETTINGS frame <[^>]*>\n {10}; ACK\n {10}\(niv=0\)\n"
                            rb"|WINDOW_UPDATE frame <[^>]*>\n {10}\(window_size_increment=\d+\)\n)")


def streams_in(output):
    """What nghttp -v printed, as {path: (SHA-256, Cache-Status)}. It prints each DATA frame's payload and then a line that
    describes the frame."""
    output = SENT_MEANWHILE.sub(b"", output)
    bodies, caches, answers = {}, {}, {}
    for field in re.finditer(rb"\] recv \(stream_id=(\d+)\) (:status|cache-status): (.*)", output):
        if field[2] == b"cache-status":
            caches[field[1]] = field[3].decode()
        elif field[3] == b"200":
            bodies[field[1]] = hashlib.sha256()
    for frame in re.finditer(rb"\[ *[\d.]+\] recv DATA frame <length=(\d+), flags=0x\w+, stream_id=(\d+)>", output):
        if frame[2] in bodies:
            bodies[frame[2]].update(output[frame.start() - int(frame[1]):frame.start()])
    for request in re.finditer(rb"\] send HEADERS frame <[^>]*stream_id=(\d+)>\n(?:  .*\n)*? +:path: (.*)", output):
        digest = bodies[request[1]].hexdigest() if request[1] in bodies else "nothing"
        answers[request[2].decode()] = digest, caches.get(request[1], "")
    return answers


class Collector(http.server.BaseHTTPRequestHandler):
    """Where a page posts what it found."""

    def do_POST(self):
        self.server.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def chromium(base, paths, directory, protocol):
    """The page at `base` fetches and digests everything; `protocol`: what it must have spoken."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.answers = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector = urllib.parse.quote(f"http://localhost:{server.server_port}/", safe="")
    with open(os.path.join(directory, "chromium.log"), "w+") as log:
        browser = subprocess.Popen([*CHROMIUM, f"--user-data-dir={directory}/profile",
                                    f"{base.replace('127.0.0.1', 'localhost')}/page.html#{collector}"],
                                   stdout=log, stderr=log, env={**os.environ, "HOME": directory},
                                   start_new_session=True)
        try:
            answer = server.answers.get(timeout=CLIENT_DEADLINE_S)
        except queue.Empty:
            log.seek(0)
            raise CannotFetch(f"Chromium did not answer: {log.read()[-1000:]}") from None
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            server.shutdown()
            server.server_close()
    if "error" in answer or answer["protocols"] != [protocol]:
        raise CannotFetch(f"Chromium: {answer.get('error') or answer['protocols']} where {protocol} was expected")
    if {result["path"] for result in answer["results"]} != set(paths) - {"/" + name for name in PAGE_FILES}:
        raise CannotFetch("Chromium fetched other files than it should")
    return [(r["path"], r["digest"] if r["status"] == 200 else f"status {r['status']}", r["cache"] or "")
            for r in answer["results"]]


def chromium_h1(base, paths, directory):
    return chromium(base, paths, directory, "http/1.1")


def chromium_h2(base, paths, directory):
    return chromium(base, paths, directory, "h2")


# The two passes

def fetch(client, base, digests, must_hit, seed, failures):
    """One client's round over all files, checked; returns how many it got right."""
    paths = sorted(digests)
    random.Random(seed).shuffle(paths)
    try:
        with tempfile.TemporaryDirectory(prefix="selvedge-real-", ignore_cleanup_errors=True) as directory:
            results = client(base, paths, directory)
    except (CannotFetch, subprocess.TimeoutExpired) as error:
        failures.add(str(error)[:1000])
        return 0
    right = 0
    for path, digest, cache in results:
        if digest != digests[path]:
            failures.add(f"{client.__name__} {path}: SHA-256 {digest}, on disk {digests[path]}")
        elif must_hit and not re.match(r"selvedge; hit(;|$)", cache):
            failures.add(f"{client.__name__} {path}: Cache-Status {cache!r} in the second pass")
        else:
            right += 1
    return right


def run_pass(name, clients, node, digests, must_hit, failures):
    started = time.monotonic()
    got = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        jobs = [(client, pool.submit(fetch, client, node.h1 if client.__name__.endswith("h1") else node.h2, digests,
                                     must_hit, f"{name} {number}", failures))
                for number, client in enumerate(clients)]
        for client, job in jobs:
            got[client.__name__] += job.result()
    print(f"{name}: {len(clients)} clients at once, {time.monotonic() - started:.1f} s; right bodies"
          f"{' and hits' if must_hit else ''}: " + ", ".join(f"{k} {v}" for k, v in sorted(got.items())), flush=True)


def check_origin(nginx, node, digests, failures):
    """One request for each file, of the origin's own account and of the node's."""
    wait_until(lambda: len(nginx.asked()) >= len(digests), 10)  # a line is written after the last byte has left
    lines = collections.Counter(nginx.asked())
    for path in digests:
        if lines[f"GET {path} 200"] != 1:
            failures.add(f"nginx was asked {lines[f'GET {path} 200']} times for {path}")
    if sum(lines.values()) != len(digests):
        failures.add(f"nginx was asked {sum(lines.values())} times for {len(digests)} files, "
                     f"most of all {lines.most_common(3)}")
    counted = node.counter("selvedge_origin_requests_total")
    if counted != len(digests):
        failures.add(f"selvedge_origin_requests_total is {counted} for {len(digests)} files")
    print(f"origin: {sum(lines.values())} requests for {len(digests)} files", flush=True)


def run(arguments, failures):
    with tempfile.TemporaryDirectory(prefix="selvedge-real-") as directory, contextlib.ExitStack() as stack:
        os.chmod(directory, 0o755)  # nginx's worker may be another user
        root = os.path.join(directory, "root")
        os.mkdir(root)
        digests = lay_out(unpack_packages(arguments.build), root)
        size = sum(os.path.getsize(os.path.join(root, urllib.parse.unquote(path[1:]))) for path in digests)
        print(f"{len(digests)} files, {size / (1 << 20):.1f} MiB", flush=True)
        if len(digests) < FILES_AT_LEAST:
            raise CannotRun(f"only {len(digests)} files")
        nginx = Nginx(directory, root)
        stack.callback(nginx.stop)
        node = Node(arguments.selvedge, directory, nginx.url)
        stack.callback(node.process.wait)
        stack.callback(node.process.terminate)
        clients = [curl_h2] * CURL_H2 + [curl_h1] * CURL_H1 + [nghttp] * NGHTTP
        run_pass("first pass, cold", clients + [chromium_h2], node, digests, False, failures)
        check_origin(nginx, node, digests, failures)
        run_pass("second pass", [curl_h2, curl_h1, nghttp, chromium_h2, chromium_h1], node, digests, True, failures)
        check_origin(nginx, node, digests, failures)
        if (status := node.stop()) != 0:
            failures.add(f"selvedge ended with {status}: {node.said()[-2000:]}")


def main():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/real/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=build, help="the build directory (default: $SELVEDGE_BIN_DIR, else build)")
    parser.add_argument("--selvedge", help="the program (default: BUILD/selvedge)")
    arguments = parser.parse_args()
    arguments.selvedge = os.path.abspath(arguments.selvedge or os.path.join(arguments.build, "selvedge"))
    failures, started = Failures(), time.monotonic()
    run(arguments, failures)
    failures.report()
    print(f"tests/real: {'FAILED' if failures.found else 'passed'} in {time.monotonic() - started:.0f} s")
    return 1 if failures.found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotRun, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"tests/real/run: {error}", file=sys.stderr)
        sys.exit(2)
