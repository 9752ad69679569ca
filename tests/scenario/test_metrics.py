"""/healthz and /metrics."""
import pytest

from harness.message import noise
from harness.waiting import until

FAMILIES = {
    "selvedge_requests_total": "counter", "selvedge_origin_requests_total": "counter", "selvedge_revalidations_failed_total": "counter", "selvedge_fills": "gauge",
    "selvedge_objects": "gauge", "selvedge_memory_bytes": "gauge", "selvedge_memory_limit_bytes": "gauge",
    "selvedge_connections": "gauge", "selvedge_purge_sequence": "gauge", "selvedge_purges_total": "counter",
    "selvedge_guard_stopped_total": "counter", "selvedge_access_log_dropped_total": "counter",
    "selvedge_connections_cut_total": "counter", "selvedge_refused_total": "counter", "selvedge_fill_resumes_total": "counter",
    **{f"selvedge_disk_{name}": "gauge" for name in (
        "bytes", "limit_bytes", "segments", "records", "index_bytes", "recovering_segments", "failed_devices")},
    **{f"selvedge_disk_{name}_total": "counter" for name in (
        "admitted", "dropped", "moved", "reads", "checksum_failures", "read_errors", "read_timeouts", "write_errors")},
}


def test_healthz(node):
    answer = node.admin("GET", "/healthz", token=None)
    assert (answer.status, answer.body) == (200, b"ok\n")


def test_every_family_has_a_type_and_a_sentence(node):
    page = node.admin("GET", "/metrics", token=None)
    assert page.fields["content-type"].startswith("text/plain; version=0.0.4")
    text = page.body.decode()
    for name, kind in FAMILIES.items():
        assert f"# TYPE {name} {kind}\n" in text
        assert text.count(f"# HELP {name} ") == 1
        assert any(key == name for key, _ in node.metrics()), f"{name} has no sample"


def test_every_outcome_is_counted_once_by_protocol(node, origin):
    origin.serve("/hit", b"a", cache_control="max-age=60")
    origin.serve("/pass", b"a", cache_control="no-store")
    origin.on("/error", lambda _, response: (response.raw(b"nonsense\r\n\r\n"), response.close()))
    origin.on("/stale", lambda request, response: response.send(
        200 if request.number == 1 else 304, {"ETag": '"1"', "Cache-Control": "max-age=0"}, b"a" if request.number == 1 else b""))
    for client in node.h1(), node.h2():
        for path in "/hit", "/hit", "/hit", "/error", "/stale":
            client.get(path)
        client.request("/pass", method="POST", body=b"")
    node.saw(hit=5, miss=2, error=2, revalidated=1, **{"pass": 2})
    node.wait_metric("selvedge_requests_total", 12, site="default")
    for protocol in "h1", "h2":
        node.wait_metric("selvedge_requests_total", 6, protocol=protocol)
    assert node.metric("selvedge_origin_requests_total", site="default") == origin.count()
    assert origin.count() - origin.count("/error") == 5, "a GET that met a broken connection may be asked once more"


def test_admin_requests_are_not_counted_as_clients(node):
    for _ in range(5):
        node.metrics()
    node.saw()
    assert node.metric("selvedge_connections") == 0


def test_the_memory_limit(start_node, origin):
    assert start_node(origin, memory="100M").metric("selvedge_memory_limit_bytes") == 100 << 20


def test_memory_and_objects_go_with_what_is_stored(node, origin):
    for number in range(1, 6):
        origin.serve(f"/{number}", b"x" * 100_000, cache_control="max-age=60")
        node.get(f"/{number}")
        node.wait_metric("selvedge_objects", number)
        held = node.metric("selvedge_memory_bytes")
        assert number * 100_000 <= held <= number * 140_000


def disk_metrics(node):
    """Those of disks, without the beginning that all have; a label's value behind a slash."""
    return {"/".join([name.removeprefix("selvedge_disk_"), *(value for _, value in labels)]): value
            for (name, labels), value in node.metrics().items() if name.startswith("selvedge_disk_")}


def test_without_a_disk_its_metrics_are_zero(node, origin):
    origin.serve("/a", b"a", cache_control="max-age=60")
    for _ in range(3):
        node.get("/a")
    assert set(disk_metrics(node).values()) == {0}
    assert node.status()["disk"] is None


@pytest.fixture
def on_disk(start_node, origin, tmp_path):
    """A node that finds three responses on its disk, of 1000, 2000 and 3000 bytes."""
    options = {"disk": f"{tmp_path}/disk:64M", "state_dir": None, "disk_admission": "always"}
    for number in 1, 2, 3:
        origin.serve(f"/{number}", noise(number * 1000, number), cache_control="max-age=600")
    node = start_node(origin, **options)
    for number in 1, 2, 3:
        until(lambda: node.get(f"/{number}").status == 200 and node.metric("selvedge_disk_records") == number, "it is written")
    seen = disk_metrics(node)
    assert seen["admitted_total"] == 3 and seen["reads_total/cache"] == seen["reads_total/device"] == 0
    node.stop()
    node = start_node(origin, **options)
    node.wait_metric("selvedge_disk_records", 3)
    return node


def test_what_disks_hold(on_disk, tmp_path):
    seen = disk_metrics(on_disk)
    files = [path.stat().st_size for path in (tmp_path / "disk").iterdir() if path.is_file()]
    assert seen["bytes"] == sum(files) and seen["limit_bytes"] == 64 << 20
    assert seen["segments"] == len(list((tmp_path / "disk").glob("segment-*"))) == 1
    assert seen["records"] == 3 and 36 <= seen["index_bytes"] < 1 << 20
    assert seen["recovering_segments"] == seen["failed_devices"] == seen["admitted_total"] == 0
    assert on_disk.status()["disk"] == {"bytes": seen["bytes"], "limit_bytes": 64 << 20, "records": 3, "recovering_segments": 0,
                                        "failed_devices": 0}


def test_reads_from_disks_are_counted_by_where_they_come_from(on_disk):
    for number in 1, 2, 3:
        assert on_disk.get(f"/{number}").cache["detail"] == "disk"
        seen = disk_metrics(on_disk)
        assert seen["reads_total/cache"] + seen["reads_total/device"] == number
    on_disk.get("/1")
    seen = disk_metrics(on_disk)
    assert seen["reads_total/cache"] + seen["reads_total/device"] == 3, "memory has it by now"
    assert seen["checksum_failures_total"] == seen["read_errors_total"] == seen["read_timeouts_total"] == 0


def test_what_does_not_match_its_checksum_is_counted_and_not_served(on_disk, origin, tmp_path):
    path = tmp_path / "disk/segment-00000"
    content = path.read_bytes()
    at = content.index(noise(2000, 2))
    with open(path, "r+b") as file:
        file.seek(at + 1999)
        file.write(bytes([content[at + 1999] ^ 1]))
    answer = on_disk.get("/2")
    assert answer.body == noise(2000, 2) and answer.cache["fwd"] == "miss" and origin.count("/2") == 2
    seen = disk_metrics(on_disk)
    assert seen["checksum_failures_total"] == 1 and seen["reads_total/cache"] + seen["reads_total/device"] == 0
    assert on_disk.get("/3").cache["detail"] == "disk"
