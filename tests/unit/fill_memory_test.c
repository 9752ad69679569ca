/* Fills and the memory's limit: what comes is reserved before it is there, and what finds no room is not
 * stored, waits for its readers, or fails, in this order. */
#include "tests/unit/cache_world.h"

#define FRESH "cache-control: max-age=60"

enum { LIMIT = 64 * MIB, FILLS = 200, OF_EACH = 4096 };

static int begin(void **state)
{
    (void)state;
    world_begin(&world, LIMIT, 8 * MIB);
    return 0;
}

static client_t clients[FILLS];

static void ask(client_t *client, int number)
{
    char target[16];
    snprintf(target, sizeof target, "/%d", number);
    client_ask(&world, client, target, NULL);
    client->walk.key.target = TEXT("/"); /* the name above does not outlive this */
}

static void leave(int count)
{
    for (int i = 0; i < count; i++)
        client_leave(&clients[i]);
}

static void drop(int first, int last)
{
    for (int i = first; i <= last; i++) {
        fill_fail(clients[i].fill, (object_failure_t){502, "test"});
        client_leave(&clients[i]);
    }
}

static void is_within(int fills)
{
    assert_true(memory_bytes(world.memory) <= LIMIT + (uint64_t)fills * OF_EACH);
}

static void assert_refused(const client_t *client)
{
    assert_true(fill_ended(client->fill));
    object_failure_t failure = object_failure(fill_object(client->fill));
    assert_int_equal(failure.status, 503);
    assert_string_equal(failure.detail, "memory");
}

/* Before any byte has come, and given back when nobody wants it. */
static void a_known_length_is_reserved_at_the_head(void **state)
{
    (void)state;
    int admitted = 0, streamed = 0, refused = 0;
    for (int i = 0; i < FILLS; i++) {
        client_t *client = &clients[i];
        ask(client, i);
        fill_action_t action = client_head(&world, client, 200, LINES(FRESH, "content-length: 4000000"));
        object_t *object = fill_object(client->fill);
        if (action == FILL_STOP) {
            assert_refused(client);
            refused++;
        } else if (object_admitted(object)) {
            assert_int_equal(streamed + refused, 0);
            admitted++;
        } else {
            assert_string_equal(object_head(object)->storing.why, "memory");
            streamed++;
        }
        is_within(FILLS);
    }
    assert_in_range(admitted, LIMIT / 4100000 - 1, LIMIT / 4000000);
    assert_true(streamed > 0 && refused > 0);
    assert_true(memory_bytes(world.memory) > LIMIT / 10 * 9);
    for (int i = 0; i < FILLS; i++)
        fill_fail(clients[i].fill, (object_failure_t){502, "test"});
    assert_true(memory_bytes(world.memory) < FILLS * OF_EACH);
    leave(FILLS);
}

/* Offers it so many bytes more, piece by piece; how many were taken. */
static size_t offer(client_t *client, size_t length)
{
    static char bytes[16384];
    size_t sent = 0, taken = 0;
    while (sent < length && !fill_ended(client->fill)) {
        size_t part = length - sent < sizeof bytes ? length - sent : sizeof bytes;
        fill_action_t action = fill_bytes(client->fill, bytes, part, &taken);
        sent += fill_ended(client->fill) ? 0 : taken;
        if (action == FILL_PAUSE)
            break;
    }
    return sent;
}

static size_t read_all(client_t *client)
{
    size_t length = 0;
    body_span_t span;
    while (object_read(&client->reader, 100000, &span) == READ_BYTES) {
        length += span.length;
        block_unref(&span.block);
    }
    return length;
}

/* Until one finds no more memory; its number. */
static int fill_up(const char *framing)
{
    for (int i = 0; i < FILLS; i++) {
        ask(&clients[i], i);
        if (client_head(&world, &clients[i], 200, LINES(FRESH, framing)) == FILL_STOP)
            fail_msg("no beginning for %d", i);
        size_t taken = offer(&clients[i], 3 * MIB);
        is_within(FILLS);
        if (taken < 3 * MIB)
            return i;
    }
    fail_msg("nothing was refused");
    return 0;
}

