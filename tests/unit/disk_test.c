/* The disk tier below memory: what is kept, found again after eviction and after a restart, and what never
 * comes back. */
#include "tests/unit/disk_world.h"

/* --- What is kept --- */

static void what_was_evicted_is_found_on_disk(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH, "etag: \"1\""), "hello");
    assert_string_equal(answer("/a", NULL, false), "hello");
    settle_and_evict();
    assert_string_equal(answer("/a", NULL, true), "hello");
    assert_string_equal(answer("/a", NULL, false), "hello"); /* it is in memory again */
    assert_int_equal(disk_status(disk).counts.admitted, 1);
    assert_int_equal(disk_status(disk).records, 1);
}

static void what_is_kept_is_there_after_a_restart(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH, "etag: \"1\""), "hello");
    store("/b", NULL, LINES(FRESH), "there");
    restart(DISK_ALWAYS);
    assert_string_equal(answer("/a", NULL, true), "hello");
    assert_string_equal(answer("/b", NULL, true), "there");
    world.now_ms += 60000;
    assert_null(answer("/a", NULL, true));
}

static void only_what_is_asked_for_twice_is_kept(void **state)
{
    (void)state;
    restart(DISK_SECOND_HIT);
    store("/once", NULL, LINES(FRESH), "x");
    store("/twice", NULL, LINES(FRESH), "y");
    assert_string_equal(answer("/twice", NULL, false), "y");
    settle_and_evict();
    assert_null(answer("/once", NULL, false));
    assert_string_equal(answer("/twice", NULL, true), "y");
    /* Fetched once more, it was asked for twice as well. */
    store("/once", NULL, LINES(FRESH), "x");
    settle_and_evict();
    assert_string_equal(answer("/once", NULL, true), "x");
}

static void a_body_of_two_blocks_comes_back_whole(void **state)
{
    (void)state;
    static char body[700001];
    client_t client;
    for (size_t i = 0; i < sizeof body - 1; i++)
        body[i] = (char)('a' + i % 23);
    store("/large", NULL, LINES(FRESH), body);
    settle_and_evict();
    ask(&client, "/large", NULL);
    assert_int_equal(client.step.kind, WALK_HIT);
    assert_true(client.step.from_disk);
    for (size_t at = 0; at < sizeof body - 1;) {
        body_span_t span;
        assert_int_equal(object_read(&client.reader, 1000, &span), READ_BYTES);
        assert_memory_equal(span.bytes, body + at, span.length);
        at += span.length;
        block_unref(&span.block);
    }
    client_leave(&client);
}

/* --- What does not come back --- */

static void what_was_replaced_does_not_come_back(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH), "old");
    disk_settle(disk);
    world.now_ms += 60000;
    disk_set_admission(disk, DISK_SECOND_HIT);
    client_t client;
    ask(&client, "/a", NULL);
    client_answer(&world, &client, 200, LINES("cache-control: max-age=60000"), "new");
    client_leave(&client);
    world.now_ms -= 60000; /* so that the old one would be fresh */
    settle_and_evict();
    const char *found = answer("/a", NULL, true);
    assert_true(found == NULL || strcmp(found, "new") == 0);
    restart(DISK_ALWAYS);
    found = answer("/a", NULL, true);
    assert_true(found == NULL || strcmp(found, "new") == 0);
}

/* The device is busy; what it is to write is replaced before it can. */
static void what_replaces_what_still_waits_to_be_written_is_kept(void **state)
{
    (void)state;
    client_t client;
    atomic_store(&writes_held, 1);
    store("/first", NULL, LINES(FRESH), "x");
    store("/a", NULL, LINES(FRESH), "old");
    world.now_ms += 60000;
    ask(&client, "/a", NULL);
    client_answer(&world, &client, 200, LINES("cache-control: max-age=60000"), "new");
    client_leave(&client);
    sem_post(&go_on);
    settle_and_evict();
    assert_string_equal(answer("/a", NULL, true), "new");
    restart(DISK_ALWAYS);
    assert_string_equal(answer("/a", NULL, true), "new");
}

static void what_was_invalidated_does_not_come_back(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH), "old");
    settle_and_evict();
    cache_key_t key = cache_key(TEXT("www"), TEXT("/a"));
    memory_invalidate(world.memory, &key);
    assert_null(answer("/a", NULL, true));
    restart(DISK_ALWAYS);
    assert_null(answer("/a", NULL, true));
}

static void what_was_purged_does_not_come_back(void **state)
{
    (void)state;
    store("/a", NULL, LINES(FRESH, "etag: \"1\"", "cache-tag: red"), "old");
    store("/b", NULL, LINES(FRESH, "etag: \"1\""), "old");
    settle_and_evict();
    world_purge(&world, RULE_URL, "/a", false);
    assert_null(answer("/a", NULL, true));
    restart(DISK_ALWAYS);
    assert_null(answer("/a", NULL, true));
    assert_string_equal(answer("/b", NULL, true), "old");
}

