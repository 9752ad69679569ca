"""The command line: what it says of itself, and what it says of mistakes."""
import re

import pytest

from harness.node import run

PROMISED = {  # option: its default as --help must show it
    "--origin": "none", "--listen": "https://127.0.0.1:8443 and http://127.0.0.1:8080", "--admin": "http://127.0.0.1:8081",
    "--memory": "a quarter of RAM", "--workers": "one for each processor", "--cert": "self-signed", "--key": "",
    "--state-dir": "removed at exit", "--admin-token": "STATE/admin-token", "--admin-token-file": "",
    "--access-log": "off", "--forward": "safe", "--shutdown-timeout": "", "--connect-timeout": "5",
    "--first-byte-timeout": "30", "--between-bytes-timeout": "30", "--http2-reset-budget": "200", "--heartbeat-limit": "5",
    "--purge-method": "off", "--redirect-https": "off", "--hsts": "off", "--set-cookie": "bypass", "--request-directives": "ignore",
    "--targeted-fields": "selvedge-cache-control, cdn-cache-control", "--consumed-fields": "selvedge-cache-control, surrogate-control",
    "--max-connections": "10000", "--max-address-connections": "2000", "--max-address-connection-rate": "1000",
    "--max-address-request-rate": "0", "--idle-timeout": "60", "--header-timeout": "15", "--stall-timeout": "60",
    "--user": "the user who starts it", "--disk": "none", "--disk-admission": "second-hit", "--disk-wipe": "off",
}


@pytest.mark.setting("--help")
@pytest.mark.parametrize("option", PROMISED)
def test_help_tells_each_option_with_its_default(option):
    help = run("--help")
    assert help.returncode == 0 and help.stderr == ""
    entry = re.search(rf"^  {option} (.*?)(?=^  -|^\S|^$)", help.stdout, re.M | re.S)
    assert entry, f"{option} is missing"
    said = " ".join(entry[1].split())
    assert "Default:" in said and PROMISED[option] in said


@pytest.mark.setting("--explain")
def test_explain_tells_all_about_one_setting():
    by_option, by_name = run("--explain", "--memory"), run("--explain", "memory.size")
    assert by_option.returncode == 0 and by_option.stdout == by_name.stdout
    for word in ("memory.size", "--memory SIZE", "16M", "a quarter of RAM"):
        assert word in by_option.stdout


def test_explain_alone_tells_all_of_them():
    everything = run("--explain").stdout
    assert run("--explain", "--memory").stdout.strip() in everything
    assert all(option in everything for option in PROMISED)


ORIGIN = ("--origin", "http://a")
LISTENER = ("an address to listen on is http://ADDR:PORT or https://ADDR:PORT, with ADDR as 127.0.0.1, [::1] or localhost and "
            "port 0 for a free one")
AN_ORIGIN = "an origin is http://HOST[:PORT] or https://HOST[:PORT], without a path, such as http://127.0.0.1:8000"
A_SIZE = "a size is a number with an optional K, M or G (powers of 1024), such as 512M"
A_HOST = "a host is a name or an address, with :PORT where it is not the usual one, such as assets.example.com"
A_TOKEN = "a token is 1 to 512 letters, digits and - . _ ~ + / with = at the end only, as RFC 6750 has it"


