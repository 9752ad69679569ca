"""What a memory hit costs in CPU, beside libh2o alone answering the same fields and bytes (hit_bare.c).

1,000 URLs of 4 KiB, over TLS and HTTP/2, from h2load with 16 connections of 32 streams; one worker each, the same
certificate, Selvedge writing its access log to a file whose lines are counted. Two identical programs measured in turn
differ by up to a third in one round, so each round runs bare, bare again and Selvedge, in an order that rotates, and the
medians of the ratios count. bare/bare is the control: when its median is not near 1, the run says nothing and is void.

A virtual machine adds a cost of its own, which comes and goes with what its host does: memory that the guest has not used
for some seconds is given back, and each page of it costs ten microseconds when it is used again. Whatever the kernel buffers
may take such pages, of all servers alike (the access log takes them for its first 8 MiB only: edge/observe/drop_behind); more
rounds, not longer ones, tell it from the servers' own cost.

The server under test has one core, h2load the others (taskset), as otherwise the two move each other about; the other
servers are idle meanwhile. CPU is user and system time of all the server's processes and threads, until its access log
is written.

Exit: 0 within the limit, 1 over it, 2 wrong usage or a run that could not be made, 3 void (0 with --ci).
"""
import argparse
import contextlib
import http.server
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
URLS = 1000
BODY_BYTES = 4096  # or as --bytes says
CONNECTIONS, STREAMS = 16, 32
LIMIT = 1.15
CONTROL = (0.95, 1.05)
CI_SLACK = 1.5  # a shared machine's noise is not a reason to stop a change; a real step is
CI_ATTEMPTS = 3
LOG_DEADLINE_S = 15


class CannotMeasure(Exception):
    """The run could not be made; says why."""


# The origin

