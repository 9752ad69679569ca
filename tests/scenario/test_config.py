"""The configuration file: what --check says of mistakes, options over the file, and sites by host name."""
import re

import pytest

from harness.node import ROOT, run
from harness.origin import Origin

SITE = "sites:\n- name: www\n  hosts: [www.example]\n  origin: {url: http://127.0.0.1:9}\n"


@pytest.fixture
def check(tmp_path):
    """Writes a file and checks it: the exit code, and the lines without the file's name."""
    def check(text, *options):
        path = tmp_path / "node.yaml"
        path.write_bytes(text.encode())
        done = run("--config", path, "--check", *options)
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert all(line.startswith(f"{path}:") for line in lines), lines
        return done.returncode, [line[len(str(path)) + 1:] for line in lines]
    return check


def test_a_right_file_is_told_so(check):
    assert check(SITE) == (0, [" nothing is wrong"])


@pytest.mark.setting("--sample")
def test_the_sample_is_right_and_is_what_the_table_makes():
    sample = ROOT / "conf" / "selvedge.yaml"
    assert run("--config", sample, "--check").returncode == 0
    assert run("--sample").stdout == sample.read_text()


def test_every_setting_is_in_the_sample():
    sample = (ROOT / "conf" / "selvedge.yaml").read_text()
    names = [line for line in run("--explain").stdout.splitlines() if line and not line.startswith(" ")]
    assert len(names) > 20
    for name in names:
        for word in name.replace("[]", "").split("."):
            assert f"{word}:" in sample, name


def test_what_the_conformance_suite_is_run_with_is_in_the_sample_too():
    """Nothing but settings that the sample explains."""
    path = ROOT / "tests" / "conformance" / "selvedge.yaml"
    assert run("--config", path, "--check").returncode == 0
    sample, settings = (ROOT / "conf" / "selvedge.yaml").read_text(), re.sub("#.*", "", path.read_text())
    names = re.findall(r"\b([a-z_]+): ", settings + " ")
    assert {"name", "origin", "url", "request_fields"} <= set(names)
    assert [name for name in names if f"{name}:" not in sample] == []