static void what_was_changed_on_the_medium_is_a_miss(void **state)
{
    (void)state;
    char path[128];
    store("/a", NULL, LINES(FRESH), "hello");
    settle_and_evict();
    snprintf(path, sizeof path, "%s/segment-00000", directory);
    int file = open(path, O_RDWR);
    static char bytes[1 << 16];
    ssize_t length = pread(file, bytes, sizeof bytes, 0);
    assert_true(length > 0);
    char *at = memmem(bytes, (size_t)length, "hello", 5);
    assert_non_null(at);
    assert_int_equal(pwrite(file, "j", 1, at - bytes), 1);
    close(file);
    assert_null(answer("/a", NULL, true));
    assert_int_equal(disk_status(disk).counts.checksum_failures, 1);
    assert_int_equal(disk_status(disk).records, 0);
}

/* --- What a 304 confirms --- */

static void revalidate(const char *target, const char *const *response)
{
    client_t client;
    ask(&client, target, NULL);
    assert_non_null(client.fill);
    assert_int_equal(client_head(&world, &client, 304, response), FILL_GO_ON);
    client_leave(&client);
}

/* Is there something on disk that the origin can be asked about? */
static bool has_base(const char *target)
{
    client_t client;
    http_field_t conditions[2];
    ask(&client, target, NULL);
    bool has = client.fill != NULL && fill_conditions(client.fill, conditions) > 0;
    if (client.fill != NULL)
        fill_fail(client.fill, (object_failure_t){502, "test"});
    client_leave(&client);
    return has;
}

static void what_is_only_confirmed_is_not_written_again(void **state)
{
    (void)state;
    static const http_policy_t tagged = {.tag_fields = {{{"cache-tag", 9}}, 1}};
    world.policy = &tagged;
    store("/a", NULL, LINES(FRESH, "etag: \"1\"", "cache-tag: red", "date: Sun, 06 Nov 1994 08:49:37 GMT"),
          "hello");
    disk_settle(disk);
    for (int i = 0; i < 3; i++) {
        world.now_ms += 60000;
        revalidate("/a", LINES(FRESH, "etag: \"1\"", "cache-tag: red"));
        disk_settle(disk);
    }
    assert_int_equal(disk_status(disk).counts.admitted, 1);
    assert_int_equal(disk_status(disk).records, 1);
    world_evict_all(&world);
    assert_true(has_base("/a"));
}

static void what_says_something_new_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    static const http_policy_t tagged = {.tag_fields = {{{"cache-tag", 9}}, 1}};
    world.policy = &tagged;
    const char *const *const others[] = {
        LINES(FRESH, "etag: \"1\"", "cache-tag: blue"),
        LINES("cache-control: max-age=61", "etag: \"1\"", "cache-tag: red"),
        LINES(FRESH, "etag: \"1\"", "cache-tag: red", "x: y"),
        LINES(FRESH ", must-revalidate", "etag: \"1\"", "cache-tag: red"),
        LINES("cache-control: max-age=6000", "etag: \"1\"", "cache-tag: red")};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char target[16];
        snprintf(target, sizeof target, "/%zu", i);
        store(target, NULL, LINES(FRESH, "etag: \"1\"", "cache-tag: red"), "hello");
        disk_settle(disk);
        world.now_ms += 60000;
        revalidate(target, others[i]);
        disk_settle(disk);
        assert_int_equal(disk_status(disk).counts.admitted, 2 * (i + 1));
    }
    world_evict_all(&world);
    world_purge(&world, RULE_TAG, "blue", false);
    assert_false(has_base("/0"));
    assert_string_equal(answer("/4", NULL, true), "hello");
    restart(DISK_ALWAYS);
    assert_false(has_base("/0"));
}

static void what_lasts_is_written_with_its_new_time(void **state)
{
    (void)state;
    store("/a", NULL, LINES("cache-control: max-age=6000", "etag: \"1\""), "hello");
    disk_settle(disk);
    world.now_ms += 6000000;
    revalidate("/a", LINES("cache-control: max-age=6000", "etag: \"1\""));
    settle_and_evict();
    assert_int_equal(disk_status(disk).counts.admitted, 2);
    assert_string_equal(answer("/a", NULL, true), "hello");
}

/* --- What is larger than a record --- */

enum { LARGE_BYTES = 2 * PIECE_BYTES + 12345 };
#define LARGE FRESH, "etag: \"1\"", "accept-ranges: bytes", "content-length: 2109497"

static const char *large_body(void)
{
    static char body[LARGE_BYTES + 1];
    for (size_t i = 0; i < LARGE_BYTES; i++)
        body[i] = (char)('a' + i % 23);
    return body;
}

