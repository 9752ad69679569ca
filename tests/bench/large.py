"""A large object through a small memory and a disk, for clients of different speeds that want different parts of it.

A file, 2 GB by default, is asked for by 20 clients at once: some want all of it, some a range, some the same one, at speeds
from a quarter of a MiB a second to as fast as it comes. Each byte is compared as it arrives. Then: the most memory that
the serving process ever had is at most memory + 48 MiB + 1/4 MiB for each client, and the origin (nginx, by its log) sent at
most 1.02 times the file.

Exit: 0 within the limits, 1 over one of them, or a wrong byte, 2 wrong usage or a run that could not be made.
"""
import argparse
import contextlib
import mmap
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import disk_hits
import hit
from disk_hits import until
from hit import CannotMeasure

MIB = 1 << 20
CLIENTS = 20
OVER_MIB, OVER_CLIENT_MIB = 48, 0.25
SENT = 1.02
PACE_S = 0.05
CI_SLACK = 1.5


class Origin:
    """nginx, with one file."""
    CONFIGURATION = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log warn; events {{ }}
http {{
  log_format sent '$status $body_bytes_sent "$http_range"'; access_log {directory}/sent.log sent;
  sendfile on; keepalive_requests 1000000; {temporary}
  server {{ listen 127.0.0.1:{port}; root {directory}; location / {{ expires 7d; {ranges} }} }}
}}
"""

    def __init__(self, directory, length, ranges, stack):
        self.log, self.path = os.path.join(directory, "sent.log"), os.path.join(directory, "large")
        with open(self.path, "wb") as file:
            for at in range(0, length, MIB):
                part = b"".join(b"%015x " % (at + within) for within in range(0, MIB, 1024))  # 64 times as it is
                file.write((part * 64)[:min(MIB, length - at)])
        port = disk_hits.free_port()
        temporary = " ".join(f"{kind}_temp_path {directory}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        path = os.path.join(directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(self.CONFIGURATION.format(directory=directory, port=port, temporary=temporary,
                                                 ranges="" if ranges else "max_ranges 0; add_header Accept-Ranges none;"))
        server = hit.Server("origin", ["/usr/sbin/nginx", "-e", f"{directory}/error.log", "-c", path], None)
        stack.callback(server.process.wait)
        stack.callback(server.process.terminate)
        until(lambda: disk_hits.answers(port), "nginx does not start")
        self.url = f"http://127.0.0.1:{port}"

    def sent(self):
        """(bytes of bodies, requests)."""
        with open(self.log) as file:
            lines = [line.split() for line in file]
        return sum(int(line[1]) for line in lines), len(lines)


class Node:
    def __init__(self, arguments, origin, directory, stack):
        self.messages = os.path.join(directory, "selvedge.stderr")
        command = [arguments.selvedge, "--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin",
                   "http://127.0.0.1:0", "--workers", "2", "--memory", f"{arguments.memory}M", "--disk",
                   os.path.join(directory, "disk") + f":{arguments.disk}M"]
        with open(self.messages, "w") as messages:
            self.server = hit.Server("selvedge", command, None, stderr=messages)
        stack.callback(self.server.process.wait)
        stack.callback(self.server.process.terminate)
        until(self.ready, "selvedge did not get ready")

    def ready(self):
        with open(self.messages) as file:
            said = re.search(r"^selvedge: ready .*", file.read(), re.MULTILINE)
        if said:
            self.port = int(re.search(r"http://127.0.0.1:(\d+)", said[0])[1])
        return said

    def most_memory(self):
        """Of the serving process, in MiB."""
        most = 0
        for pid in hit.processes_of(self.server.process.pid):
            with open(f"/proc/{pid}/status") as file:
                most = max(most, int(re.search(r"VmHWM:\s+(\d+)", file.read())[1]) / 1024)
        return most


class Client(threading.Thread):
    """Asks for the bytes from first to end at so many MiB a second (0: no limit), and compares them."""
    def __init__(self, port, data, first, end, speed):
        super().__init__(daemon=True)
        self.port, self.data, self.first, self.end, self.speed = port, data, first, end, speed
        self.error, self.seconds = "it did not end", 0

    def run(self):
        started = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", self.port)) as connection:
                connection.settimeout(60)
                self.error = self.read(connection)
        except OSError as error:
            self.error = f"{error} after {time.monotonic() - started:.1f} s"
        self.seconds = time.monotonic() - started

    def read(self, connection):
        whole = self.first == 0 and self.end == len(self.data)
        bounds = "" if whole else f"Range: bytes={self.first}-{self.end - 1}\r\n"
        connection.sendall(f"GET /large HTTP/1.1\r\nHost: a\r\n{bounds}\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got:
            more = connection.recv(4096)
            if not more:
                return "the connection was closed in the head"
            got += more
        head, got = got.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 200" if whole else b"HTTP/1.1 206"):
            return head.decode()
        return self.compare(connection, got)

    def compare(self, connection, got):
        at, started = self.first, time.monotonic()
        while True:
            if got != self.data[at:at + len(got)]:
                return f"wrong bytes from {at} on"
            at += len(got)
            if at == self.end:
                return None
            due = started + (at - self.first) / (self.speed * MIB) if self.speed else 0
            if due > time.monotonic():
                time.sleep(max(0, due - time.monotonic()))  # the client's pace
            got = connection.recv(int(max(self.speed * MIB * PACE_S, 4096)) if self.speed else MIB)
            if not got:
                return f"{at - self.first} of {self.end - self.first} bytes came"


def wishes(length):
    """(first, end, MiB a second), 20 of them; what the slow ones want takes them a tenth of a minute."""
    part = length // 16
    some = [(0, length, 0), (0, length, 0), (0, length, length / MIB / 10), (0, length, length / MIB / 15)]
    some += [(number * part, (number + 1) * part, speed) for number, speed in
             zip(range(1, 16, 2), (0, 200, 50, 0, 100, 20, 0, 40))]
    some += [(5 * part - 12345, 5 * part + min(6 * MIB, part), 1), (9 * part + 7, 9 * part + 2 * MIB, 0.25),
             (length - part // 2, length, 0), (length - part // 2, length, 30), (length // 2 + 1, length // 2 + part, 10),
             (3, part, 0), (part // 2, part * 3, 0), (length - 1, length, 0)]
    return some


def run(arguments):
    length = arguments.megabytes * MIB + 4711
    with tempfile.TemporaryDirectory(prefix="selvedge-large-") as directory, contextlib.ExitStack() as stack:
        os.chmod(directory, 0o755)
        origin = Origin(directory, length, not arguments.no_ranges, stack)
        node = Node(arguments, origin, directory, stack)
        with open(origin.path, "rb") as file:
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        clients = [Client(node.port, data, *wish) for wish in wishes(length)]
        if len(clients) != CLIENTS:
            raise CannotMeasure(f"{len(clients)} clients")
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        failed = [client for client in clients if client.error]
        for client in failed:
            print(f"  {client.first}-{client.end} at {client.speed} MiB/s: {client.error}")
        return judge(arguments, length, node.most_memory(), origin.sent(), failed, max(c.seconds for c in clients))


def judge(arguments, length, memory, sent, failed, seconds):
    most = arguments.memory + OVER_MIB + OVER_CLIENT_MIB * CLIENTS
    times = sent[0] / length
    bad = [f"{len(failed)} of {CLIENTS} clients did not get their bytes"] if failed else []
    slack = CI_SLACK if arguments.ci else 1
    bad += [f"memory {memory:.0f} MiB, limit {most:.0f}"] if memory > most * slack else []
    bad += [f"the origin sent {times:.3f} times the file, limit {SENT}"] if times > SENT * slack else []
    print(f"{CLIENTS} clients in {seconds:.0f} s; memory {memory:.0f} MiB (limit {most:.0f}); the origin sent {times:.3f} times the "
          f"file (limit {SENT}), in {sent[1]} answers")
    if bad:
        print("FAILED: " + "; ".join(bad))
    return 1 if bad else 0


def options():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(hit.ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/bench/large", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selvedge", default=os.path.join(build, "selvedge"), help="the program (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=2048, help="of the file (default: 2048)")
    parser.add_argument("--memory", type=int, default=64, help="MiB (default: 64)")
    parser.add_argument("--ci", action="store_true", help=f"fail only past {CI_SLACK} times the limits, or for wrong bytes")
    parser.add_argument("--no-ranges", action="store_true", help="the origin takes none: all of it comes at once, for all")
    parser.add_argument("--disk", type=int, default=4096, help="MiB (default: 4096)")
    arguments = parser.parse_args()
    if arguments.megabytes < 64:
        parser.error("--megabytes is at least 64")
    return arguments


if __name__ == "__main__":
    try:
        sys.exit(run(options()))
    except (CannotMeasure, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"tests/bench/large: {error}", file=sys.stderr)
        sys.exit(2)
