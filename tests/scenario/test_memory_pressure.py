"""Slow clients that hold more memory than there is: half of the memory stays with the others, what would need more memory is refused, and
the slowest are cut until there is room again."""
from harness.message import noise
from harness.stalling import PREFACE, Stalling, headers, run, settings, window_update

LIMIT = 16 << 20
PIECE = 1 << 20


def test_readers_who_hold_more_than_there_is(start_node, origin):
    node = start_node(origin, memory="16M", stall_timeout="50", header_timeout="50", idle_timeout="50")
    origin.on("/held/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(PIECE, request.path)))
    clients, most, refused = [], 0, 0
    for number in range(60):
        answer = node.get(f"/held/{number}")
        if answer.status == 503:
            refused += 1
            assert answer.cache["detail"] == "memory" and answer.get("retry-after")
        else:
            assert answer.body == noise(PIECE, f"/held/{number}")
            clients.append(Stalling(PREFACE + settings(0) + headers(f"/held/{number}"), reads=0))  # holds it, and takes nothing
            clients[-1].connect(("127.0.0.1", node.http_port))
        most = max(most, node.metric("selvedge_memory_bytes"))
    assert most <= LIMIT + 60 * (16 << 10), most
    assert node.metric("selvedge_objects") >= 5, "half of the memory stays with what can be hit"
    node.wait_metric("selvedge_connections_cut_total", lambda cut: cut > 0, reason="memory")
    assert node.metric("selvedge_connections_cut_total", reason="stall") == 0
    assert refused > 0
    node.wait_metric("selvedge_refused_total", lambda counted: counted >= refused, reason="memory")
    node.wait_metric("selvedge_memory_pinned_bytes", lambda bytes: bytes <= LIMIT // 2)
    assert node.get("/held/new").body == noise(PIECE, "/held/new")
    for client in clients:
        client.socket.close()


def test_what_is_asked_for_all_the_time_stays(start_node, origin):
    node = start_node(origin, memory="16M", stall_timeout="50", header_timeout="50", idle_timeout="50")
    origin.on("/held/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(PIECE, request.path)))
    origin.serve("/hot", b"hot" * 1000, cache_control="max-age=600")
    node.get("/hot")
    hot, clients = node.h1(), []
    for number in range(60):
        if node.request(f"/held/{number}").status == 200:
            clients.append(Stalling(PREFACE + settings(0) + headers(f"/held/{number}"), reads=0))
            clients[-1].connect(("127.0.0.1", node.http_port))
        for _ in range(5):
            assert hot.get("/hot").cache["hit"], number
    assert origin.count("/hot") == 1
    for client in clients:
        client.socket.close()


def test_streams_left_alone_beside_one_that_is_read(start_node, origin):
    """The connection takes its bytes, and holds megabytes on other streams: it goes, not who is slower and holds nothing."""
    node = start_node(origin, memory="16M", stall_timeout="50", header_timeout="50", idle_timeout="50")
    origin.on("/*", lambda request, response: response.send(200, {"Cache-Control": "max-age=600"}, noise(PIECE, request.path)))
    origin.serve("/small", b"s" * 100_000, cache_control="max-age=600")
    origin.serve("/calm", noise(300_000, "calm"), cache_control="max-age=600")
    for number in range(12):
        node.get(f"/held/{number}")

    def read_on(second):
        stream = 99 + 2 * second
        return headers("/small", stream) + window_update(stream, 100_000) + window_update(0, 100_000)
    left_alone = b"".join(headers(f"/held/{number}", 1 + 2 * number) for number in range(12))
    holder = Stalling(PREFACE + settings(0) + left_alone, read_on)
    calm = Stalling(b"GET /calm HTTP/1.1\r\nHost: localhost\r\n\r\n", reads=4096)
    passing = iter(range(10_000))

    def others():
        if holder.seconds == 1:  # from now on nobody else has a use for what it holds
            node.purge(everything=True)
        if holder.seconds >= 1 and not holder.ended:
            node.request(f"/passing/{next(passing)}")
            node.request("/calm")
    run([holder, calm], ("127.0.0.1", node.http_port), 12, others, until=lambda: holder.ended)
    assert holder.ended and holder.got > 100_000
    assert not calm.ended
    assert node.metric("selvedge_connections_cut_total") == node.metric("selvedge_connections_cut_total", reason="memory") == 1
    node.wait_metric("selvedge_memory_pinned_bytes", lambda pinned: pinned <= LIMIT // 2)