@pytest.mark.setting("--check")
@pytest.mark.parametrize("text, said", [
    ("memroy: {size: 64M}\n" + SITE, "1:1: 'memroy' is not a key; allowed are "),
    ("memory: {sise: 64M}\n" + SITE,
     "1:10: 'sise' is not a key of memory; allowed are size, max_object; did you mean size?"),
    ("memory: {connect_timeout: 1}\n" + SITE, "did you mean sites[].origin.connect_timeout?"),
    ("workers: 1\nworkers: 2\n" + SITE, "2:1: workers is given twice, first in line 1; each key is allowed once"),
    ("workers: [1]\n" + SITE, "1:10: workers is a list; allowed is a single value: a count is a whole number"),
    ("workers:\n" + SITE, "1:9: workers has no value; allowed is a single value: a count"),
    ("state_dir: \"a\\0b\"\n" + SITE, "1:12: state_dir holds a zero byte; allowed is a single value: a path"),
    ("memory: 64M\n" + SITE, "1:9: memory is a single value; allowed is a group of keys"),
    ("listen: http://127.0.0.1:1\n" + SITE, "1:9: listen is a single value; allowed is a list, each item behind a dash"),
    ("listen: [1]\n" + SITE, "1:10: listen[].url 1: "),
    ("listen: [[http://127.0.0.1:1]]\n" + SITE, "1:10: an item of listen is a list; allowed is a group of keys"),
    ("listen: [~]\n" + SITE, "1:10: an item of listen is empty; allowed is a group of keys"),
    ("listen: [{proxy_protocol: on}]\n" + SITE, "1:10: listen[].url is missing; each item of listen has one: an address"),
    ("listen: [{url: http://127.0.0.1:1, proxy_protocol: v2}]\n" + SITE,
     "1:52: listen[].proxy_protocol v2: not a word that it knows; allowed is off or on"),
    ("listen: [" + ", ".join(f"http://127.0.0.1:{port}" for port in range(1, 18)) + "]\n" + SITE,
     "listen has one item too many; at most 16 are allowed"),
    ("? [a]\n: 1\n" + SITE, "1:3: a key is a list; allowed is a word"),
    ("- 1\n", "1:1: the file is a list; allowed is a group of keys"),
    ("workers: 0\n" + SITE, "1:10: workers 0: too small; allowed is 1 to 256"),
    ("memory:\n  size: 12Q\n" + SITE, "2:9: memory.size 12Q: 'Q' is not a unit; a size is a number with an optional K, M or G"),
    (SITE + "  request_fields: alll\n", "5:19: sites[].request_fields alll: not a word that it knows; allowed is safe or all; "
                                        "did you mean all?"),
    (SITE.replace("www.example", "'www.example:80'"), "3:11: sites[].hosts www.example:80: not a host name; "),
    (SITE.replace("[www.example]", "www.example"), "3:10: sites[].hosts is no list; allowed is a list with at least one value"),
    (SITE.replace("[www.example]", "[]"), "3:10: sites[].hosts is empty; allowed is a list with at least one value"),
    (SITE.replace("www\n", "'w w'\n"), "2:9: sites[].name w w: not a name; a name is 1 to 64 letters"),
    (SITE + SITE[7:].replace("name: www", "name: b"),
     "6:11: sites[].hosts www.example: the host is already that of sites[0]; each belongs to one site"),
    (SITE + SITE[7:].replace("www.example", "b.example"), "5:9: sites[].name www: another site has this name; each needs one"),
    (SITE.replace("  hosts: [www.example]\n", ""), "2:3: sites[].hosts is missing; each item of sites has one: "),
    ("certificates:\n- {cert: c}\n" + SITE, "2:3: certificates[].key is missing; each item of certificates has one: a path"),
    ("disk: 500G\n" + SITE, "1:7: disk is a single value; allowed is a list, each item behind a dash"),
    ("disk: [{path: /d}]\n" + SITE, "1:8: disk[].size is missing; each item of disk has one: a size is a number with an"),
    ("disk: [{size: 1G}]\n" + SITE, "1:8: disk[].path is missing; each item of disk has one: a path; with its size, as "
                                    "PATH:SIZE, where both are one value, such as /var/cache/selvedge:500G"),
    ("disk: [{path: '', size: 1G}]\n" + SITE, "1:15: disk[].path '': is empty; give a path; with its size, as PATH:SIZE"),
    ("disk: [{path: /d, size: 1M}]\n" + SITE, "1:25: disk[].size 1M: too small; allowed is 64M to 30720G"),
    ("disk: ['/d:1G', {path: /d/, size: 1G}]\n" + SITE,
     "1:24: disk[].path /d/: another disk has this path; each needs a directory of its own"),
    ("disk: [/d]\n" + SITE, "1:8: disk[].path /d: the size is missing; give PATH:SIZE, such as /var/cache/selvedge:500G"),
    ("disk: [[/d]]\n" + SITE, "1:8: an item of disk is a list; allowed is a group of keys"),
    ("disk: [" + ", ".join(f"'/d{disk}:1G'" for disk in range(17)) + "]\n" + SITE,
     "disk has one item too many; at most 16 are allowed"),
    ("disk: ['/d:30000G', '/e:721G']\n" + SITE,
     "1:21: disk[].path: the sizes of all disks add up to 30721G; allowed are at most 30720G"),
    ("disk_wipe: maybe\n" + SITE, "1:12: disk_wipe maybe: not a word that it knows; allowed is off or on"),
    ("workers: 1\n", "1:1: sites is missing; give at least one, with name, hosts and origin"),
    ("a: b: c\n", "1:5: not YAML: mapping values are not allowed in this context; allowed is YAML 1.1 in UTF-8"),
    (SITE + "---\nworkers: 1\n", "6:1: a second document begins; allowed is one"),
    ("x: " + "[" * 100 + "]" * 100 + "\n", "1:68: brackets nest too deep; allowed are 64 within each other"),
    ("memory: {size: 16M, max_object: 9M}\n" + SITE,
     "1:33: memory.max_object 9M: one such object would push out most others; allowed is at most half of memory.size, here 8M"),
    ("admin: {token: a, token_file: b}\n" + SITE,
     "1:16: admin.token and admin.token_file: there is only one token; give one of the two"),
    ("listen: [{url: http://127.0.0.1:8081}]\n" + SITE, "admin.url http://127.0.0.1:8081: clients connect at the same address"),
    ("listen: [{url: http://127.0.0.1:1}, {url: http://127.0.0.1:1}]\n" + SITE,
     "1:43: listen[].url http://127.0.0.1:1: the address is already that of http://127.0.0.1:1; each can be given once"),
])
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(check, text, said):
    code, lines = check(text)
    assert code == 1
    assert len(lines) == 1 and said in lines[0], lines


