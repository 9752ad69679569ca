"""selvedgectl cache: what a node has left in a directory, as it is read without one."""
import json
import os
import pty
import shutil
import subprocess

import pytest
from test_partial import MIB, Large

from harness.message import noise
from harness.node import SELVEDGECTL, environment, run
from harness.waiting import until

SMALL, BLOCKS = noise(1234, "small"), noise(900_000, "blocks")


@pytest.fixture
def origin_pages(origin):
    origin.serve("/small", SMALL, cache_control="max-age=600", etag='"s"', content_type="text/css")
    origin.serve("/blocks", BLOCKS, cache_control="max-age=600")
    origin.serve("/old", b"old", cache_control="max-age=0", etag='"o"')
    origin.serve("/purged", b"purged", cache_control="max-age=600")
    origin.serve("/soft", b"soft", cache_control="max-age=600")
    origin.on("/v", lambda request, response: response.send(
        200, {"Cache-Control": "max-age=600", "Vary": "Accept-Language"}, request.get("accept-language", "none").encode()))
    return Large(origin, "/large", 2 * MIB + 77)


@pytest.fixture
def start(start_node, origin, tmp_path):
    return lambda **more: start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=None, disk_admission="always",
                                     max_object="1M", **more)


def await_disk(node):
    """Until it takes records, which it may not yet do when the node is ready."""
    until(lambda: node.get("/small").status == 200 and node.metric("selvedge_disk_records") == 1, "it is written")


def fill(node, large):
    await_disk(node)
    for target in "/blocks", "/old", "/purged", "/soft":
        assert node.get(target).status == 200
    for language in "de", "fr":
        node.get("/v", {"Accept-Language": language})
    for first in 0, 0, MIB, 2 * MIB:  # the first answer tells how it can be kept
        assert node.get("/large", {"Range": f"bytes={first}-{first + 9}"}).status == 206
    # five, two variants and their node, a sparse head and its three pieces
    node.wait_metric("selvedge_disk_records", 12)
    node.purge(urls=[node.url("/purged")])
    node.purge(urls=[node.url("/soft")], soft=True)


@pytest.fixture
def directory(start, origin_pages, tmp_path):
    """Of a node that has been and is gone."""
    node = start()
    fill(node, origin_pages)
    node.stop()
    return tmp_path / "disk"


def cache(*words, dir, **more):
    return run("cache", *words, "--dir", dir, binary=SELVEDGECTL, **more)


