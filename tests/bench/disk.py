"""What the disk tier costs, part by part.

index   10 million records in the RAM index: its bytes for each record, and how long a look-up of a random name takes:
        the median over batches of 64, of names that are there and of names that are not (disk_index.c).
start   from a directory with 10 million records to all of them indexed, footers in the page cache: the median of three starts
        (disk_start.c). The directory is made in $TMPDIR, of files that are holes but for 240 MB.

Each part runs its program and compares what that prints with the limits. Bytes are the same on each machine; time is not.

Exit: 0 within the limits, 1 over one of them, 2 wrong usage or a run that could not be made.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORDS = 10_000_000
DISK_GIB = 320  # for records of 32 KiB
CI_SLACK = 1.5  # of times alone: a shared machine's noise is not a reason to stop a change; a real step is


class CannotMeasure(Exception):
    """The run could not be made; says why."""


class Limit(NamedTuple):
    name: str  # as the program prints it
    most: float
    unit: str
    is_time: bool


class Part(NamedTuple):
    program: str
    arguments: list
    limits: list


DIRECTORY = object()  # among the arguments: one that is to be made


def parts(records):
    return {
        "index": Part("disk_index", [records, max(DISK_GIB * records // RECORDS, 1)], [
            Limit("bytes_per_record", 24, "bytes of index for each record", False),
            Limit("resident_per_record", 24, "bytes that the process grew by for each", False),
            Limit("hit_ns", 300, "ns, median, to find a name that is there", True),
            Limit("miss_ns", 300, "ns, median, to find that one is not", True),
        ]),
        "start": Part("disk_start", [records, DIRECTORY], [
            Limit("start_s", 5, "s until all is indexed", True),
            Limit("cpu_s", 5, "s of these at work", True),
            Limit("bytes_per_record", 24, "bytes of index for each record then", False),
        ]),
    }


def measured(program, arguments):
    """What the program prints: {name: value}."""
    with tempfile.TemporaryDirectory(prefix="selvedge-disk-") as directory:
        command = [program] + [os.path.join(directory, "disk") if argument is DIRECTORY else str(argument) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMeasure(f"{program} ended with {done.returncode}: {done.stderr}")
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def judge(part, values, slack):
    """Prints each value beside its limit; how many are over it."""
    over = 0
    for limit in part.limits:
        value, most = values[limit.name], limit.most * (slack if limit.is_time else 1)
        over += value > most
        print(f"  {value:10.2f} {limit.unit} (limit {limit.most}){'   FAILED' if value > most else ''}")
    return over


def options():
    build = os.environ.get("SELVEDGE_BIN_DIR", os.path.join(ROOT, "build"))
    parser = argparse.ArgumentParser(prog="tests/bench/disk", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(parts(RECORDS))} (default: all)")
    parser.add_argument("--build", default=build, help="the build directory (default: $SELVEDGE_BIN_DIR, else build)")
    parser.add_argument("--records", type=int, default=RECORDS, help=f"default: {RECORDS}")
    parser.add_argument("--ci", action="store_true", help=f"times fail only past {CI_SLACK} times their limit")
    arguments = parser.parse_args()
    if arguments.records < 100_000:
        parser.error("--records is at least 100000")
    for part in arguments.part:
        if part not in parts(RECORDS):
            parser.error(f"there is no part {part}")
    return arguments


def main():
    arguments = options()
    known = parts(arguments.records)
    over, said = 0, []
    for name in arguments.part or known:
        part = known[name]
        print(f"{name}: {arguments.records} records", flush=True)
        values = measured(os.path.join(arguments.build, "tests/bench", part.program), part.arguments)
        over += judge(part, values, CI_SLACK if arguments.ci else 1)
        said += [f"{limit.name} {values[limit.name]:g}" for limit in part.limits if limit.is_time or name == "index"]
    print(("FAILED: " if over else "") + ", ".join(said))
    return 1 if over else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotMeasure, FileNotFoundError) as error:
        print(f"tests/bench/disk: {error}", file=sys.stderr)
        sys.exit(2)