@pytest.mark.parametrize("line, said", [
    ((), "--origin is missing: give the server that responses come from, such as --origin http://127.0.0.1:8000, or a file "
         "with --config"),
    (("--origin", "ftp://a"), f"--origin ftp://a: has a scheme other than http and https; {AN_ORIGIN}"),
    (("--origin", "http://a:70000"), f"--origin http://a:70000: has a port that is not a number from 0 to 65535; {AN_ORIGIN}"),
    (("--origin", "a"), f"--origin a: is neither http://host/path nor https://host/path; {AN_ORIGIN}"),
    (("--origin", "http://me@a"),
     f"--origin http://me@a: has a host that is neither a name nor an address, or has user information; {AN_ORIGIN}"),
    (("--origin", "http://a b"), f"--origin http://a b: has a host that is neither a name nor an address, or has user information; {AN_ORIGIN}"),
    (("--origin", "http://a:0"), f"--origin http://a:0: no server has port 0; {AN_ORIGIN}"),
    (("--origin", "http://a/path"), f"--origin http://a/path: '/path' is more than a server; {AN_ORIGIN}"),
    ((*ORIGIN, "--listen", "http://127.0.0.1"), f"--listen http://127.0.0.1: the port is missing; {LISTENER}"),
    ((*ORIGIN, "--listen", "http://nowhere.example:80"),
     f"--listen http://nowhere.example:80: 'nowhere.example' is not an address; {LISTENER}"),
    ((*ORIGIN, *(word for port in range(17) for word in ("--listen", f"http://127.0.0.1:{1000 + port}"))),
     "--listen http://127.0.0.1:1016: one too many; at most 16 addresses can be listened on"),
    ((*ORIGIN, "--listen", "http://127.0.0.1:8081"),
     "--admin http://127.0.0.1:8081: clients connect at the same address (--listen http://127.0.0.1:8081); give the purge API "
     "one of its own"),
    ((*ORIGIN, "--memory", "12Q"), f"--memory 12Q: 'Q' is not a unit; {A_SIZE}"),
    ((*ORIGIN, "--memory", "M"), f"--memory M: does not start with a number; {A_SIZE}"),
    ((*ORIGIN, "--memory", "1K"), "--memory 1K: too small; allowed is 16M to 65536G"),
    ((*ORIGIN, "--disk", "/d:63M"), "--disk /d:63M: too small; allowed is 64M to 30720G"),
    ((*ORIGIN, "--disk", "/d:30721G"), "--disk /d:30721G: too large; allowed is 64M to 30720G"),
    ((*ORIGIN, "--disk", "/d"), "--disk /d: the size is missing; give PATH:SIZE, such as /var/cache/selvedge:500G"),
    ((*ORIGIN, "--disk", ":1G"), "--disk :1G: the path is missing; give PATH:SIZE, such as /var/cache/selvedge:500G"),
    ((*ORIGIN, "--disk", "/d:1T"), f"--disk /d:1T: 'T' is not a unit; {A_SIZE}"),
    ((*ORIGIN, "--disk", "/d:1G", "--disk", "/d//:2G"),
     "--disk /d//:2G: another disk has this path; each needs a directory of its own"),
    ((*ORIGIN, *(word for disk in range(17) for word in ("--disk", f"/d{disk}:1G"))),
     "--disk /d16:1G: one too many; at most 16 disks are allowed"),
    ((*ORIGIN, "--disk", "/d:30720G", "--disk", "/e:64M"),
     "--disk: the sizes of all disks add up to 31457344M; allowed are at most 30720G"),
    ((*ORIGIN, "--disk-admission", "second_hit"),
     "--disk-admission second_hit: not a word that it knows; allowed is second-hit or always; did you mean second-hit?"),
    ((*ORIGIN, "--workers", "0"), "--workers 0: too small; allowed is 1 to 256"),
    ((*ORIGIN, "--workers", "two"), "--workers two: not a number; a count is a whole number, such as 4"),
    ((*ORIGIN, "--forward", "some"), "--forward some: not a word that it knows; allowed is safe or all"),
    ((*ORIGIN, "--shutdown-timeout", "-1"),
     "--shutdown-timeout -1: not a time; a time is a number of seconds with at most three decimals, such as 30 or 0.5"),
    ((*ORIGIN, "--heartbeat-limit", "0.5"), "--heartbeat-limit 0.5: too small; allowed is 1 to 3600"),
    ((*ORIGIN, "--origin-host", "a/b"), f"--origin-host a/b: not a host; {A_HOST}"),
    ((*ORIGIN, "--state-dir", ""), "--state-dir '': is empty; give a path"),
    ((*ORIGIN, "--cert", "x.pem"),
     "--cert without --key: a certificate is of no use without its private key; give both, or neither for a self-signed one"),
    ((*ORIGIN, "--ocsp-staple", "x.der"), "--ocsp-staple without --cert: it speaks of a given certificate only"),
    ((*ORIGIN, "--admin-token", "a", "--admin-token-file", "b"),
     "--admin-token and --admin-token-file: there is only one token; give one of the two"),
    ((*ORIGIN, "--admin-token", ""), f"--admin-token: the token given is not one; {A_TOKEN}"),
    ((*ORIGIN, "--max-object", "1G", "--memory", "64M"),
     "--max-object 1G: one such object would push out most others; allowed is at most half of --memory, here 32M"),
    (("--origin",), "--origin: the value is missing; it is given as --origin URL"),
    ((*ORIGIN, "--memroy", "1G"), "--memroy: there is no such option; did you mean --memory? --help shows them all"),
    ((*ORIGIN, "--xyzzyplugh"), "--xyzzyplugh: there is no such option; --help shows them all"),
    ((*ORIGIN, "extra"), "'extra' is not an option; every setting has one, see --help"),
    (("--explain", "memory.sizes"), "--explain memory.sizes: there is no such setting; did you mean memory.size (--memory)?"),
    (("--explain", "qqqqqqqq"), "--explain qqqqqqqq: there is no such setting; --explain alone shows them all"),
])
def test_a_wrong_option_is_told_with_what_is_allowed(line, said):
    wrong = run(*line)
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr == f"selvedge: {said}\n"


@pytest.mark.parametrize("option", ["--cert", "--admin-token-file", "--ca-file"])
def test_a_file_that_is_not_there_is_told_by_name(option, tmp_path):
    missing = str(tmp_path / "missing.pem")
    more = ("--key", missing) if option == "--cert" else ()
    wrong = run("--origin", "http://127.0.0.1:9", "--listen", "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                option, missing, *more)
    assert wrong.returncode in (1, 2) and missing in wrong.stderr and "ready" not in wrong.stderr
