/* The growing object: joining, waking, ends; the window and who holds it back; what is told to the filler. */
#include "tests/unit/cache_world.h"

static memory_account_t account;
static unsigned released;

static void on_release(object_t *object)
{
    released++;
    object_destroy(object);
}

typedef struct {
    object_reader_t super;
    unsigned wakes;
} reader_t;

static void on_wake(object_reader_t *reader)
{
    CONTAINER_OF(reader, reader_t, super)->wakes++;
}

typedef struct {
    object_filler_t super;
    unsigned abandoned, room;
} filler_t;

static void on_notify(object_filler_t *super, unsigned events)
{
    filler_t *filler = CONTAINER_OF(super, filler_t, super);
    filler->abandoned += (events & FILLER_ABANDONED) != 0;
    filler->room += (events & FILLER_ROOM) != 0;
}

static object_t *begin_object(filler_t *filler)
{
    static const ledger_subject_t subject = {{1, 2}, {3, 4}};
    static uint64_t versions;
    object_t *object = object_new(&account, &subject, 5, (version_id_t){++versions, 7}, on_release);
    *filler = (filler_t){.super = {on_notify}};
    object_set_filler(object, &filler->super);
    released = 0;
    return object;
}

static bool join(object_t *object, reader_t *reader)
{
    *reader = (reader_t){.wakes = 0};
    return object_join(object, &reader->super, 5, false, on_wake);
}

static void give_head(object_t *object, int64_t length, unsigned flags)
{
    http_field_t list[8];
    http_storing_t storing = {.storable = true, .lifetime_ms = 60000};
    head_t *head = head_new(&account, 200, fields_of(list, LINES("a: b")), length, &storing, NOW_MS, NULL);
    object_begin(object, &head, flags);
    assert_null(head);
}

static void give_bytes(object_t *object, size_t length)
{
    char *bytes = must_calloc(1, length);
    object_append(object, bytes, length);
    free(bytes);
}

/* Reads at most so many bytes; how many came, and what was said last. */
static size_t take(reader_t *reader, size_t most, object_read_t *said)
{
    size_t taken = 0;
    *said = READ_BYTES;
    while (taken < most && *said == READ_BYTES) {
        body_span_t span;
        *said = object_read(&reader->super, most - taken, &span);
        taken += span.length;
        if (*said == READ_BYTES)
            block_unref(&span.block);
    }
    return taken;
}

