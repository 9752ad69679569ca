"""What a disk hit from the page cache costs in CPU, beside nginx's proxy_cache.

Bodies of 64 KiB and of 1 MiB, over TLS and HTTP/2, one worker each, the same certificate and cipher, each with its
access log on. All is on disk and in the page cache of both; nginx has sendfile on. Selvedge has the least memory that
the answers under way leave room in, and each connection asks for objects of its own in turn: what was asked for comes again
only after memory has let go of it. So nearly every answer is one from disk: a pass over all of them is
read field by field (Cache-Status), and in each measurement the node's own count of reads is compared.

Measured as in tests/bench/hit: rounds in turn, the median of the ratios counts, nginx beside itself is the control. CPU is
user and system time of all processes and threads of a server, those that write and read included.

Exit: 0 within the limits, 1 over one, or fewer answers from disk than that, 2 wrong usage or a run that could not be made, 3 void (0 with --ci).
"""
import argparse
import contextlib
import http.server
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import hit
from hit import CannotMeasure

CLIENTS = 4  # processes of h2load, one connection each
SHARE = 0.99  # of answers that are to come from disk
WARM_PASSES = 8
CONTROL = (0.95, 1.05)
CI_SLACK = 1.5
CI_ATTEMPTS = 3


class TooFew(Exception):
    """Answers that are not from disk; says how many."""


class Size:
    def __init__(self, name, body_bytes, objects, memory, streams, limit):
        self.name, self.body_bytes, self.objects, self.memory = name, body_bytes, objects, memory
        self.streams, self.limit = streams, limit


SIZES = [Size("64K", 64 << 10, 4000, "16M", 8, 0.70), Size("1M", 1 << 20, 600, "40M", 4, 0.85)]


# The origin: a path /BYTES/NUMBER is so many bytes

