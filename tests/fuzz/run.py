"""Fuzzes whatever parses bytes from outside, and measures what the committed corpus reaches.

    tests/fuzz/run [--seconds N] [--jobs N] [--grow] [TARGET...]

Each target runs for N seconds (10 unless told) from its corpus in tests/fuzz/corpus/TARGET, on a build with libFuzzer,
AddressSanitizer and UndefinedBehaviorSanitizer; what makes it fail is kept in build-fuzz/failures and named. Then the
committed corpus alone is run once, and the lines of each parser that it reaches are printed: fewer than 95 % fail.

--grow adds what was found to the corpus, as few inputs as reach as much.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build-fuzz")
CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus")
FAILURES = os.path.join(BUILD, "failures")
COVERED = 0.95
LENGTH_MAX = {"request": 49152, "journal": 4096, "disk": 4352, "volume": 2048, "purge": 24576, "tags": 4096, "config": 16384, "reference": 16384}

# What each target is for: the functions that the request path calls are in these files.
PARSERS = {
    "request": ["edge/guard/http1_hooks.c", "edge/guard/http2_hooks.c", "edge/guard/frames.c"],
    "http1": ["edge/guard/http1_check.c", "edge/guard/syntax.c"],
    "http2": ["edge/guard/http2_check.c"],
    "proxy": ["edge/limits/proxy_line.c"],
    "sni": ["edge/tls/names.c"],
    "url": ["edge/http/url.c"],
    "reference": ["edge/http/reference.c"],
    "pattern": ["edge/http/pattern.c", "edge/http/query.c"],
    "response": ["origin_pull/fill_lines.c", "edge/http/fields.c", "edge/http/storing.c", "edge/http/surrogate.c"],
    "range": ["edge/http/range.c", "edge/http/multipart.c"],
    "cache_control": ["edge/http/cache_control.c"],
    "structured": ["edge/http/structured.c"],
    "date": ["edge/http/date.c"],
    "vary": ["edge/http/vary.c", "edge/http/accept.c", "edge/http/form.c"],
    "tags": ["edge/http/tags.c"],
    "etags": ["edge/http/conditional.c"],
    "purge": ["purge/api_purge.c"],
    "trace": ["purge/api_trace.c"],
    "journal": ["purge/journal_format.c"],
    "disk": ["edge/cache/disk/record.c", "edge/cache/disk/meta.c"],
    "volume": ["edge/cache/disk/volume_recover.c"],
    "config": ["conf/config.c", "conf/settings_values.c", "conf/settings_hsts.c", "conf/settings_lists.c"],
}


def build(targets):
    generator = [] if os.path.exists(os.path.join(BUILD, "CMakeCache.txt")) else ["-G", "Ninja"]
    subprocess.run(["cmake", "--preset", "fuzz", *generator], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", *("fuzz_" + name for name in targets)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def program(target):
    return os.path.join(BUILD, "tests", "fuzz", "fuzz_" + target)


def corpus(target):
    return os.path.join(CORPUS, target)


def environment(profile=os.devnull):
    return dict(os.environ, LLVM_PROFILE_FILE=profile, ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
                UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1")


def options(target):
    return [f"-max_len={LENGTH_MAX.get(target, 2048)}", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=1",
            f"-artifact_prefix={FAILURES}/{target}-"]


def fuzz(target, seconds, found):
    """True when nothing failed."""
    process = subprocess.run([program(target), *options(target), f"-max_total_time={seconds}", "-print_final_stats=1",
                              found, corpus(target)], env=environment(), capture_output=True, text=True, errors="replace",
                             timeout=seconds + 120)
    runs = re.search(r"number_of_executed_units: (\d+)", process.stderr)
    if process.returncode == 0 and runs:
        print(f"{target:13s} {int(runs[1]):9d} runs in {seconds} s, nothing found", flush=True)
        return True
    print(f"{target:13s} FAILED, exit {process.returncode}\n{process.stderr[-6000:]}", flush=True)
    return False


def grow(target, found):
    """The smallest set of inputs that reaches what the corpus and the new ones do takes the corpus's place."""
    with tempfile.TemporaryDirectory() as smallest:
        subprocess.run([program(target), *options(target), "-merge=1", smallest, corpus(target), found], env=environment(),
                       check=True, capture_output=True)
        shutil.rmtree(corpus(target))
        shutil.copytree(smallest, corpus(target))


def measure(target, directory):
    """[(file, lines reached, lines)] of the target's parsers, from one run of the committed corpus."""
    raw, merged = (os.path.join(directory, target + suffix) for suffix in (".profraw", ".profdata"))
    inputs = [os.path.join(corpus(target), name) for name in sorted(os.listdir(corpus(target)))]
    run = subprocess.run([program(target), *options(target), *inputs], env=environment(raw), capture_output=True, text=True,
                         errors="replace")
    if run.returncode != 0:
        sys.exit(f"tests/fuzz/run: {target}: an input of the corpus fails:\n{run.stderr[-6000:]}")
    subprocess.run(["llvm-profdata-14", "merge", "-o", merged, raw], check=True)
    sources = [os.path.join(ROOT, name) for name in PARSERS[target]]
    exported = subprocess.run(["llvm-cov-14", "export", "-summary-only", f"-instr-profile={merged}", program(target), *sources],
                              check=True, capture_output=True, text=True)
    files = {os.path.relpath(entry["filename"], ROOT): entry["summary"]["lines"]
             for entry in json.loads(exported.stdout)["data"][0]["files"]}
    return [(name, files[name]["covered"], files[name]["count"]) for name in PARSERS[target]]


def coverage(targets):
    """Prints the table; true when every parser is reached far enough."""
    good = True
    with tempfile.TemporaryDirectory() as directory:
        print("\nlines that the committed corpus reaches")
        for target in targets:
            for name, covered, count in measure(target, directory):
                enough = covered >= COVERED * count
                good = good and enough
                print(f"{target:13s} {name:30s} {covered:4d} of {count:4d}  {100 * covered / count:5.1f} %"
                      f"{'' if enough else f'  FAILED: less than {100 * COVERED:.0f} %'}")
    return good


def main():
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="for each target (10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at the same time (one per core)")
    parser.add_argument("--grow", action="store_true", help="add what was found to the corpus")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(PARSERS))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.targets if name not in PARSERS]
    if unknown:
        parser.error(f"no target '{unknown[0]}'; there are: {', '.join(PARSERS)}")
    targets = arguments.targets or list(PARSERS)
    build(targets)
    os.makedirs(FAILURES, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        found = {target: os.path.join(directory, target) for target in targets}
        for path in found.values():
            os.mkdir(path)
        good = all(list(pool.map(lambda target: fuzz(target, arguments.seconds, found[target]), targets)))
        if arguments.grow and good:
            for target in targets:
                grow(target, found[target])
    if not coverage(targets) or not good:
        sys.exit(1)
    print(f"{len(targets)} targets: nothing found, every parser's lines reached to {100 * COVERED:.0f} % and more")


if __name__ == "__main__":
    main()