static void finish(object_t **object)
{
    object_unref(object);
    assert_int_equal(released, 1);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static const object_failure_t broken = {502, "test"};

static void an_object_grows_and_completes(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t early, late;
    assert_true(join(object, &early));
    assert_true(object_wait_head(&early.super));
    assert_null(object_head(object));
    give_head(object, 6, OBJECT_SHAREABLE | OBJECT_ADMITTED);
    assert_int_equal(early.wakes, 1);
    assert_false(object_wait_head(&early.super));
    assert_true(object_shareable(object) && object_admitted(object) && !object_revalidated(object));
    object_read_t said;
    assert_int_equal(take(&early, 9, &said), 0);
    assert_int_equal(said, READ_WAIT);
    give_bytes(object, 4);
    give_bytes(object, 2);
    assert_int_equal(early.wakes, 2); /* once for each time it waited */
    assert_int_equal(take(&early, 6, &said), 6);
    assert_true(join(object, &late));
    assert_int_equal(take(&early, 1, &said), 0);
    assert_int_equal(said, READ_WAIT);
    object_complete(object);
    assert_int_equal(early.wakes, 3);
    assert_int_equal(take(&early, 1, &said), 0);
    assert_int_equal(said, READ_END);
    assert_int_equal(take(&late, 9, &said), 6);
    assert_int_equal(said, READ_END);
    assert_int_equal(object_length(object), 6);
    assert_true(object_weight(object) > 6);
    object_leave(&early.super);
    object_leave(&early.super); /* once more does nothing */
    object_leave(&late.super);
    assert_int_equal(filler.abandoned + filler.room, 0);
    finish(&object);
}

/* Where it fails: before the head, before the body, in it. Each reader gets what there was, then the failure.
 */
static void a_failure_is_told_after_what_came(void **state)
{
    (void)state;
    for (int where = 0; where < 3; where++) {
        filler_t filler;
        object_t *object = begin_object(&filler);
        reader_t reader, late;
        assert_true(join(object, &reader));
        assert_true(object_wait_head(&reader.super));
        if (where > 0)
            give_head(object, 10, 0);
        if (where > 1)
            give_bytes(object, 4);
        object_fail(object, broken);
        assert_int_equal(reader.wakes, 1);
        assert_int_equal(object_end(object), OBJECT_FAILED);
        assert_string_equal(object_failure(object).detail, "test");
        object_read_t said;
        assert_int_equal(take(&reader, 100, &said), where > 1 ? 4 : 0);
        assert_int_equal(said, READ_FAILED);
        assert_false(join(object, &late));
        object_leave(&reader.super);
        assert_int_equal(filler.abandoned, 0); /* nobody is left to be told */
        finish(&object);
    }
}

static void the_last_to_leave_is_told(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t readers[3];
    for (int i = 0; i < 3; i++)
        assert_true(join(object, &readers[i]));
    static const int order[] = {1, 0, 2}; /* from the middle, the end and the beginning of the list */
    for (int i = 0; i < 3; i++) {
        assert_false(object_fail_if_unread(object, broken));
        assert_int_equal(filler.abandoned, 0);
        object_leave(&readers[order[i]].super);
        object_check(object);
    }
    assert_int_equal(filler.abandoned, 1);
    /* Somebody comes after all, before the filler looks. */
    assert_true(join(object, &readers[0]));
    assert_false(object_fail_if_unread(object, broken));
    object_leave(&readers[0].super);
    assert_int_equal(filler.abandoned, 2);
    assert_true(object_unread(object));
    assert_true(object_fail_if_unread(object, broken));
    assert_false(join(object, &readers[1]));
    finish(&object);
}

/* Windows: a filler that is told "not all" is always told later that there is room, whatever was left of it
 * and whoever made it: a reader that reads, that leaves, or that is cut off. */
static void room_is_always_told(void **state)
{
    (void)state;
    enum { READS, LEAVES, IS_CUT };
    const size_t window = (size_t)WINDOW_BLOCKS * BLOCK_BYTES;
    static const size_t lefts[] = {0, 1, 100, BLOCK_BYTES - 1, BLOCK_BYTES};
    for (int how = READS; how <= IS_CUT; how++)
        for (size_t i = 0; i < sizeof lefts / sizeof *lefts; i++) {
            filler_t filler;
            object_t *object = begin_object(&filler);
            reader_t slow, fast;
            assert_true(join(object, &slow) && join(object, &fast));
            give_head(object, -1, OBJECT_WINDOWED);
            assert_int_equal(object_room(object, 1), 1);
            give_bytes(object, window - lefts[i]);
            object_read_t said;
            take(&fast, window, &said);
            assert_int_equal(object_room(object, lefts[i] + 1), lefts[i]);
            if (lefts[i] > 0)
                give_bytes(object, lefts[i]);
            assert_int_equal(filler.room, 0);
            take(&fast, window, &said);
            assert_int_equal(filler.room, 0); /* the slow one holds it all */
            if (how == READS) {
                take(&slow, BLOCK_BYTES - 1, &said);
                assert_int_equal(filler.room, 0);
                take(&slow, 1, &said);
            } else if (how == LEAVES)
                object_leave(&slow.super);
            else
                assert_int_equal(object_cut_laggards(object), 1);
            assert_int_equal(filler.room, 1);
            assert_true(object_room(object, BLOCK_BYTES) == BLOCK_BYTES);
            assert_int_equal(filler.room, 1);
            if (how == IS_CUT) {
                take(&slow, 1, &said);
                assert_int_equal(said, READ_BEHIND);
            }
            object_leave(&slow.super);
            object_leave(&fast.super);
            assert_int_equal(filler.abandoned, 1);
            object_fail(object, broken);
            finish(&object);
        }
}

/* However far it runs, no more than the window is held, and every byte comes to who keeps up. */
static void a_window_bounds_what_is_held(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t reader, late;
    assert_true(join(object, &reader));
    give_head(object, -1, OBJECT_WINDOWED);
    size_t sent = 0, read = 0;
    object_read_t said;
    while (sent < 50 * (size_t)BLOCK_BYTES) {
        size_t room = object_room(object, 300001);
        if (room > 0)
            give_bytes(object, room);
        sent += room;
        assert_true(atomic_load(&account.bytes) <= (int64_t)(WINDOW_BLOCKS + 1) * (BLOCK_BYTES + 4096));
        if (room < 300001)
            read += take(&reader, 700001, &said);
    }
    assert_false(join(object, &late)); /* its beginning is gone */
    object_complete(object);
    read += take(&reader, SIZE_MAX, &said);
    assert_int_equal(said, READ_END);
    assert_int_equal(read, sent);
    object_leave(&reader.super);
    finish(&object);
}

/* It stops being kept in the middle: who is far behind goes on, and the filler waits for it. */
/* A reader of a part holds no window for what it does not want, before it and behind, and is woken only when
 * its bytes have come. */
static void a_part_holds_no_window(void **state)
{
    (void)state;
    const uint64_t first = 20 * (uint64_t)BLOCK_BYTES + 5, length = 40 * (uint64_t)BLOCK_BYTES;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t reader;
    assert_true(join(object, &reader));
    give_head(object, (int64_t)length, OBJECT_WINDOWED);
    object_seek(&reader.super, first, first + 100);
    object_read_t said;
    assert_int_equal(take(&reader, 1, &said), 0);
    assert_int_equal(said, READ_WAIT);
    for (uint64_t sent = 0; sent < length; sent += BLOCK_BYTES) {
        assert_int_equal(object_room(object, BLOCK_BYTES), BLOCK_BYTES);
        unsigned woken = reader.wakes;
        give_bytes(object, BLOCK_BYTES);
        bool comes = sent <= first && first < sent + BLOCK_BYTES;
        assert_int_equal(reader.wakes - woken, comes);
        if (comes) {
            assert_int_equal(take(&reader, SIZE_MAX, &said), 100);
            assert_int_equal(said, READ_END);
        }
        assert_true(atomic_load(&account.bytes) <= 2 * (int64_t)(BLOCK_BYTES + 4096));
    }
    object_complete(object);
    object_leave(&reader.super);
    finish(&object);
}

/* However the body lies: growing, in one piece, in many. */
static void a_part_is_exactly_its_bytes(void **state)
{
    (void)state;
    const size_t lengths[] = {100, 3 * BLOCK_BYTES + 7};
    for (int growing = 0; growing < 2; growing++)
        for (size_t i = 0; i < 2; i++) {
            filler_t filler;
            object_t *object = begin_object(&filler);
            reader_t reader;
            assert_true(join(object, &reader));
            give_head(object, (int64_t)lengths[i], 0);
            if (growing)
                object_seek(&reader.super, 3, lengths[i] - 4);
            give_bytes(object, lengths[i]);
            object_complete(object);
            if (!growing)
                object_seek(&reader.super, 3, lengths[i] - 4);
            object_read_t said;
            assert_int_equal(take(&reader, SIZE_MAX, &said), lengths[i] - 7);
            assert_int_equal(said, READ_END);
            object_leave(&reader.super);
            finish(&object);
        }
}

/* One after the other, in any order; what was taken is the sum of them. */
static void several_parts_by_one_reader(void **state)
{
    (void)state;
    const uint64_t length = 3 * BLOCK_BYTES + 7;
    const struct {
        uint64_t first, end;
    } parts[] = {{BLOCK_BYTES - 5, BLOCK_BYTES + 5}, {length - 9, length}, {0, 2}};
    for (int growing = 0; growing < 2; growing++) {
        filler_t filler;
        object_t *object = begin_object(&filler);
        reader_t reader, stays;
        assert_true(join(object, &reader) && join(object, &stays));
        give_head(object, (int64_t)length, 0);
        give_bytes(object, length);
        if (!growing)
            object_complete(object);
        for (size_t i = 0; i < 3; i++) {
            object_read_t said;
            object_seek(&reader.super, parts[i].first, parts[i].end);
            assert_int_equal(take(&reader, SIZE_MAX, &said), parts[i].end - parts[i].first);
            assert_int_equal(said, READ_END);
        }
        object_leave(&reader.super);
        assert_int_equal(object_taken(object), 10 + 9 + 2);
        if (growing)
            object_complete(object);
        object_leave(&stays.super);
        finish(&object);
    }
}

/* What a window has left is not there any more: never other bytes in its place. */
static void no_way_back_in_a_window(void **state)
{
    (void)state;
    for (int complete = 0; complete < 2; complete++) {
        filler_t filler;
        object_t *object = begin_object(&filler);
        reader_t reader;
        assert_true(join(object, &reader));
        give_head(object, 3 * (int64_t)BLOCK_BYTES, OBJECT_WINDOWED);
        assert_false(object_keeps(object));
        object_seek(&reader.super, BLOCK_BYTES, 2 * (uint64_t)BLOCK_BYTES);
        give_bytes(object, 3 * (size_t)BLOCK_BYTES);
        object_read_t said;
        assert_int_equal(take(&reader, SIZE_MAX, &said), BLOCK_BYTES);
        if (complete)
            object_complete(object);
        assert_int_equal(object_keeps(object), complete);
        object_seek(&reader.super, 5, 10);
        assert_int_equal(take(&reader, SIZE_MAX, &said), 0);
        assert_int_equal(said, READ_BEHIND);
        object_leave(&reader.super);
        if (!complete)
            object_complete(object);
        finish(&object);
    }
}

static void an_object_may_become_windowed(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t slow;
    assert_true(join(object, &slow));
    give_head(object, -1, OBJECT_SHAREABLE | OBJECT_ADMITTED);
    assert_int_equal(object_room(object, SIZE_MAX), SIZE_MAX);
    give_bytes(object, (WINDOW_BLOCKS + 4) * (size_t)BLOCK_BYTES);
    object_make_windowed(object);
    assert_int_equal(object_room(object, 1), 0);
    object_read_t said;
    take(&slow, BLOCK_BYTES, &said);
    assert_int_equal(filler.room, 1);
    assert_int_equal(object_room(object, 1), 0); /* not enough yet: asked again, told again */
    take(&slow, BLOCK_BYTES, &said);
    assert_int_equal(filler.room, 2);
    take(&slow, 3 * (size_t)BLOCK_BYTES, &said);
    assert_int_equal(object_room(object, 1), 1);
    object_complete(object);
    assert_int_equal(take(&slow, SIZE_MAX, &said), (WINDOW_BLOCKS - 1) * (size_t)BLOCK_BYTES);
    assert_int_equal(said, READ_END);
    object_leave(&slow.super);
    finish(&object);
}

/* Cut off while it waits for nothing, it still learns it, also after the end. */
static void who_was_cut_off_never_sees_an_end(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler);
    reader_t slow;
    assert_true(join(object, &slow));
    give_head(object, -1, OBJECT_WINDOWED);
    give_bytes(object, WINDOW_BLOCKS * (size_t)BLOCK_BYTES);
    assert_int_equal(object_cut_laggards(object), 0); /* nobody waits for them */
    assert_int_equal(object_room(object, 1), 0);
    assert_int_equal(object_cut_laggards(object), 1);
    assert_int_equal(object_cut_laggards(object), 0);
    object_complete(object);
    object_read_t said;
    assert_int_equal(take(&slow, 1, &said), 0);
    assert_int_equal(said, READ_BEHIND);
    object_leave(&slow.super);
    finish(&object);
}