class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "origin", ""
    asked = 0
    lock = threading.Lock()

    def do_GET(self):
        with Origin.lock:
            Origin.asked += 1
        length = int(self.path.split("/")[1])
        self.send_response(200)
        for name, value in (("Content-Type", "application/octet-stream"), ("Cache-Control", "max-age=604800"),
                            ("ETag", f'"{self.path}"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
                            ("Content-Length", str(length))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write((self.path.encode() * (length // len(self.path) + 1))[:length])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def origin():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# The servers

class Nginx(hit.Server):
    CONFIGURATION = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  log_format with_cache '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
                        '"$http_user_agent" $upstream_cache_status';
  access_log {directory}/access.log with_cache;
  sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 600s;
  {temporary}
  proxy_cache_path {directory}/cache levels=1:2 keys_zone=all:64m max_size=20g inactive=7d use_temp_path=off;
  server {{
    listen 127.0.0.1:{port} ssl http2 reuseport;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3; ssl_prefer_server_ciphers on;
    location / {{
      proxy_pass {origin}; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache all; proxy_cache_valid 200 7d; add_header Cache-Status $upstream_cache_status;
    }}
  }}
}}
"""

    def __init__(self, name, origin_url, certificate, key, directory, core):
        self.log = os.path.join(directory, "access.log")
        self.offset = 0
        port = free_port()
        temporary = " ".join(f"{kind}_temp_path {directory}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(self.CONFIGURATION.format(directory=directory, temporary=temporary, port=port, key=key,
                                                 certificate=certificate, origin=origin_url))
        self.url = f"https://127.0.0.1:{port}"
        program = "/usr/sbin/nginx"
        super().__init__(name, [program, "-e", os.path.join(directory, "error.log"), "-c", path], core)
        until(lambda: answers(port), f"{name} does not start: see {path}")

    def measured_pid(self):
        """The worker's: the cache loader comes and goes."""
        for pid in hit.processes_of(self.process.pid):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/cmdline") as file:
                if "worker process" in file.read():
                    return pid
        raise CannotMeasure(f"{self.name} has no worker")

    def count(self):
        """Of what was logged since: hits."""
        with open(self.log, "rb") as file:
            file.seek(self.offset)
            lines = file.read()
        whole = lines[:lines.rfind(b"\n") + 1]
        self.offset += len(whole)
        return whole.count(b" HIT\n")

    def after_run(self, requests):
        hits = 0

        def all_logged():
            nonlocal hits
            hits += self.count()
            return hits >= requests
        until(all_logged, f"{self.name} logged fewer than {requests} hits")
        if hits != requests:
            raise CannotMeasure(f"{self.name} logged {hits} hits for {requests} requests")

    def shares(self):
        return 1, 1

    def warmed(self, requests):
        """Lines of misses are not counted."""
        self.count()


class Selvedge(hit.Selvedge):
    """As in tests/bench/hit, with a disk."""
    def __init__(self, program, origin_url, certificate, key, directory, core, memory, extra=()):
        self.name = "selvedge"
        self.log = os.path.join(directory, "access.log")
        self.lines = self.offset = self.hits = 0
        self.messages = os.path.join(directory, "selvedge.stderr")
        command = [program, "--origin", origin_url, "--listen", "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                   "--cert", certificate, "--key", key, "--workers", "1", "--memory", memory, "--access-log", self.log,
                   "--disk", os.path.join(directory, "disk") + ":4G", "--disk-admission", "always", *extra]
        with open(self.messages, "w") as messages:
            hit.Server.__init__(self, "selvedge", command, core, stderr=messages)
        self.url = self.wait_until_ready()
        with open(self.messages) as file:
            self.admin = re.search(r"^selvedge: ready .*?(?:admin|control)?.*?(http://\S+)", file.read(), re.MULTILINE).group(1)
        self.from_disk, self.requests = self.reads(), 0

    def measured_pid(self):
        return self.process.pid

    def metric(self, name):
        with urllib.request.urlopen(self.admin + "/metrics") as page:
            for line in page.read().decode().splitlines():
                if line.startswith(name + " "):
                    return int(float(line.split()[-1]))
        raise CannotMeasure(f"there is no metric {name}")

    def reads(self):
        return [self.metric(f'selvedge_disk_reads_total{{how="{how}"}}') for how in ("cache", "device")]

    def shares(self):
        """Of the answers since it was last asked, those from disk, and those of them that the page cache had."""
        before, requests = self.from_disk, self.requests
        self.from_disk, self.requests = self.reads(), 0
        cached, device = (now - then for now, then in zip(self.from_disk, before))
        return (cached + device) / max(requests, 1), cached / max(cached + device, 1)

    def warmed(self, requests):
        def all_logged():
            self.read_log()
            return self.lines >= requests
        until(all_logged, "the access log has fewer lines than there were requests")
        self.lines = self.hits = 0

    def after_run(self, requests, hits=None):
        super().after_run(requests, hits)
        self.requests += requests


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


def until(condition, message, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise CannotMeasure(message)
        time.sleep(0.02)


# Requests

def write_lists(directory, size):
    """All objects, and a list for each client of those that it asks for in turn, as often as need be."""
    names = [f"/{size.body_bytes}/{number:05d}\n" for number in range(size.objects)]
    paths = [os.path.join(directory, f"paths-{size.name}-{part}") for part in ("all", *range(CLIENTS))]
    for number, path in enumerate(paths):
        with open(path, "w") as file:
            file.writelines(names if number == 0 else names[number - 1::CLIENTS])
    return paths


def load(server, size, lists, requests, core):
    """All clients at once; the cipher."""
    command = hit.pinned(core) + ["h2load", "-c", "1", "-t", "1", "-m", str(size.streams), "-n",
                                  str(requests // CLIENTS), "-B", server.url, "-i"]
    clients = [subprocess.Popen(command + [each], stdout=subprocess.PIPE, text=True) for each in lists[1:]]
    ciphers = set()
    for client in clients:
        output = client.communicate()[0]
        codes = re.search(r"status codes: (\d+) 2xx", output)
        traffic = re.search(r"\((\d+)\) data", output)
        if not codes or int(codes[1]) != requests // CLIENTS or \
                int(traffic[1]) != requests // CLIENTS * size.body_bytes:
            raise CannotMeasure("h2load did not get every answer whole:\n" + output)
        ciphers.add(re.search(r"Cipher: (\S+)", output)[1])
    if len(ciphers) != 1:
        raise CannotMeasure(f"{server.name} chose several ciphers: {ciphers}")
    return ciphers.pop()


def measure(server, size, lists, requests, core):
    meter = hit.Meter(server.measured_pid())
    started = time.monotonic()
    cipher = load(server, size, lists, requests, core)
    taken = time.monotonic() - started
    server.after_run(requests)
    return meter.seconds() * 1e6 / requests, requests / taken, cipher


def warm(server, size, path, core):
    """All is fetched, and again what was dropped as it came faster than the disk thread took it."""
    command = ["h2load", "-c", "1", "-t", "1", "-m", "1", "-n", str(size.objects), "-B", server.url, "-i", path]
    for _ in range(WARM_PASSES):
        before = Origin.asked
        subprocess.run(hit.pinned(core) + command, check=True, capture_output=True)
        server.warmed(size.objects)
        if Origin.asked == before:
            return
    raise CannotMeasure(f"{server.name} still asks for something after {WARM_PASSES} passes over all objects")


def share_said(node, size, path):
    """A pass over all objects, whose fields are read."""
    with open(path) as file, tempfile.NamedTemporaryFile("w") as configuration:
        for line in file:
            configuration.write(f'url = "{node.url}{line.strip()}"\noutput = "/dev/null"\n')
        configuration.flush()
        command = ["curl", "-sSk", "--http2", "-D", "-", "-K", configuration.name]
        fields = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    node.after_run(size.objects)
    return len(re.findall(r"^cache-status: selvedge; hit; .*detail=disk", fields, re.MULTILINE)) / size.objects


# A run

def start(arguments, size, stack, directory, certificate, key, core):
    url = stack.enter_context(origin())
    lists = write_lists(directory, size)
    servers = []
    for name in "nginx", "nginx2", "selvedge":
        place = os.path.join(directory, size.name, name)
        os.makedirs(place)
        if name == "selvedge":
            server = Selvedge(arguments.selvedge, url, certificate, key, place, core, size.memory)
        else:
            server = Nginx(name, url, certificate, key, place, core)
        stack.callback(server.process.wait)
        stack.callback(server.process.terminate)
        servers.append(server)
        warm(server, size, lists[0], None)
        if name == "selvedge":
            said = share_said(server, size, lists[0])
            print(f"{size.name}: of {size.objects} answers in a row {100 * said:.2f} % say detail=disk")
            if said < SHARE:
                raise TooFew(f"fewer than {100 * SHARE:.0f} % of the answers are from disk")
    return servers, lists


def rounds(servers, size, lists, arguments, server_core, client_core):
    values = {server.name: [] for server in servers}
    requests = arguments.passes * size.objects
    for server in servers:
        measure(server, size, lists, requests, client_core)
        server.shares()
    for number in range(arguments.pairs):
        turn = number % len(servers)
        line, ciphers = {}, set()
        for server in servers[turn:] + servers[:turn]:
            cpu, rate, cipher = measure(server, size, lists, requests, client_core)
            from_disk, cached = server.shares()
            if min(from_disk, cached) < SHARE:
                raise TooFew(f"{100 * from_disk:.1f} % of the answers were from disk, {100 * cached:.1f} % of "
                             "those by the page cache")
            values[server.name].append(cpu)
            line[server.name] = f"{server.name} {cpu:6.1f} us ({rate:5.0f}/s)"
            ciphers.add(cipher)
        if len(ciphers) != 1:
            raise CannotMeasure(f"the servers chose different ciphers: {sorted(ciphers)}")
        last = values["selvedge"][-1] / values["nginx"][-1]
        print(f"{number + 1:3d}  " + "  ".join(line[server.name] for server in servers) + f"  ratio {last:.3f}",
              flush=True)
    return values, ciphers.pop()


def ratio(values, name):
    return statistics.median(a / b for a, b in zip(values[name], values["nginx"]))


def run(arguments, size):
    """(ratio, control)."""
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = (str(cores[-1]), ",".join(map(str, cores[:-1]))) if len(cores) > 1 else (None, None)
    with tempfile.TemporaryDirectory(prefix="selvedge-disk-") as directory, contextlib.ExitStack() as stack:
        os.chmod(directory, 0o755)  # nginx's worker has a user of its own
        certificate, key = hit.make_certificate(directory)
        servers, lists = start(arguments, size, stack, directory, certificate, key, server_core)
        asked = Origin.asked
        values, cipher = rounds(servers, size, lists, arguments, server_core, client_core)
        if Origin.asked != asked:
            raise CannotMeasure(f"the origin was asked {Origin.asked - asked} times during the run")
        medians = ", ".join(f"{server.name} {statistics.median(values[server.name]):.1f} us" for server in servers)
        print(f"{size.name}: {cipher}; medians: {medians}")
        return ratio(values, "selvedge"), ratio(values, "nginx2")


def judge(arguments, size):
    """The exit status for this size."""
    for _ in range(CI_ATTEMPTS if arguments.ci else 1):
        median, control = run(arguments, size)
        print(f"{size.name}: control nginx/nginx: median {control:.3f} (allowed {CONTROL[0]} to {CONTROL[1]})")
        if CONTROL[0] <= control <= CONTROL[1]:
            break
        print("void: the machine was not steady enough for this to mean anything")
    else:
        return 0 if arguments.ci else 3
    allowed = size.limit * (CI_SLACK if arguments.ci else 1)
    print(f"{size.name}: selvedge/nginx: median {median:.3f} (limit {size.limit})")
    if median > allowed:
        print(f"FAILED: more than {allowed:.3f}")
        return 1
    return 0


def options():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(hit.ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/bench/disk hits", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selvedge", default=os.path.join(build, "selvedge"), help="the program (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=11, help="rounds (default: 11)")
    parser.add_argument("--passes", type=int, default=3, help="over all objects per measurement (default: 3)")
    parser.add_argument("--size", choices=[size.name for size in SIZES], action="append", help="default: all")
    parser.add_argument("--ci", action="store_true",
                        help=f"fail only past {CI_SLACK} times the limit, try a void run again, and let it pass")
    arguments = parser.parse_args()
    if arguments.pairs < 1 or arguments.passes < 1:
        parser.error("--pairs and --passes are at least 1")
    return arguments


def main():
    arguments = options()
    sizes = [size for size in SIZES if not arguments.size or size.name in arguments.size]
    return max(judge(arguments, size) for size in sizes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TooFew as few:
        print(f"FAILED: {few}")
        sys.exit(1)
    except (CannotMeasure, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"tests/bench/disk: {error}", file=sys.stderr)
        print(getattr(error, "stderr", "") or "", file=sys.stderr)
        sys.exit(2)
