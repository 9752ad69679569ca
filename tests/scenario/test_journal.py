"""What was acknowledged outlives the process; what could not be kept is not acknowledged; no sequence comes twice."""
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.waiting import together

SHIM = Path(__file__).parent / "harness" / "faults" / "fsync_eio.c"


@pytest.fixture
def failing_disk(tmp_path):
    """(environment, file): while the file exists, every fsync of the node fails with EIO."""
    library, file = tmp_path / "fsync_eio.so", tmp_path / "sync-fails"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True, timeout=60)
    return {"LD_PRELOAD": str(library), "SCENARIO_SYNC_FAILS": str(file)}, file


def test_a_purge_that_cannot_be_kept_is_not_acknowledged(start_node, origin, failing_disk):
    env, file = failing_disk
    origin.serve("/a", b"a", cache_control="max-age=60")
    node = start_node(origin, env=env)
    before = node.purge(everything=True)
    file.touch()
    for _ in range(3):
        answer = node.admin("POST", "/v1/purge", {"everything": True})
        assert answer.status == 500, answer
        assert answer.json["error"]["code"] == "journal_failed" and "sequence" not in answer.body.decode()
    assert node.status()["sequence"] == before
    assert node.get("/a").status == 200, "requests go on"
    file.unlink()
    after = node.purge(everything=True)
    assert after > before
    node.stop()
    again = start_node(origin, state_dir=str(node.state_dir))
    assert again.status()["sequence"] >= after


def test_a_disk_that_fails_and_recovers_many_times_never_gives_a_sequence_twice(start_node, origin, failing_disk):
    env, file = failing_disk
    node = start_node(origin, env=env)
    given = [node.purge(everything=True)]
    for _ in range(5):
        file.touch()
        assert node.admin("POST", "/v1/purge", {"everything": True}).status == 500
        file.unlink()
        given.append(node.purge(everything=True))
    assert given == sorted(set(given))


@pytest.mark.parametrize("turns", [8])
def test_killed_right_after_an_answer_it_still_has_the_rule(start_node, origin, turns):
    node, last = start_node(origin), 0
    for turn in range(turns):
        sequence = node.purge(urls=[f"http://localhost/{turn}"] if turn % 2 else None, everything=None if turn % 2 else True)
        assert sequence > last
        node.kill()
        last, node = sequence, start_node(origin, state_dir=str(node.state_dir))
        assert node.status()["sequence"] >= last
    assert node.purge(everything=True) > last


def test_killed_under_load_it_has_every_rule_that_was_acknowledged(start_node, origin):
    node, given = start_node(origin), []

    def purge_until_killed(index):
        if index == 0:
            node.wait_metric("selvedge_purge_sequence", lambda sequence: sequence > 100)
            return node.kill()
        try:
            while True:
                given.append(node.purge(urls=[f"http://localhost/{index}"]))
        except (OSError, AssertionError, ValueError):
            return None  # the node is gone
        except Exception as error:  # what http.client raises for half an answer
            assert "http.client" in type(error).__module__
            return None
    together(5, purge_until_killed)
    assert len(given) == len(set(given)) > 100
    again = start_node(origin, state_dir=str(node.state_dir))
    assert again.status()["sequence"] >= max(given)
    assert again.purge(everything=True) not in given


def cuts_of(length, count=24):
    """Its ends, and cuts at random in between, the same each time."""
    chosen = random.Random(8).sample(range(length), min(count, length))
    return sorted({0, 1, length - 1, *chosen})


@pytest.mark.patient(180)
def test_the_journal_cut_at_many_bytes_starts_and_never_reuses_a_sequence(start_node, origin, tmp_path):
    node = start_node(origin)
    given = [node.purge(urls=[f"http://localhost/{'x' * number}"]) for number in range(10)]
    node.kill()
    whole = (node.state_dir / "journal").read_bytes()
    for cut in cuts_of(len(whole)):
        state = tmp_path / f"cut{cut}"
        shutil.copytree(node.state_dir, state)
        (state / "journal").write_bytes(whole[:cut])
        again = start_node(origin, state_dir=str(state))
        sequence = again.purge(everything=True)
        assert sequence > max(given), f"cut at {cut}: {sequence} was given before"
        again.stop()


@pytest.mark.parametrize("lost", ["journal", "sequence"])
def test_a_lost_file_starts_and_never_reuses_a_sequence(start_node, origin, lost):
    node = start_node(origin)
    given = [node.purge(everything=True) for _ in range(5)]
    node.kill()
    (node.state_dir / lost).unlink()
    again = start_node(origin, state_dir=str(node.state_dir))
    assert again.purge(everything=True) > max(given)


def test_damage_in_the_middle_is_said_and_starts(start_node, origin):
    node = start_node(origin)
    given = [node.purge(everything=True) for _ in range(5)]
    node.kill()
    file = node.state_dir / "journal"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x55
    file.write_bytes(data)
    again = start_node(origin, state_dir=str(node.state_dir))
    assert again.err.find("journal", 5)
    assert again.purge(everything=True) > max(given)


def test_two_nodes_cannot_share_a_state_directory(node, origin):
    from harness.node import run
    other = run("--origin", origin.url, "--listen", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
                "--state-dir", str(node.state_dir))
    assert other.returncode == 1 and str(node.state_dir) in other.stderr
    assert node.purge(everything=True) == 1
