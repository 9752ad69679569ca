"""/healthz and /metrics."""

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