def lines_of(*words, **more):
    done = cache("ls", "--json", *words, **more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def dump(*words, dir):
    """The exit code, the head, the body, and what was said."""
    done = subprocess.run([SELVEDGECTL, "cache", "dump", *words, "--dir", dir], capture_output=True, env=environment(), timeout=20)
    head, _, body = done.stdout.partition(b"\n\n")
    return done.returncode, head.decode().split("\n"), body, done.stderr.decode()


# ---- ls and stat


def test_ls_lists_what_a_node_would_find(directory):
    listed = {(line["target"], line["kind"], line.get("first_byte")): line for line in lines_of(dir=directory)}
    assert {key[:2] for key in listed} == {
        ("/small", "whole"), ("/blocks", "whole"), ("/old", "whole"), ("/purged", "whole"), ("/soft", "whole"), ("/v", "variant"),
        ("/large", "sparse"), ("/large", "piece")}
    assert {first for target, kind, first in listed if kind == "piece"} == {0, MIB, 2 * MIB}
    small = listed["/small", "whole", None]
    assert (small["site"], small["status"], small["bytes"], small["lifetime_s"]) == ("default", 200, len(SMALL), 600)
    assert 0 <= small["age_s"] < 60 and small["stamp"] == 0
    states = {target: line["state"] for (target, _, _), line in listed.items()}
    assert states == {"/small": "fresh", "/blocks": "fresh", "/old": "stale", "/purged": "purged", "/soft": "stale", "/v": "fresh",
                      "/large": "fresh"}
    assert listed["/large", "sparse", None]["bytes"] == 2 * MIB + 77
    assert listed["/large", "piece", 2 * MIB]["bytes"] == 77


def test_ls_is_a_table_for_people(directory):
    done = cache("ls", dir=directory)
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["STATUS", "BYTES", "AGE", "STATE", "STAMP", "KIND", "SITE", "TARGET"]
    assert len(lines) == 11 and all(line[head.index("SITE"):].startswith("default ") for line in lines)
    assert all(line[head.index("TARGET")] == "/" for line in lines)


def test_what_was_replaced_or_taken_back_is_not_listed(start, origin, tmp_path):
    origin.serve("/a", b"old", cache_control="max-age=600")
    origin.serve("/b", b"other", cache_control="max-age=600")
    node = start()
    for target in "/a", "/b":
        until(lambda: node.get(target).status == 200 and node.metric("selvedge_disk_records") == 1 + (target == "/b"), "it is written")
    origin.serve("/a", b"newer", cache_control="max-age=600")
    node.purge(urls=[node.url("/a")])
    node.get("/a")
    node.wait_metric("selvedge_disk_admitted_total", 3)
    node.request("/b", method="POST", body=b"x")
    node.stop()
    assert [(line["target"], line["bytes"], line["stamp"]) for line in lines_of(dir=tmp_path / "disk")] == [("/a", 5, 1)]
    stat = json.loads(cache("stat", "--json", dir=tmp_path / "disk").stdout)
    assert stat["outdated"] == 2 and stat["taken_back"] >= 1 and stat["kinds"]["whole"] == {"records": 1, "bytes": 5}


def test_stat_counts(directory):
    stat = json.loads(cache("stat", "--json", dir=directory).stdout)
    assert {kind: count["records"] for kind, count in stat["kinds"].items()} == \
        {"whole": 5, "variants": 2, "sparse": 1, "pieces": 3, "nodes": 1}
    assert stat["kinds"]["pieces"]["bytes"] == 2 * MIB + 77
    assert (stat["fresh"], stat["stale"], stat["purged"]) == (8, 2, 1)
    assert stat["directory"] == str(directory) and stat["in_use"] is False and stat["damaged"] == 0
    assert stat["node"] == (directory / "state/identity").read_text().strip()
    assert stat["file_bytes"] == sum(path.stat().st_size for path in directory.glob("segment-*"))
    assert stat["segments"] == len(list(directory.glob("segment-*")))
    assert stat["oldest"] <= stat["newest"] <= stat["oldest"] + 60
    told = cache("stat", dir=directory).stdout
    assert "pieces   3, 2097229 bytes\n" in told and "states     8 fresh, 2 stale, 1 purged\n" in told


def test_without_the_journal_it_says_that_purges_are_not_known(directory, tmp_path):
    (directory / "state").rename(tmp_path / "elsewhere")
    done = cache("ls", dir=directory)
    assert done.returncode == 0 and "/state: No such file or directory; what was purged is not known: --state-dir" in done.stderr
    assert "purged  " not in done.stdout
    state = {line["target"]: line["state"] for line in lines_of("--state-dir", tmp_path / "elsewhere", dir=directory)}
    assert state["/purged"] == "purged" and state["/soft"] == "stale"


def test_nothing_is_changed_and_a_copy_will_do(directory, tmp_path):
    def content(path):
        return {file.relative_to(path): (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()}
    shutil.copytree(directory, tmp_path / "copy")
    for path in [tmp_path / "copy", *(tmp_path / "copy").rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = content(tmp_path / "copy")
    for words in ("ls",), ("stat",), ("verify",), ("dump", "default/old"):
        assert cache(*words, dir=tmp_path / "copy").returncode == 0
    assert content(tmp_path / "copy") == before
    for path in (tmp_path / "copy").rglob("*"):
        path.chmod(0o700)


def test_of_a_node_that_runs(start, origin_pages, tmp_path):
    node = start()
    fill(node, origin_pages)
    done = cache("ls", dir=tmp_path / "disk")
    assert done.returncode == 0 and f"{tmp_path}/disk is in use by a node" in done.stderr
    assert done.stdout.count("\n") == 12
    assert cache("verify", dir=tmp_path / "disk").returncode == 0
    assert node.get("/small").body == SMALL


# ---- verify


def test_all_is_whole(directory):
    done = cache("verify", dir=directory)
    assert (done.returncode, done.stderr) == (0, "")
    bodies = len(SMALL) + len(BLOCKS) + len("old" + "purged" + "soft" + "defr") + 2 * MIB + 77
    outdated = json.loads(cache("stat", "--json", dir=directory).stdout)["outdated"]
    assert done.stdout == f"{12 + outdated} records with {bodies} bytes of bodies are whole\n"
    assert json.loads(cache("verify", "--json", dir=directory).stdout) == {
        "records": 12 + outdated, "bytes": bodies, "faults": 0, "told": []}


def places(directory, target, kind="whole"):
    """Where its record stands: the file, and the offset in it."""
    [line] = [line for line in lines_of(dir=directory) if line["target"] == target and line["kind"] == kind]
    return directory / f"segment-{line['segment']:05}", line["offset"]


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("behind, said", [(1024, "its body is damaged: default /blocks"), (600_000, "its body is damaged: default /blocks"),
                                          (200, "its metadata is damaged")])
def test_a_flipped_byte_is_found(directory, behind, said):
    path, offset = places(directory, "/blocks")
    flip(path, offset + behind)
    done = cache("verify", dir=directory)
    assert done.returncode == 1 and f"{path} at {offset}: {said}\n" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("are whole; 1 fault")
    flip(path, offset + behind)
    assert cache("verify", dir=directory).returncode == 0


def test_a_damaged_header_hides_what_stands_behind_it(directory):
    path, offset = places(directory, "/blocks")
    flip(path, offset + 3)
    done = cache("verify", "--json", dir=directory)
    [fault] = json.loads(done.stdout)["told"]
    assert done.returncode == 1 and fault == {"directory": str(directory), "segment": 0, "offset": offset,
                                              "what": "a record is damaged, and others stand behind it"}


def test_a_damaged_segment_header(directory):
    flip(directory / "segment-00000", 20)
    done = cache("verify", dir=directory)
    assert done.returncode == 1 and "segment-00000 at 0: its header is damaged\n" in done.stdout
    assert lines_of(dir=directory) == []


def test_a_bar_is_shown_to_who_looks_on(directory):
    controller, terminal = pty.openpty()
    done = subprocess.run([SELVEDGECTL, "cache", "verify", "--dir", directory], stdout=subprocess.PIPE, stderr=terminal,
                          env=environment(), timeout=20)
    os.close(terminal)
    seen = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert done.returncode == 0 and b"\r" not in done.stdout
    assert "[" + "#" * 40 + "] 100 %" in seen and seen.endswith("\r\x1b[K")


# ---- dump


def test_dump_is_what_clients_get(directory):
    for key in "http://localhost/small", "https://any.example:8443/./small", "default/small":
        code, head, body, said = dump(key, dir=directory)
        assert (code, said) == (0, "") and body == SMALL
        assert head[0] == "HTTP/1.1 200 OK"
        assert {'etag: "s"', "content-type: text/css", "cache-control: max-age=600", f"content-length: {len(SMALL)}"} < set(head)
        assert any(line.startswith("age: ") for line in head)
    assert dump("default/blocks", dir=directory)[2] == BLOCKS


def test_dump_puts_pieces_together(directory, origin_pages):
    code, head, body, _ = dump("default/large", dir=directory)
    assert code == 0 and body == origin_pages.body and f"content-length: {len(body)}" in head


def test_dump_of_what_is_not_all_there(start, origin_pages, tmp_path):
    node = start()
    await_disk(node)
    for _ in range(2):
        node.get("/large", {"Range": f"bytes={MIB}-{MIB + 9}"})
    node.wait_metric("selvedge_disk_records", 3)
    node.stop()
    code, head, _, said = dump("default/large", dir=tmp_path / "disk")
    assert code == 1 and head == [""]
    assert "it is kept in pieces, and that from byte 0 is not there: a node would ask the origin for it" in said


def test_dump_of_a_variant(directory):
    assert dump("default/v", "--header", "Accept-Language: fr", dir=directory)[2] == b"fr"
    code, _, _, said = dump("default/v", "--header", "Accept-Language: sv", dir=directory)
    assert code == 1 and "there are variants of it, and none for this request; see --header" in said


def test_dump_judges(directory):
    code, head, _, said = dump("default/purged", dir=directory)
    assert (code, head) == (1, [""]) and "it was purged: a node would not serve it" in said
    for target in "soft", "old":
        code, _, body, said = dump(f"default/{target}", dir=directory)
        assert (code, body) == (0, target.encode()) and "it is stale: a node would ask the origin" in said
    code, head, _, said = dump("default/none", dir=directory)
    assert (code, head) == (1, [""]) and "default/none: it is not there" in said


def test_dump_of_a_damaged_one_serves_nothing(directory):
    path, offset = places(directory, "/blocks")
    flip(path, offset + 700_000)
    code, head, _, said = dump("default/blocks", dir=directory)
    assert (code, head) == (1, [""]) and "default/blocks: it is damaged" in said


def test_dump_of_a_url_that_two_sites_have(start_node, origin, tmp_path):
    sites = "".join(f"- {{name: {name}, hosts: [{name}.example], origin: {{url: '{origin.url}', host: of.{name}}}}}\n" for name in "ab")
    (tmp_path / "node.yaml").write_text("sites:\n" + sites)
    origin.on("/x", lambda request, response: response.send(200, {"Cache-Control": "max-age=60"}, request.get("host").replace(".", " ").encode()))
    node = start_node(config=tmp_path / "node.yaml", disk=f"{tmp_path}/disk:64M", disk_admission="always", state_dir=None)
    for number, name in (1, "a"), (2, "b"):
        until(lambda: node.get("/x", host=f"{name}.example").status == 200 and node.metric("selvedge_disk_records") == number, "written")
    node.stop()
    code, _, _, said = dump("http://b.example/x", dir=tmp_path / "disk")
    assert code == 1 and "have it; name one with --site" in said
    for name in "a", "b":
        assert dump("http://b.example/x", "--site", name, dir=tmp_path / "disk")[2] == f"of {name}".encode()
        assert dump(f"{name}/x", dir=tmp_path / "disk")[2] == f"of {name}".encode()


# ---- What cannot be


@pytest.mark.parametrize("words, said", [
    (("cache",), "cache is followed by one of ls, stat, verify and dump"),
    (("cache", "list", "--dir", "/d"), "cache is followed by one of ls, stat, verify and dump"),
    (("cache", "ls"), "cache needs --dir DIR, the path of a disk"),
    (("cache", "ls", "x", "--dir", "/d"), "cache dump takes one key, and ls, stat and verify take none"),
    (("cache", "dump", "--dir", "/d"), "cache dump takes one key, and ls, stat and verify take none"),
    (("cache", "ls", "--soft", "--dir", "/d"), "cache takes none of the options of purge"),
    (("cache", "ls", "--site", "a", "--dir", "/d"), "--site and --header are for cache dump alone"),
    (("cache", "ls", *(word for number in range(17) for word in ("--dir", f"/{number}"))), "/16: one too many; at most 16 are taken"),
])
def test_wrong_usage_is_told(words, said):
    done = run(*words, binary=SELVEDGECTL)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"selvedgectl: {said}; see selvedgectl --help\n"


@pytest.mark.parametrize("key, said", [("nothing", "nothing is no key"), ("/a", "/a is no key"),
                                       ("http://a b/", "http://a b/ has a host that is neither"), ("a/%zz", "a/%zz holds a `%`")])
def test_wrong_keys_are_told(directory, key, said):
    done = cache("dump", key, dir=directory)
    assert done.returncode == 2 and f"selvedgectl: {said}" in done.stderr
    assert "; a key is a URL, such as https://www.example.com/app.css, or SITE/PATH" in done.stderr


def test_a_wrong_field_is_told(directory):
    done = cache("dump", "default/v", "--header", "language", dir=directory)
    assert done.returncode == 2 and "--header language: not a field, such as 'Accept-Language: de'" in done.stderr


def test_what_is_no_directory_of_a_node_is_told(directory, tmp_path):
    (tmp_path / "empty").mkdir()
    rows = [(tmp_path / "none", "cannot be opened: No such file or directory"),
            (tmp_path / "empty", "is no directory of the disk tier: there is no file `directory` in it")]
    for path, said in rows:
        done = cache("ls", dir=path)
        assert (done.returncode, done.stderr) == (1, f"selvedgectl: {path} {said}\n")
    flip(directory / "directory", 60)
    assert "is damaged: its file `directory` cannot be read as one" in cache("ls", dir=directory).stderr
    flip(directory / "directory", 60)
    flip(directory / "directory", 8)
    assert "has another format: it was made by another version of Selvedge" in cache("ls", dir=directory).stderr
    assert json.loads(cache("ls", "--json", dir=directory).stdout)["error"]["code"] == "no_directory"


def test_help():
    done = run("cache", "--help", binary=SELVEDGECTL)
    assert done.returncode == 0 and done.stdout.startswith("Usage: selvedgectl cache ls --dir DIR...\n")
    assert "selvedgectl cache ls|stat|verify|dump KEY --dir DIR" in run("--help", binary=SELVEDGECTL).stdout
