"""How response fields are coded on HTTP/2: whole, within the table that the client allows, and without entering into it
what the next response does not say again."""
import h2.settings
import hpack
import pytest

TABLE = h2.settings.SettingCodes.HEADER_TABLE_SIZE
PATHS = [f"/{number}" for number in range(40)]
AGAIN = {"cache-control", "content-type", "vary", "via"}


@pytest.fixture
def answers(origin):
    """Many answers that have little in common."""
    for number, path in enumerate(PATHS):
        origin.serve(path, b"x" * number, cache_control=f"max-age={600 + number % 3}",
                     content_type=("text/css", "image/png", "text/plain; charset=utf-8")[number % 3], etag=f'"{number}"',
                     vary="Accept" if number % 2 else None, set_cookie=f"id={number}" if number == 7 else None,
                     last_modified=f"Thu, 01 Jan 2026 00:00:{number:02} GMT", x_number=str(number),
                     content_security_policy="default-src 'self'; img-src " + " ".join(f"cdn{n}.example" for n in range(number)))
    return PATHS


def seen(answer):
    """What two answers have in common: all of what is stored; with a cookie it is not, and has another date each time."""
    other = {"age", "cache-status", "connection", "content-length"} | ({"date"} if "set-cookie" in answer.fields else set())
    return sorted((name, value) for name, value in answer.fields if name not in other)


def allow(client, size):
    """The client allows a table of this size; returns when the node has heard of it."""
    client.h2.update_settings({TABLE: size})
    client.flush()
    client.wait(lambda: client.h2.decoder.max_allowed_table_size == size)


def entries(client):
    return [name.decode() for name, _ in client.h2.decoder.header_table.dynamic_entries]


@pytest.mark.parametrize("size", [0, 1, 64, 200, 4096, 1 << 16])
def test_fields_arrive_whole_whatever_table_the_client_allows(node, answers, size):
    plain = node.h1()
    expected = {path: seen(plain.get(path)) for path in answers}
    with node.h2() as client:
        allow(client, size)
        for path in answers + answers:
            answer = client.get(path)
            assert seen(answer) == expected[path] and answer.get("content-length", "0") == str(len(answer.body)), path
            assert client.h2.decoder.header_table_size <= size


def test_a_table_that_is_made_smaller_and_larger_again_between_two_answers(node, answers):
    with node.h2() as client:
        for path in answers:
            client.get(path)
        assert entries(client)
        client.h2.update_settings({TABLE: 0})
        client.h2.update_settings({TABLE: 4096})
        client.flush()
        client.ping()
        answer = client.get(answers[0])
        assert seen(answer) == seen(node.h1().get(answers[0]))
        assert len(entries(client)) <= len(AGAIN), "the table was not emptied in between"
        for path in answers:
            assert client.get(path).get("etag") == f'"{path[1:]}"'


def test_only_what_comes_again_enters_the_table(node, answers):
    with node.h2() as client:
        for path in answers + answers:
            client.get(path)
        assert AGAIN == set(entries(client))


def test_what_comes_again_is_sent_once(node, answers):
    with node.h2() as client:
        for path in answers:
            client.get(path)
        before = list(client.h2.decoder.header_table.dynamic_entries)
        for path in answers:
            client.get(path)
        assert list(client.h2.decoder.header_table.dynamic_entries) == before


def test_a_cookie_is_never_indexed(node, answers):
    with node.h2() as client:
        heads = []
        taken = client.h2.decoder.decode
        client.h2.decoder.decode = lambda *block, **more: heads.append(taken(*block, **more)) or heads[-1]
        assert client.get("/7").get("set-cookie") == "id=7"
    cookie = [field for field in heads[-1] if field[0] in ("set-cookie", b"set-cookie")]
    assert [type(field) for field in cookie] == [hpack.NeverIndexedHeaderTuple]


@pytest.mark.parametrize("length", [16_000, 16_384, 16_500, 40_000, 60_000])
def test_a_head_larger_than_a_frame_comes_in_several(node, origin, length):
    """Bytes that Huffman codes make longer, so that the size is known."""
    value = "\\" * length
    origin.serve("/large", b"body", cache_control="max-age=60", x_large=value)
    with node.h2() as client:
        client.h2.decoder.max_header_list_size = 1 << 20
        for _ in range(3):
            answer = client.get("/large")
            assert answer.get("x-large") == value and answer.body == b"body"
        assert client.get("/none").status == 404
