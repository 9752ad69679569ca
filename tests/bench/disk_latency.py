"""What a slow disk does to memory hits: nothing, or nearly.

Memory hits of 4 KiB are asked for open-loop, 1,000 a second over 10 connections, while others ask for 200 objects of 64 KiB a
second out of a set ten times as large as memory. Three nodes take turns, all with the same objects and the same load:
memory  holds all of it in memory: the control
device  every read of a segment fails RWF_NOWAIT, as if the page cache held none of it (slow_disk.c, preloaded), and so is
        made by a thread of the device
slow    the same, and 500 ms go by before each of these reads begins
After each turn the node's own counts say how its reads were made. The median over the rounds of p99/p99 of the control is at most
1.5, or the median of the differences 1 ms.

Exit: 0 within the limit, 1 over it, 2 wrong usage or a run that could not be made.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile

import disk_hits
import hit
from disk_hits import until
from hit import CannotMeasure

HOT, HOT_BYTES, HOT_RATE = 20, 4 << 10, 1000
COLD, COLD_BYTES, COLD_RATE = 2560, 64 << 10, 200  # 160 MiB
MEMORY = "16M"
UNCACHED = 0.9
RATIO, EXTRA_MS = 1.5, 1.0
CI_SLACK = 1.5


def serve_files(directory, stack, core):
    """The origin; its address."""
    files = os.path.join(directory, "files")
    for size, count in ((HOT_BYTES, HOT), (COLD_BYTES, COLD)):
        os.makedirs(os.path.join(files, str(size)))
        for number in range(count):
            with open(os.path.join(files, str(size), f"{number:05d}"), "wb") as file:
                file.write((f"{size}/{number}." * size).encode()[:size])
    configuration = os.path.join(directory, "origin.conf")
    port = disk_hits.free_port()
    temporary = " ".join(f"{kind}_temp_path {directory}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(configuration, "w") as file:
        file.write(f"daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log warn; events {{}}\n"
                   f"http {{ access_log off; keepalive_requests 1000000; {temporary}\n"
                   f"server {{ listen 127.0.0.1:{port}; root {files}; expires 7d; }} }}\n")
    origin = hit.Server("origin", ["/usr/sbin/nginx", "-e", f"{directory}/error.log", "-c", configuration], core)
    stack.callback(origin.process.wait)
    stack.callback(origin.process.terminate)
    until(lambda: disk_hits.answers(port), "nginx does not start")
    return f"http://127.0.0.1:{port}"


def write_list(directory, size, count):
    path = os.path.join(directory, f"list-{size}")
    with open(path, "w") as file:
        file.writelines(f"/{size}/{number:05d}\n" for number in range(count))
    return path


def start_load(node, path, rate, connections, seconds, core, log=None):
    command = ["h2load", "-c", str(connections), "-t", "1", "-m", "64", "--rps", str(rate // connections), "-n",
               str(rate * seconds), "-B", node.url, "-i", path] + (["--log-file", log] if log else [])
    return subprocess.Popen(hit.pinned(core) + command, stdout=subprocess.PIPE, text=True)


def finish(load, requests):
    output = load.communicate()[0]
    if f"status codes: {requests} 2xx" not in output:
        raise disk_hits.TooFew("not every answer was 200:\n" + output)


def p99_ms(log):
    with open(log) as file:
        times = sorted(int(line.split("\t")[2]) for line in file)
    os.remove(log)
    return times[len(times) * 99 // 100] / 1000


def turn(node, lists, seconds, directory, core):
    """The p99 of the memory hits in milliseconds, and of the reads of disk meanwhile the share that the page cache lacked."""
    before = node.reads() + [node.metric("selvedge_disk_read_timeouts_total")]
    log = os.path.join(directory, "hot.log")
    cold = start_load(node, lists[1], COLD_RATE, 1, seconds + 1, core)
    hot = start_load(node, lists[0], HOT_RATE, 10, seconds, core, log)
    finish(hot, HOT_RATE * seconds)
    finish(cold, COLD_RATE * (seconds + 1))
    cached, device, late = (now - then for now, then in
                            zip(node.reads() + [node.metric("selvedge_disk_read_timeouts_total")], before))
    return p99_ms(log), (device + late) / max(cached + device + late, 1), cached + device, late


def start(arguments, directory, stack, url, lists, certificate, key, core, name):
    place = os.path.join(directory, name)
    os.makedirs(place)
    memory = "600M" if name == "memory" else MEMORY
    node = disk_hits.Selvedge(arguments.selvedge, url, certificate, key, place, core, memory)
    for path, count in zip(lists, (HOT, COLD)):
        for _ in range(2 if path == lists[0] else 1):
            command = ["h2load", "-c", "1", "-t", "1", "-m", "1", "-n", str(count), "-B", node.url, "-i", path]
            subprocess.run(command, check=True, capture_output=True)
    if name != "memory":
        records = node.metric("selvedge_disk_records")
        if records < COLD * UNCACHED:
            raise CannotMeasure(f"{records} records are on disk")
        hit.Server.stop(node)
        with preloaded(arguments, 500 if name == "slow" else 0):
            node = disk_hits.Selvedge(arguments.selvedge, url, certificate, key, place, core, memory)
        until(lambda: node.metric("selvedge_disk_records") >= records * UNCACHED, "the records are not found again")
    node.name = name
    stack.callback(node.process.wait)
    stack.callback(node.process.terminate)
    return node


@contextlib.contextmanager
def preloaded(arguments, ms):
    os.environ.update(LD_PRELOAD=arguments.slow_disk, SLOW_DISK_MS=str(ms))
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"], os.environ["SLOW_DISK_MS"]


def rounds(nodes, lists, arguments, directory, core):
    values = {node.name: [] for node in nodes}
    for node in nodes:  # what is hot becomes so
        finish(start_load(node, lists[0], HOT_RATE, 10, 1, core), HOT_RATE)
    for number in range(arguments.pairs):
        line = f"{number + 1:3d}"
        at = number % len(nodes)
        for node in nodes[at:] + nodes[:at]:
            p99, uncached, reads, late = turn(node, lists, arguments.seconds, directory, core)
            values[node.name].append(p99)
            line += f"  {node.name} {p99:.2f} ms ({reads} reads, {late} late)"
            if node.name != "memory" and (uncached < UNCACHED or reads + late == 0):
                raise disk_hits.TooFew(f"of the disk's {reads} reads only {100 * uncached:.0f} % failed RWF_NOWAIT")
        print(line, flush=True)
    return values


def judge(values, name, slack):
    pairs = list(zip(values[name], values["memory"]))
    ratio = statistics.median(a / b for a, b in pairs)
    extra = statistics.median(a - b for a, b in pairs)
    kept = ratio <= RATIO * slack or extra <= EXTRA_MS * slack
    print(f"{'' if kept else 'FAILED: '}{name}: p99 {ratio:.2f} times the control's, {extra:+.2f} ms "
          f"(limit {RATIO} times or {EXTRA_MS} ms, whichever is larger)")
    return kept


def run(arguments):
    cores = sorted(os.sched_getaffinity(0))
    server_core, client_core = (str(cores[-1]), ",".join(map(str, cores[:-1]))) if len(cores) > 1 else (None, None)
    with tempfile.TemporaryDirectory(prefix="selvedge-latency-") as directory, contextlib.ExitStack() as stack:
        os.chmod(directory, 0o755)
        certificate, key = hit.make_certificate(directory)
        url = serve_files(directory, stack, client_core)
        lists = [write_list(directory, HOT_BYTES, HOT), write_list(directory, COLD_BYTES, COLD)]
        nodes = [start(arguments, directory, stack, url, lists, certificate, key, server_core, name)
                 for name in ("memory", "device", "slow")]
        values = rounds(nodes, lists, arguments, directory, client_core)
    slack = CI_SLACK if arguments.ci else 1
    kept = [judge(values, name, slack) for name in ("device", "slow")]
    return 0 if all(kept) else 1


def options():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(hit.ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/bench/disk latency", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--selvedge", default=os.path.join(build, "selvedge"), help="the program (default: %(default)s)")
    parser.add_argument("--slow-disk", default=os.path.join(os.path.abspath(build), "tests/bench/slow_disk.so"),
                        help="what is preloaded (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement (default: 8)")
    parser.add_argument("--ci", action="store_true", help=f"fail only past {CI_SLACK} times the limit")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(run(options()))
    except disk_hits.TooFew as few:
        print(f"FAILED: {few}")
        sys.exit(1)
    except (CannotMeasure, FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"tests/bench/disk latency: {error}", file=sys.stderr)
        sys.exit(2)