/* What has begun with a block goes on with it, as its readers give it back, however full it is. */
static void a_stream_goes_on_with_what_it_has(void **state)
{
    (void)state;
    client_t stream;
    client_ask(&world, &stream, "/stream", NULL);
    client_head(&world, &stream, 200, LINES("cache-control: no-store", "content-length: 3145728"));
    int last = fill_up("a: b");
    size_t sent = 0, read = 0;
    while (sent < 3 * MIB) {
        sent += offer(&stream, 3 * MIB - sent);
        stream.notified = 0;
        size_t more = read_all(&stream);
        read += more;
        assert_true(more > 0);
        if (sent < 3 * MIB)
            assert_int_equal(fill_notified(stream.fill, stream.notified), FILL_RESUME);
        is_within(FILLS);
    }
    fill_complete(stream.fill);
    assert_int_equal(read + read_all(&stream), sent);
    client_leave(&stream);
    assert_true(fill_is_starved(clients[last].fill));
    assert_false(fill_is_starved(clients[0].fill));
    for (int i = 0; i < last; i++)
        fill_complete(clients[i].fill);
    assert_int_equal(memory_objects(world.memory), last);
    leave(last);
    drop(last, last);
}

static void others_make_room(void **state)
{
    (void)state;
    int last = fill_up("a: b");
    assert_int_equal(offer(&clients[last], 1), 0);
    drop(0, 0);
    assert_int_equal(offer(&clients[last], MIB), MIB); /* it was tried again; nobody notified it */
    assert_false(fill_is_starved(clients[last].fill));
    drop(1, last);
}

static void who_stands_still_is_cut_off_for_it(void **state)
{
    (void)state;
    int last = fill_up("a: b");
    client_t *starved = &clients[last];
    assert_int_equal(fill_stalled(starved->fill), 1);
    body_span_t span;
    assert_int_equal(object_read(&starved->reader, 1, &span), READ_BEHIND);
    assert_int_equal(offer(starved, BLOCK_BYTES), BLOCK_BYTES);
    is_within(FILLS);
    drop(0, last);
}

enum { SPANS = 1000 };
static body_span_t held[SPANS];

/* A reader takes all there is and gives nothing back, until no more comes; how many spans it holds. */
static int hold(client_t *client)
{
    int count = 0;
    do
        while (count < SPANS && object_read(&client->reader, 100000, &held[count]) == READ_BYTES)
            count++;
    while (offer(client, BLOCK_BYTES) > 0);
    return count;
}

static void release(int count)
{
    for (int i = 0; i < count; i++)
        block_unref(&held[i].block);
}

static void with_nobody_to_cut_off_it_ends(void **state)
{
    (void)state;
    int last = fill_up("a: b");
    client_t *starved = &clients[last];
    int count = hold(starved);
    assert_int_equal(fill_stalled(starved->fill), 0);
    assert_refused(starved);
    release(count);
    drop(0, last);
}

/* Nor is there anything to wait for on a connection that must not be paused. */
static void what_cannot_wait_ends(void **state)
{
    (void)state;
    int last = fill_up("a: b");
    client_t unpausable;
    drop(0, 0);
    client_ask(&world, &unpausable, "/unpausable", NULL);
    http_field_t list[8];
    fill_answer_t answer = {200, fields_of(list, LINES(FRESH, "a: b")), false, false};
    assert_int_equal(fill_head(unpausable.fill, &answer, world.now_ms), FILL_GO_ON);
    int count = hold(&unpausable);
    assert_refused(&unpausable);
    release(count);
    client_leave(&unpausable);
    drop(1, last);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, world_teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_known_length_is_reserved_at_the_head),
        STORY(a_stream_goes_on_with_what_it_has),
        STORY(others_make_room),
        STORY(who_stands_still_is_cut_off_for_it),
        STORY(with_nobody_to_cut_off_it_ends),
        STORY(what_cannot_wait_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
