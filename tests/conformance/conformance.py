"""The public test suite of HTTP caches (npm http-cache-tests), against a node of this build.

    tests/conformance/run              over HTTP/1.1, and over HTTP/2 with TLS: which required cases do not pass
    tests/conformance/run --all        also the optional ones, a line each
    tests/conformance/run --nghttpx    what the proxy of the second leg alters by itself, beside altered.txt

The suite is installed by npm into BUILD/conformance, as package-lock.json has it. Its client speaks HTTP/1.1 alone, so
on the second leg Debian's nghttpx stands between, and the node's own counters must show that all came as HTTP/2. Its
cases tell ages of some seconds apart, so one that fails on a busy machine is tried again, with all others, up to three times.

expected.txt names the cases that do not pass, with the reason, and the least number of optional ones that must;
altered.txt names those that fail on the second leg by nghttpx's doing.

Exit: 0 when on both legs every case passes that these do not name, else 1; 2 when the suite could not be run.
"""
import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from servers import BUILD, HERE, CannotRun, Nghttpx, Node, Origin, variables

TRIES, SUITE_SECONDS = 3, 180
KINDS = {"required": "required", "optimal": "optional"}  # the suite's word, and ours


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


def list_cases(suite):
    """{id: "required" or "optional"}, without those that only a browser can be asked."""
    done = subprocess.run(["node", HERE / "list.mjs", suite], capture_output=True, text=True, check=True)
    return {case["id"]: KINDS[case["kind"]] for case in json.loads(done.stdout) if case["kind"] in KINDS and not case["browser"]}


def read_list(name):
    """{id: reason} of a file beside this one."""
    lines = [line.split(None, 1) for line in (HERE / name).read_text().splitlines()]
    return {line[0]: line[1] for line in lines if line and not line[0].startswith("#")}


def ask(suite, url):
    """What became of each case: true, or a list of what went wrong."""
    done = subprocess.run(["node", "--no-warnings", "cli.mjs"], cwd=suite, env=variables(base=url), capture_output=True, text=True,
                          timeout=SUITE_SECONDS)
    if done.returncode != 0 or not done.stdout.startswith("{"):
        raise CannotRun("the suite did not end well:\n" + done.stdout[-2000:] + done.stderr[-2000:])
    return json.loads(done.stdout)


def over_http1(suite, directory):
    with Origin(suite, directory) as origin, Node(directory, origin) as node:
        return ask(suite, node.url)


def over_http2(suite, directory):
    with Origin(suite, directory) as origin, Node(directory, origin) as node:
        with Nghttpx(directory, f"127.0.0.1,{node.tls_port};;proto=h2;tls") as proxy:
            results = ask(suite, proxy.url)
        requests = node.requests()
    if list(requests) != ["h2"] or requests["h2"] < len(results):
        raise CannotRun(f"requests of {len(results)} cases did not all come as HTTP/2: {requests}")
    return results


def without_a_node(suite, directory):
    with Origin(suite, directory) as origin:
        return ask(suite, origin.url)


def nghttpx_alone(suite, directory):
    with Origin(suite, directory) as origin, Nghttpx(directory, f"127.0.0.1,{origin.port};;proto=http/1.1") as proxy:
        return ask(suite, proxy.url)


def run_once(suite, way):
    with tempfile.TemporaryDirectory(prefix="selvedge-conformance-") as name:
        return way(suite, Path(name))


def try_often(suite, way, demanded):
    """The best result of each case in as many runs as it takes."""
    best = {}
    for _ in range(TRIES):
        for name, result in run_once(suite, way).items():
            best[name] = True if best.get(name) is True else result
        if all(best.get(name) is True for name in demanded):
            break
    return best


def report(leg, cases, best, expected, altered, everything):
    """Prints what became of a leg's cases; {kind: how many pass}, and the ids that had to and do not."""
    allowed = {**altered, **expected}
    passed, wrong = {}, []
    for kind in KINDS.values():
        names = [name for name in cases if cases[name] == kind]
        passed[kind] = sum(best.get(name) is True for name in names)
        print(f"{leg}, {kind}: {passed[kind]} of {len(names)} pass")
        for name in names:
            if best.get(name) is True:
                if name in expected:
                    print(f"  {name}: passes; take it from expected.txt")
                continue
            if name not in allowed:
                wrong.append(name)
            if name not in allowed or everything or kind == "required":
                print(f"  {name}: {allowed.get(name) or ' '.join(map(str, best.get(name) or ['was not run']))}")
    return passed, wrong


def judge(suite, cases, everything):
    """Both legs. Exit code."""
    expected, altered = read_list("expected.txt"), read_list("altered.txt")
    floor = int(expected.pop("at-least-optional"))
    failures, passed = [], {}
    for leg, way, also in ("HTTP/1.1", over_http1, {}), ("HTTP/2", over_http2, altered):
        best = try_often(suite, way, cases.keys() - expected.keys() - also.keys())
        passed, wrong = report(leg, cases, best, expected, also, everything)
        if wrong:
            failures.append(f"over {leg} {len(wrong)} cases fail that are not named with a reason: {' '.join(wrong)}")
        least = floor - sum(cases.get(name) == "optional" for name in also)
        if passed["optional"] < least:
            failures.append(f"over {leg} fewer than {least} optional cases pass")
        elif passed["optional"] > least:
            print(f"  more than the {least} that at-least-optional demands: raise it")
    for failure in failures:
        print("FAILED: " + failure)
    if not failures:
        print(f"on both legs every case passes that is not named with its reason; over HTTP/2 {passed['required']} required and "
              f"{passed['optional']} optional ones")
    return 1 if failures else 0


def judge_nghttpx(suite, cases):
    """A proxy that stores nothing should change nothing: what ends otherwise than without it is its doing. Exit code."""
    altered = read_list("altered.txt")
    direct, proxied = run_once(suite, without_a_node), run_once(suite, nghttpx_alone)
    found = {name for name in cases if direct.get(name) != proxied.get(name)}
    for name in sorted(found | altered.keys()):
        print(f"  {name}: {altered.get(name, 'not in altered.txt')}\n    without it: {direct.get(name)}\n    with it: {proxied.get(name)}")
    print(f"nghttpx alters {len(found)} cases, {len(found - altered.keys())} of them not in altered.txt")
    return 1 if found != altered.keys() else 0


def main():
    parser = argparse.ArgumentParser(prog="tests/conformance/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the optional cases that do not pass, a line each")
    parser.add_argument("--nghttpx", action="store_true", help="compares nghttpx before the suite's origin with that origin alone")
    arguments = parser.parse_args()
    suite = install()
    cases = list_cases(suite)
    return judge_nghttpx(suite, cases) if arguments.nghttpx else judge(suite, cases, arguments.all)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotRun, FileNotFoundError, subprocess.SubprocessError) as error:
        print(f"tests/conformance/run: {error}", file=sys.stderr)
        sys.exit(2)