def test_host_names_without_end_are_told(check):
    code, lines = check(SITE.replace("www.example", ", ".join(f"h{number}" for number in range(4097))))
    assert code == 1 and len(lines) == 1
    assert lines[0].endswith("sites[].hosts h4096: one too many; at most 4096 host names are allowed in all")


def test_certificates_without_end_are_told(check):
    code, lines = check("certificates:\n" + "- {cert: c, key: k}\n" * 1025 + SITE)
    assert code == 1 and lines == ["1026:3: certificates has one item too many; at most 1024 are allowed"]


def test_a_file_that_is_too_large_is_told(check):
    code, lines = check("#" * (1 << 20) + "\n")
    assert code == 1 and lines == ["1:1: the file is larger than 1048576 bytes; allowed are at most so many"]


def test_every_mistake_is_told_in_the_order_of_the_file(check):
    code, lines = check("workers: 0\nmemroy: 1\nlisten: 7\n" + SITE)
    assert code == 1 and [line.split(":")[0] for line in lines] == ["1", "2", "3"]


def test_a_token_is_in_no_message(check):
    code, lines = check("admin: {token: 's3cret=x'}\n" + SITE)
    assert code == 1 and "s3cret" not in lines[0] and "the token given is not one" in lines[0]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    done = run("--config", tmp_path / "none.yaml", "--check")
    assert done.returncode == 1
    assert done.stdout.endswith("/none.yaml: the file cannot be read: No such file or directory; --config names a file\n")
    done = run("--config", tmp_path / "none.yaml")
    assert done.returncode == 2 and "cannot be read" in done.stderr
    assert "the value is missing" in run("--config").stderr


def test_what_the_named_files_hold_is_checked_too(tmp_path):
    """As they are now: what a start would find wrong with them."""
    path, token = tmp_path / "node.yaml", tmp_path / "token"
    path.write_text(f"admin: {{token_file: {token}}}\n{SITE}")

    def check(*options):
        done = run("--config", path, "--check", *options)
        return done.returncode, done.stdout
    assert check() == (1, f"{token} cannot be read: No such file or directory\n")
    token.write_text("a-secret-of-some-length-0123456789\n")
    assert check() == (0, f"{path}: nothing is wrong\n")
    assert check("--ca-file", tmp_path / "none.pem") == (1, f"--ca-file {tmp_path / 'none.pem'}: cannot be read: No such file or directory\n")
    assert sorted(tmp_path.iterdir()) == [path, token], "a check makes nothing"


