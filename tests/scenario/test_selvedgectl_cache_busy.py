"""selvedgectl cache on a directory that a node writes to meanwhile: what is used again while it is read is no fault."""
import threading

from harness.message import noise
from harness.node import SELVEDGECTL, run
from harness.waiting import until


def test_verify_while_segments_are_used_again(start_node, origin, tmp_path):
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(300_000, request.path)))
    node = start_node(origin, disk=f"{tmp_path}/disk:64M", state_dir=None, disk_admission="always", memory="16M")
    stop, written = threading.Event(), []

    def write():
        with node.h1() as client:
            while not stop.is_set():
                assert client.get(f"/{len(written)}").status == 200
                written.append(None)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: node.metric("selvedge_disk_segments") == 15, "all segments are in use", 30)
        for _ in range(8):
            before = len(written)
            for words in ("verify",), ("ls",), ("stat", "--json"):
                done = run("cache", *words, "--dir", tmp_path / "disk", binary=SELVEDGECTL)
                assert done.returncode == 0, done.stdout
            assert '"damaged":0' in done.stdout
            until(lambda: len(written) > before + 20, "slots are used again", 30)
    finally:
        stop.set()
        writer.join()
    assert len(written) > 64 * (1 << 20) / 300_000
