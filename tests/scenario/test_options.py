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
    "--purge-method": "off",
    "--max-connections": "10000", "--max-address-connections": "2000", "--max-address-connection-rate": "1000",
    "--max-address-request-rate": "0", "--idle-timeout": "60", "--header-timeout": "15", "--stall-timeout": "60",
    "--user": "the user who starts it",
}


@pytest.mark.parametrize("option", PROMISED)
def test_help_tells_each_option_with_its_default(option):
    help = run("--help")
    assert help.returncode == 0 and help.stderr == ""
    entry = re.search(rf"^  {option} (.*?)(?=^  -|^\S|^$)", help.stdout, re.M | re.S)
    assert entry, f"{option} is missing"
    said = " ".join(entry[1].split())
    assert "Default:" in said and PROMISED[option] in said


def test_explain_tells_all_about_one_setting():
    by_option, by_name = run("--explain", "--memory"), run("--explain", "memory.size")
    assert by_option.returncode == 0 and by_option.stdout == by_name.stdout
    for word in ("memory.size", "--memory SIZE", "16M", "a quarter of RAM"):
        assert word in by_option.stdout


def test_explain_alone_tells_all_of_them():
    everything = run("--explain").stdout
    assert run("--explain", "--memory").stdout.strip() in everything
    assert all(option in everything for option in PROMISED)


@pytest.mark.parametrize("line, said", [
    ((), ["--origin", "http://"]),
    (("--origin", "ftp://a"), ["--origin", "ftp://a", "http"]),
    (("--origin", "http://a:70000"), ["--origin", "port"]),
    (("--origin", "http://a/path"), ["--origin", "/path"]),
    (("--origin", "http://a", "--listen", "127.0.0.1:80"), ["--listen", "http://ADDR:PORT"]),
    (("--origin", "http://a", "--listen", "http://nowhere.example:80"), ["--listen", "nowhere.example"]),
    (("--origin", "http://a", "--memory", "12Q"), ["--memory", "Q", "K, M or G"]),
    (("--origin", "http://a", "--memory", "1K"), ["--memory", "small", "16M"]),
    (("--origin", "http://a", "--workers", "0"), ["--workers", "1 to 256"]),
    (("--origin", "http://a", "--workers", "two"), ["--workers", "whole number"]),
    (("--origin", "http://a", "--forward", "some"), ["--forward", "safe or all"]),
    (("--origin", "http://a", "--shutdown-timeout", "-1"), ["--shutdown-timeout", "seconds"]),
    (("--origin", "http://a", "--heartbeat-limit", "0.5"), ["--heartbeat-limit", "1 to 3600"]),
    (("--origin", "http://a", "--cert", "x.pem"), ["--cert", "--key"]),
    (("--origin", "http://a", "--admin-token", "a", "--admin-token-file", "b"), ["--admin-token", "--admin-token-file"]),
    (("--origin", "http://a", "--admin-token", ""), ["--admin-token"]),
    (("--origin", "http://a", "--max-object", "1G", "--memory", "64M"), ["--max-object", "32M"]),
    (("--origin",), ["--origin", "missing"]),
    (("--origin", "http://a", "--memroy", "1G"), ["--memroy", "--memory"]),
    (("--origin", "http://a", "extra"), ["extra"]),
    (("--explain", "memory.sizes"), ["memory.sizes", "memory.size"]),
])
def test_a_wrong_option_is_told_with_what_is_allowed(line, said):
    wrong = run(*line)
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr.startswith("selvedge: ") and wrong.stderr.count("\n") == 1
    assert all(word in wrong.stderr for word in said), wrong.stderr


@pytest.mark.parametrize("option", ["--cert", "--admin-token-file", "--ca-file"])
def test_a_file_that_is_not_there_is_told_by_name(option, tmp_path):
    missing = str(tmp_path / "missing.pem")
    more = ("--key", missing) if option == "--cert" else ()
    wrong = run("--origin", "http://127.0.0.1:9", "--listen", "https://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                option, missing, *more)
    assert wrong.returncode in (1, 2) and missing in wrong.stderr and "ready" not in wrong.stderr