static void a_304_shares_the_body(void **state)
{
    (void)state;
    filler_t filler;
    object_t *base = begin_object(&filler);
    give_head(base, 5, OBJECT_SHAREABLE);
    give_bytes(base, 5);
    object_complete(base);
    object_t *fresh = begin_object(&filler);
    reader_t reader;
    assert_true(join(fresh, &reader));
    assert_true(object_wait_head(&reader.super));
    http_field_t list[8];
    http_storing_t storing = {.storable = true, .lifetime_ms = 1};
    head_t *head = head_new(&account, 200, fields_of(list, LINES("a: b")), 5, &storing, NOW_MS, NULL);
    object_adopt(fresh, &head, OBJECT_SHAREABLE, base);
    assert_int_equal(reader.wakes, 1);
    /* That of the bytes, whatever names the object. */
    assert_int_equal(object_body_version(fresh).low, object_version(base).low);
    assert_int_not_equal(object_version(fresh).low, object_version(base).low);
    assert_true(object_revalidated(fresh));
    object_unref(&base);
    object_read_t said;
    assert_int_equal(take(&reader, 9, &said), 5);
    assert_int_equal(said, READ_END);
    object_leave(&reader.super);
    object_unref(&fresh);
    assert_int_equal(released, 2);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* What was kept elsewhere is complete at once, and like any other from then on. */
static void what_is_loaded_is_complete(void **state)
{
    (void)state;
    static const struct {
        size_t length;
        unsigned flags;
    } rows[] = {{5, OBJECT_SHAREABLE | OBJECT_ADMITTED},
                {BLOCK_BYTES + 5, OBJECT_SHAREABLE | OBJECT_ADMITTED},
                {0, OBJECT_ADMITTED},
                {0, OBJECT_ADMITTED | OBJECT_SPARSE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        filler_t filler;
        object_t *object = begin_object(&filler);
        size_t read = (rows[i].length + 511) / 512 * 512;
        const version_id_t of_bytes = {8, 9};
        body_t *body = read > 0 ? body_for_load(&account, read, 0) : body_new(&account, of_bytes, 0);
        struct iovec places[BODY_LOAD_BLOCKS_MAX];
        for (int place = read > 0 ? body_load_places(body, places) : 0; place > 0; place--)
            memset(places[place - 1].iov_base, 'x', places[place - 1].iov_len);
        if (read > 0)
            body_loaded(body, of_bytes, rows[i].length);
        http_field_t list[8];
        const http_storing_t storing = {.storable = true, .lifetime_ms = 60000};
        int64_t whole = rows[i].flags & OBJECT_SPARSE ? 5000000 : (int64_t)rows[i].length;
        head_t *head = head_new(&account, 200, fields_of(list, LINES("a: b")), whole, &storing, NOW_MS, NULL);
        object_complete_loaded(object, &head, rows[i].flags, &body);
        assert_null(head);
        assert_null(body);
        assert_int_equal(object_end(object), OBJECT_COMPLETE);
        assert_int_equal(object_shareable(object), (rows[i].flags & OBJECT_SHAREABLE) != 0);
        assert_int_equal(object_sparse(object), (rows[i].flags & OBJECT_SPARSE) != 0);
        assert_false(object_revalidated(object));
        assert_int_equal(object_body_version(object).low, 8);
        assert_in_range(object_weight(object), rows[i].length, rows[i].length + 2000);
        reader_t reader = {.wakes = 0};
        object_t *reference = object;
        object_read_t said;
        object_ref(object);
        object_open(&reference, &reader.super);
        assert_int_equal(take(&reader, SIZE_MAX, &said), rows[i].length);
        assert_int_equal(said, READ_END);
        object_leave(&reader.super);
        finish(&object);
    }
}

/* A verdict is remembered up to the sequence it was found for, and no further. */
static void verdicts_are_remembered_no_longer_than_true(void **state)
{
    (void)state;
    ledger_t *ledger = ledger_new(64, 16);
    ledger_subject_t subject = ledger_subject(TEXT("www"), TEXT("/a"));
    object_t *object = object_new(&account, &subject, 0, (version_id_t){1, 1}, on_release);
    released = 0;
    static const struct {
        rule_kind_t kind;
        const char *target;
        bool soft;
        ledger_verdict_t then;
    } rows[] = {
        {RULE_URL, "/other", false, LEDGER_VALID}, {RULE_URL, "/a", true, LEDGER_SOFT},
        {RULE_URL, "/other", false, LEDGER_SOFT},  {RULE_SITE, "", true, LEDGER_SOFT},
        {RULE_URL, "/a", false, LEDGER_HARD},      {RULE_URL, "/other", true, LEDGER_HARD},
    };
    assert_int_equal(object_judge(object, ledger, 0).verdict, LEDGER_VALID);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ledger_rule_t rule = {rows[i].kind,        rows[i].soft, i + 1,
                              NOW_MS + (int64_t)i, TEXT("www"),  text_of(rows[i].target)};
        ledger_apply(ledger, &rule);
        ledger_publish(ledger, i + 1);
        for (int twice = 0; twice < 2; twice++) {
            ledger_judgement_t judgement = object_judge(object, ledger, i + 1);
            assert_int_equal(judgement.verdict, rows[i].then);
            if (rows[i].then == LEDGER_SOFT)
                assert_true(judgement.stale_since_ms <= NOW_MS + 1);
        }
    }
    ledger_free(&ledger);
    finish(&object);
}

static void references(void **state)
{
    (void)state;
    filler_t filler;
    object_t *object = begin_object(&filler), *second = object;
    assert_true(object_try_ref(object));
    object_unref(&second);
    assert_null(second);
    assert_int_equal(released, 0);
    assert_int_equal(object_stamp(object), 5);
    assert_int_equal(object_version(object).high, 7);
    assert_int_equal(object_subject(object)->url.low, 1);
    assert_true(object_of_reclaim(object_reclaim(object)) == object);
    assert_null(object_variants(object));
    assert_int_equal(object_selector(object).length, 0);
    assert_int_equal(object_length(object), 0);
    finish(&object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_grows_and_completes),
        cmocka_unit_test(a_failure_is_told_after_what_came),
        cmocka_unit_test(the_last_to_leave_is_told),
        cmocka_unit_test(room_is_always_told),
        cmocka_unit_test(a_window_bounds_what_is_held),
        cmocka_unit_test(a_part_holds_no_window),
        cmocka_unit_test(a_part_is_exactly_its_bytes),
        cmocka_unit_test(several_parts_by_one_reader),
        cmocka_unit_test(no_way_back_in_a_window),
        cmocka_unit_test(an_object_may_become_windowed),
        cmocka_unit_test(who_was_cut_off_never_sees_an_end),
        cmocka_unit_test(a_304_shares_the_body),
        cmocka_unit_test(what_is_loaded_is_complete),
        cmocka_unit_test(verdicts_are_remembered_no_longer_than_true),
        cmocka_unit_test(references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