class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "origin", ""
    asked = 0
    lock = threading.Lock()

    def do_GET(self):
        with Origin.lock:
            Origin.asked += 1
        # Old enough that Age keeps its number of digits throughout, and so does the time to live.
        body = self.path.encode().ljust(BODY_BYTES, b".")
        self.send_response(200)
        self.send_header("Content-Type", "application/javascript")
        self.send_header("Cache-Control", "max-age=604800")
        self.send_header("ETag", '"5e1ed9e0-1000"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Age", "1000")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# CPU time of a server

def processes_of(pid):
    """The process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for process in found:
        found += children.get(process, [])
    return found


def cpu_of_threads_ns(pid):
    """Of the threads that exist: the first number of each one's schedstat."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def cpu_of_process_ns(pid):
    """Its CPU clock (clock_getcpuclockid): the same time, with that of threads which have ended."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class Meter:
    """CPU between two points. Threads that ended in between show as a difference between the two sources."""

    def __init__(self, pid):
        self.pid = pid
        self.start = self.sample()

    def sample(self):
        return {process: (cpu_of_threads_ns(process), cpu_of_process_ns(process)) for process in processes_of(self.pid)}

    def seconds(self):
        end = self.sample()
        if set(end) != set(self.start):
            raise CannotMeasure(f"the server's processes changed during the run: {sorted(self.start)}, {sorted(end)}")
        by_threads, by_processes = (sum(end[p][i] - self.start[p][i] for p in end) for i in (0, 1))
        return max(by_threads, by_processes) / 1e9


# The servers

def pinned(core):
    return ["taskset", "-c", core] if core is not None else []


class Server:
    def __init__(self, name, command, core, **options):
        self.name = name
        self.process = subprocess.Popen(pinned(core) + command, **options)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise CannotMeasure(f"{self.name} did not stop within 30 s of SIGTERM")

    def after_run(self, requests):
        """All that the run makes the server do is done when this returns."""


class Bare(Server):
    def __init__(self, name, program, certificate, key, cipher, body, fields, core):
        command = [program, certificate, key, cipher, body] + [f"{name}: {value}" for name, value in fields]
        super().__init__(name, command, core, stdout=subprocess.PIPE, text=True)
        port = self.process.stdout.readline().strip()
        if not port:
            raise CannotMeasure(f"{program} did not start")
        self.url = f"https://127.0.0.1:{port}"


class Selvedge(Server):
    def __init__(self, program, origin_url, certificate, key, directory, core):
        self.log = os.path.join(directory, "access.log")
        self.lines = self.offset = self.hits = 0
        self.messages = os.path.join(directory, "selvedge.stderr")
        command = [program, "--origin", origin_url, "--listen", "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                   "--cert", certificate, "--key", key, "--workers", "1", "--memory", "256M", "--access-log", self.log,
                   "--state-dir", os.path.join(directory, "state")]
        with open(self.messages, "w") as messages:
            super().__init__("selvedge", command, core, stderr=messages)
        self.url = self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.process.poll() is None:
            with open(self.messages) as file:
                ready = re.search(r"^selvedge: ready .*?(https://\S+)", file.read(), re.MULTILINE)
            if ready:
                return ready.group(1)
            time.sleep(0.01)
        with open(self.messages) as file:
            raise CannotMeasure("selvedge did not get ready:\n" + file.read())

    def read_log(self):
        with open(self.log, "rb") as file:
            file.seek(self.offset)
            while chunk := file.read(1 << 20):
                whole = chunk[:chunk.rfind(b"\n") + 1]
                if not whole:
                    break
                file.seek(self.offset + len(whole))
                self.offset += len(whole)
                self.lines += whole.count(b"\n")
                self.hits += whole.count(b'"cache":"hit"')

    def after_run(self, requests, hits=None):
        """Waits for the log's last line; more or fewer lines than requests is an error, and so is one that is no hit."""
        lines, hits = self.lines + requests, self.hits + (requests if hits is None else hits)
        deadline = time.monotonic() + LOG_DEADLINE_S
        self.read_log()
        while self.lines < lines and time.monotonic() < deadline:
            time.sleep(0.02)
            self.read_log()
        if (self.lines, self.hits) != (lines, hits):
            raise CannotMeasure(f"the access log has {self.lines} lines, {self.hits} of them hits, "
                                f"for {lines} requests, {hits} of them hits")

    def stop(self):
        """Nothing more may be in the log than was asked for."""
        status = super().stop() if self.process.poll() is None else self.process.returncode
        if status != 0:
            raise CannotMeasure(f"selvedge ended with {status}")
        self.after_run(0)


# Requests

def hit_fields(url):
    """The fields of an answer, as (name, value), without those that libh2o writes itself."""
    command = ["curl", "-sSk", "--http2", "-o", "/dev/null", "-D", "-", "-w", "%{http_version} %{size_download}", url]
    *head, last = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    if not head[0].startswith("HTTP/2 200") or last != f"2 {BODY_BYTES}":
        raise CannotMeasure(f"{url} answered {head[0]!r}, {last!r}")
    fields = [tuple(line.split(": ", 1)) for line in head[1:] if ": " in line]
    return fields, [(name, value) for name, value in fields if name not in ("date", "content-length")]


def shape(fields):
    """What must be equal: the names, and the lengths of their values."""
    return sorted((name, len(value)) for name, value in fields)


def h2load(url, paths, requests, core, connections=CONNECTIONS, streams=STREAMS):
    """Every request answered 200 with the whole body, or an error. Returns requests per second and the TLS cipher."""
    command = pinned(core) + ["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams), "-t", "1",
                              "-B", url, "-i", paths]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded", output)
    traffic = re.search(r"headers \(space savings [^)]*\), \S+ \((\d+)\) data", output)
    codes = re.search(r"status codes: (\d+) 2xx", output)
    if not (done and traffic and codes) or {int(done[3]), int(codes[1])} != {requests} or \
            int(traffic[1]) != requests * BODY_BYTES:
        raise CannotMeasure("h2load did not get every answer whole:\n" + output)
    cipher = re.search(r"Cipher: (\S+)", output)
    return float(re.search(r"([\d.]+) req/s", output)[1]), cipher[1] if cipher else ""


def measure(server, paths, requests, core):
    """Microseconds of the server's CPU per request."""
    meter = Meter(server.process.pid)
    rate, cipher = h2load(server.url, paths, requests, core)
    server.after_run(requests)
    return meter.seconds() * 1e6 / requests, rate, cipher


# A run

def make_certificate(directory):
    certificate, key = os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def write_inputs(directory):
    paths, body = os.path.join(directory, "paths"), os.path.join(directory, "body")
    with open(paths, "w") as file:
        file.writelines(f"/assets/chunk-{number:04d}.js\n" for number in range(URLS))
    with open(body, "wb") as file:
        file.write(b"b" * BODY_BYTES)
    return paths, body


EXAMPLE_CIPHER = "TLS_AES_128_GCM_SHA256"
EXAMPLE_FIELDS = [("content-type", "application/javascript"), ("cache-control", "max-age=604800"),
                  ("etag", '"5e1ed9e0-1000"'), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"), ("age", "1012"),
                  ("via", "1.1 selvedge"), ("cache-status", "selvedge; hit; ttl=603788")]


def warmed(stack, arguments, directory, certificate, key, paths, core):
    """A node that has all URLs in memory, the cipher it chose, and the fields of a hit on it: all, and without those that
    libh2o writes itself."""
    url = stack.enter_context(origin())
    Origin.asked = 0
    node = Selvedge(arguments.selvedge, url, certificate, key, directory, core)
    stack.callback(node.process.wait)
    stack.callback(node.process.terminate)
    _, cipher = h2load(node.url, paths, URLS, None, connections=1, streams=8)
    if Origin.asked != URLS:
        raise CannotMeasure(f"warming {URLS} URLs made {Origin.asked} origin requests")
    every, fields = hit_fields(node.url + "/assets/chunk-0000.js")
    if "; hit" not in dict(fields).get("cache-status", ""):
        raise CannotMeasure(f"not a hit after warming: {fields}")
    node.after_run(URLS + 1, hits=1)
    return node, cipher, every, fields


def rounds(servers, paths, arguments, server_core, client_core):
    """CPU per request of each server in each round, printed as they come."""
    values = {server.name: [] for server in servers}
    for number in range(arguments.pairs):
        turn = number % len(servers)
        line, ciphers = {}, set()
        for server in servers[turn:] + servers[:turn]:
            cpu, rate, cipher = measure(server, paths, arguments.requests, client_core)
            values[server.name].append(cpu)
            line[server.name] = f"{server.name} {cpu:6.3f} us ({rate:7.0f}/s)"
            ciphers.add(cipher)
        if len(ciphers) != 1:
            raise CannotMeasure(f"the servers chose different ciphers: {sorted(ciphers)}")
        print(f"{number + 1:3d}  " + "  ".join(line[server.name] for server in servers), end="")
        base = values["bare"][-1]
        print("".join(f"  {s.name}/bare {values[s.name][-1] / base:.3f}" for s in servers[1:]), flush=True)
    return values


def ratio(values, name):
    return statistics.median(a / b for a, b in zip(values[name], values["bare"]))


def run(arguments):
    """One run: (ratio or None, control)."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = (str(cores[-1]), ",".join(map(str, cores[:-1]))) if len(cores) > 1 else (None, None)
    with tempfile.TemporaryDirectory(prefix="selvedge-hit-") as directory, contextlib.ExitStack() as stack:
        certificate, key = make_certificate(directory)
        paths, body = write_inputs(directory)
        node, cipher, fields = None, EXAMPLE_CIPHER, EXAMPLE_FIELDS
        if not arguments.control_only:
            node, cipher, every, fields = warmed(stack, arguments, directory, certificate, key, paths, server_core)
        servers = []
        for name in ("bare", "bare2"):
            server = Bare(name, arguments.bare, certificate, key, cipher, body, fields, server_core)
            stack.callback(server.process.wait)
            stack.callback(server.process.terminate)
            servers.append(server)
        if node:
            bare_every, _ = hit_fields(servers[0].url + "/assets/chunk-0000.js")
            if shape(every) != shape(bare_every):
                raise CannotMeasure(f"the answers differ:\n  selvedge {shape(every)}\n  bare     {shape(bare_every)}")
            print(f"cipher: {cipher}; fields of every answer: " + ", ".join(f"{n} ({length})" for n, length in shape(every)))
            servers.append(node)
        for server in servers:  # the first run of each: allocator and page cache settle
            measure(server, paths, max(arguments.requests // 10, URLS), client_core)
        values = rounds(servers, paths, arguments, server_core, client_core)
        if node and Origin.asked != URLS:
            raise CannotMeasure(f"the origin was asked {Origin.asked - URLS} times during the run")
        if node:
            node.stop()
            print(f"access log: {node.lines} lines, {node.hits} of them hits, one for each request")
        return (ratio(values, "selvedge") if node else None), ratio(values, "bare2")


def options():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/bench/hit", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selvedge", help="the program (default: BUILD/selvedge)")
    parser.add_argument("--bare", help="the yardstick (default: BUILD/tests/bench/hit_bare)")
    parser.add_argument("--build", default=build, help="the build directory (default: $SELVEDGE_BIN_DIR, else build)")
    parser.add_argument("--pairs", type=int, default=11, help="rounds (default: 11)")
    parser.add_argument("--requests", type=int, default=200000, help="requests per measurement (default: 200000)")
    parser.add_argument("--bytes", type=int, default=BODY_BYTES, help=f"of each body (default: {BODY_BYTES}, for which the limit is)")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"median ratio allowed (default: {LIMIT})")
    parser.add_argument("--ci", action="store_true",
                        help=f"fail only past {CI_SLACK} times the limit, try a void run again, and let it pass")
    parser.add_argument("--control-only", action="store_true", help="bare against bare only")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.requests < URLS or not 64 <= arguments.bytes <= 1 << 17:
        parser.error(f"--pairs is at least 1, --requests at least {URLS}, --bytes 64 to {1 << 17}")
    arguments.selvedge = os.path.abspath(arguments.selvedge or os.path.join(arguments.build, "selvedge"))
    arguments.bare = os.path.abspath(arguments.bare or os.path.join(arguments.build, "tests/bench/hit_bare"))
    return arguments


def main():
    global BODY_BYTES
    arguments = options()
    BODY_BYTES = arguments.bytes
    for attempt in range(CI_ATTEMPTS if arguments.ci else 1):
        median, control = run(arguments)
        print(f"control bare/bare: median {control:.3f} (allowed {CONTROL[0]} to {CONTROL[1]})")
        if CONTROL[0] <= control <= CONTROL[1]:
            break
        print("void: the machine was not steady enough for this to mean anything")
    else:
        return 0 if arguments.ci else 3  # no verdict: that is the machine's fault, not the program's
    if median is None:
        return 0
    print(f"selvedge/bare: median {median:.3f} (limit {arguments.limit})")
    allowed = arguments.limit * (CI_SLACK if arguments.ci else 1)
    if median > allowed:
        print(f"FAILED: more than {allowed:.3f}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotMeasure, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"tests/bench/hit: {error}", file=sys.stderr)
        print(getattr(error, "stderr", "") or "", file=sys.stderr)
        sys.exit(2)