def test_a_node_with_a_wrong_file_does_not_start_and_says_the_first_mistake(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text("workers: 0\nmemroy: 1\n" + SITE)
    done = run("--config", path)
    assert done.returncode == 2 and done.stdout == ""
    assert f"{path}:1:10: workers 0: too small; allowed is 1 to 256 (and 1 more mistakes: --check shows them all)" in done.stderr


# ---- a node of two sites

@pytest.fixture
def shop(start_node):
    """The second site's origin."""
    origin = Origin()
    yield origin
    origin.close()
    assert not origin.failures, origin.failures


@pytest.fixture
def two_sites(start_node, origin, shop, tmp_path):
    for each, body in (origin, b"www"), (shop, b"shop"):
        each.serve("/a", body, **{"Cache-Control": "max-age=60"})
    path = tmp_path / "node.yaml"
    path.write_text(f"""
memory: {{size: 32M}}
sites:
- name: www
  hosts: [www.example, WWW2.example, '[::1]']
  origin: {{url: '{origin.url}'}}
- name: shop
  hosts: [shop.example]
  forwarded_proto: http
  request_fields: all
  origin: {{url: '{shop.url}', host: inner.example, first_byte_timeout: 0.3}}
""")
    return start_node(config=path)


def ask(node, host, target="/a", **more):
    return node.settle(node.request(target, host=host, **more))


@pytest.mark.setting("--config", "sites[].hosts", "sites[].origin.url")
def test_each_host_has_its_site_and_hosts_of_one_site_are_aliases(two_sites, origin, shop):
    assert ask(two_sites, "www.example").body == b"www"
    assert ask(two_sites, "shop.example").body == b"shop"
    for alias in "WWW.EXAMPLE", "www2.example:8443", "www.example.", "[::1]", "[0::1]:80":
        answer = ask(two_sites, alias)
        assert answer.body == b"www" and answer.cache["hit"], alias
    assert origin.count("/a") == shop.count("/a") == 1
    two_sites.wait_metric("selvedge_requests_total", 6, site="www")
    assert two_sites.metric("selvedge_origin_requests_total", site="shop") == 1


def test_a_site_asks_its_origin_in_its_own_way(two_sites, origin, shop):
    for host in "www.example", "shop.example":
        ask(two_sites, host, fields=[("X-Mine", "1")])
    [www], [other] = origin.asked("/a"), shop.asked("/a")
    assert www.get("host") == origin.url[7:] and other.get("host") == "inner.example"
    assert www.get("x-forwarded-proto") == "https" and other.get("x-forwarded-proto") == "http"
    assert www.get("x-mine") is None and other.get("x-mine") == "1"
    shop.on("/late", lambda request, response: response.gone())
    assert ask(two_sites, "shop.example", "/late").status == 504


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_an_unknown_host_is_misdirected(two_sites, origin, shop, protocol):
    client = two_sites.h1() if protocol == "h1" else two_sites.h2()
    answer = client.request("/a", host="other.example")
    assert answer.status == 421 and b"No site here" in answer.body
    assert origin.count() == shop.count() == 0
    two_sites.wait_metric("selvedge_guard_stopped_total", 1, reason="unknown_host")
    two_sites.wait_metric("selvedge_requests_total", 1, site="", outcome="error")


@pytest.mark.setting("sites[].name")
def test_a_purge_finds_the_site_by_host_and_by_name(two_sites, origin, shop):
    for host in "www.example", "shop.example":
        ask(two_sites, host)
    two_sites.purge(urls=["https://WWW2.example:1234/a"])
    assert not ask(two_sites, "www.example").cache.get("hit") and ask(two_sites, "shop.example").cache["hit"]
    two_sites.purge(site="shop")
    assert not ask(two_sites, "shop.example").cache.get("hit") and ask(two_sites, "www.example").cache["hit"]
    wrong = two_sites.admin("POST", "/v1/purge", {"urls": ["http://other.example/a"]})
    assert wrong.status == 400 and "has a host that no site here has" in wrong.json["error"]["message"]
    wrong = two_sites.admin("POST", "/v1/purge", {"site": "nope"})
    assert wrong.status == 400 and "there is www, shop" in wrong.json["error"]["message"]


def test_options_win_over_the_file(two_sites, origin, start_node, tmp_path):
    """DEFAULTS of the harness are options: memory is 64M, though the file says 32M."""
    assert two_sites.metric("selvedge_memory_limit_bytes") == 64 << 20
    path = tmp_path / "node.yaml"
    plain = start_node(config=path, memory=None)
    assert plain.metric("selvedge_memory_limit_bytes") == 32 << 20
    only = start_node(origin, config=path)
    assert ask(only, "any.example").body == b"www"
    late = start_node(config=path, forward="all")
    ask(late, "www.example", fields=[("X-Mine", "1")])
    assert origin.asked("/a")[-1].get("x-mine") == "1"