/* Its pieces one after the other: how many bytes were right. */
static size_t read_pieces(const walk_t *walk, object_t *sparse)
{
    size_t right = 0;
    const char *body = large_body();
    while (right < LARGE_BYTES) {
        object_reader_t reader;
        walk_step_t step;
        body_span_t span;
        assert_true(walk_piece(walk, sparse, piece_at(sparse, right), &reader, &step));
        assert_int_equal(step.kind, WALK_HIT);
        while (object_read(&reader, 100000, &span) == READ_BYTES) {
            assert_memory_equal(span.bytes, body + right, span.length);
            right += span.length;
            block_unref(&span.block);
        }
        object_leave(&reader);
    }
    return right;
}

static void what_is_large_is_kept_in_pieces(void **state)
{
    (void)state;
    client_t client;
    assert_int_equal(LARGE_BYTES, 2109497);
    store("/large", NULL, LINES(LARGE), large_body());
    assert_int_equal(object_length_of("/large"), LARGE_BYTES);
    restart(DISK_ALWAYS);
    assert_int_equal(disk_status(disk).records, 4); /* three pieces, and the head */
    ask(&client, "/large", NULL);
    assert_int_equal(client.step.kind, WALK_HIT);
    assert_true(object_sparse(client.reader.object));
    assert_int_equal(read_pieces(&client.walk, client.reader.object), LARGE_BYTES);
    client_leave(&client);
}

/* It answers as long as all of it is there: what is missing of it could not be fetched. */
static void what_is_large_and_takes_no_ranges_is_kept_in_pieces_too(void **state)
{
    (void)state;
    client_t client;
    uint64_t numbers[PIECE_NUMBERS];
    store("/large", NULL, LINES(FRESH, "content-length: 2109497"), large_body());
    restart(DISK_ALWAYS);
    assert_int_equal(disk_status(disk).records, 4);
    ask(&client, "/large", NULL);
    assert_int_equal(client.step.kind, WALK_HIT);
    assert_int_equal(read_pieces(&client.walk, client.reader.object), LARGE_BYTES);
    cache_variant_t piece =
        piece_variant(client.reader.object, piece_at(client.reader.object, PIECE_BYTES), numbers);
    memory_bury(world.memory, &client.walk.key, &piece, (text_t){NULL, 0});
    client_leave(&client);
    assert_null(answer("/large", NULL, true));
}

/* Its head is kept in one record, like any other. */
static void what_is_large_and_has_too_large_a_head_stays_off(void **state)
{
    (void)state;
    static char long_value[70000] = "x-long: ";
    memset(long_value + 8, 'x', sizeof long_value - 9);
    store("/large", NULL, LINES(LARGE, long_value), large_body());
    disk_settle(disk);
    assert_int_equal(disk_status(disk).records, 0);
    assert_int_equal(disk_status(disk).counts.dropped_size, 1);
}

/* What is known of it by then is told of the head in pieces; the one that the whole left goes with the old
 * tags. */
static void what_is_large_and_says_something_new(void **state)
{
    (void)state;
    static const http_policy_t tagged = {.tag_fields = {{{"cache-tag", 9}}, 1}};
    world.policy = &tagged;
    store("/large", NULL, LINES(LARGE, "cache-tag: red"), large_body());
    settle_and_evict();
    world.now_ms += 60000;
    revalidate("/large", LINES(FRESH, "etag: \"1\"", "cache-tag: blue"));
    settle_and_evict();
    assert_true(has_base("/large") || answer_is_sparse("/large"));
    world_purge(&world, RULE_TAG, "blue", false);
    assert_false(has_base("/large") || answer_is_sparse("/large"));
    restart(DISK_ALWAYS);
    assert_false(has_base("/large") || answer_is_sparse("/large"));
}

/* --- What varies --- */

static void each_variant_is_found(void **state)
{
    (void)state;
    store("/v", LINES("accept-language: en"), LINES(FRESH, "vary: accept-language"), "english");
    store("/v", LINES("accept-language: fr"), LINES(FRESH, "vary: accept-language"), "francais");
    restart(DISK_ALWAYS);
    assert_string_equal(answer("/v", LINES("accept-language: fr"), true), "francais");
    assert_string_equal(answer("/v", LINES("accept-language: en"), true), "english");
    assert_null(answer("/v", LINES("accept-language: de"), true));
    assert_null(answer("/v", NULL, true));
}

int main(void)
{
    sem_init(&woken, 0, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_evicted_is_found_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_there_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_is_asked_for_twice_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_of_two_blocks_comes_back_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_replaced_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_replaces_what_still_waits_to_be_written_is_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_invalidated_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_purged_does_not_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_changed_on_the_medium_is_a_miss, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_only_confirmed_is_not_written_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_says_something_new_takes_the_place_of_the_old_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_lasts_is_written_with_its_new_time, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_large_is_kept_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_large_and_takes_no_ranges_is_kept_in_pieces_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_large_and_has_too_large_a_head_stays_off, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_large_and_says_something_new, setup, teardown),
        cmocka_unit_test_setup_teardown(each_variant_is_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
