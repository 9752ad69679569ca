/* Heads: which fields are kept, what a 304 changes, how fresh it is. */
#include "tests/unit/cache_world.h"

static const http_storing_t storing = {.storable = true, .shareable = true, .lifetime_ms = 60000};

static head_t *head_from(memory_account_t *account, int status, const char *const *lines)
{
    http_field_t list[8];
    return head_new(account, status, fields_of(list, lines), 3, &storing, NOW_MS, NULL);
}

static head_t *freshened_by(const head_t *stored, http_fields_t not_modified, const http_policy_t *policy)
{
    return head_freshened(stored, &(http_exchange_t){.status = 304,
                                                     .policy = policy,
                                                     .fields = not_modified,
                                                     .request_time_ms = NOW_MS,
                                                     .response_time_ms = NOW_MS});
}

static head_t *freshened(const head_t *stored, http_fields_t not_modified)
{
    return freshened_by(stored, not_modified, NULL);
}

static text_t value_of(const head_t *head, const char *name)
{
    const http_field_t *field = http_fields_find(head->fields, text_of(name));
    return field ? field->value : (text_t){NULL, 0};
}

static void assert_value(const head_t *head, const char *name, const char *expected)
{
    text_t value = value_of(head, name);
    if (expected == NULL) {
        assert_null(value.data);
        return;
    }
    assert_int_equal(value.length, strlen(expected));
    assert_memory_equal(value.data, expected, value.length);
}

static void what_is_kept(void **state)
{
    (void)state;
    static const struct {
        const char *line, *name;
        bool kept;
    } rows[] = {
        {"content-type: text/plain", "content-type", true},
        {"etag: \"a\"", "etag", true},
        {"x-empty: ", "x-empty", true},
        {"set-cookie: a=b", "set-cookie", true},
        {"content-length: 3", "content-length", false},
        {"age: 7", "age", false},
        {"connection: x-mine", "connection", false},
        {"x-mine: 1", "x-mine", false}, /* named by the Connection below */
        {"transfer-encoding: chunked", "transfer-encoding", false},
        {"keep-alive: 5", "keep-alive", false},
        {"upgrade: h2c", "upgrade", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        head_t *head = head_from(&account, 200, LINES("connection: close, X-Mine", rows[i].line, "b: c"));
        assert_int_equal(value_of(head, rows[i].name).data != NULL, rows[i].kept);
        assert_value(head, "b", "c");
        assert_true(atomic_load(&account.bytes) > 0);
        head_free(&head);
        assert_null(head);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
    head_t *none = NULL;
    head_free(&none);
}

/* What came may be gone by the time it is read. */
static void it_keeps_copies(void **state)
{
    (void)state;
    memory_account_t account = {0};
    char line[] = "etag: \"abc\"";
    head_t *head = head_from(&account, 200, LINES(line, "last-modified: Sat, 03 Jan 1970 00:00:00 GMT"));
    memset(line, 'x', sizeof line - 1);
    assert_value(head, "etag", "\"abc\"");
    assert_true(text_equal(head->etag, TEXT("\"abc\"")));
    assert_true(head->last_modified.data == value_of(head, "last-modified").data);
    head_free(&head);
}

static void a_date_is_made_when_there_is_none(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *head = head_from(&account, 200, LINES("a: b"));
    assert_value(head, "date", "Mon, 12 Jan 1970 13:46:40 GMT"); /* NOW_MS */
    assert_true(head->date.data == value_of(head, "date").data);
    head_free(&head);
    head = head_from(&account, 200, LINES("date: Sun, 11 Jan 1970 00:00:00 GMT"));
    assert_value(head, "date", "Sun, 11 Jan 1970 00:00:00 GMT");
    assert_int_equal(http_fields_count(head->fields, TEXT("date")), 1);
    head_free(&head);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

/* RFC 9110 section 5.6.7: the other two forms are read, and not written. */
static void a_date_has_one_form(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"date: Sunday, 11-Jan-70 00:00:01 GMT", "Sun, 11 Jan 1970 00:00:01 GMT"},
        {"date: Sun Jan 11 00:00:01 1970", "Sun, 11 Jan 1970 00:00:01 GMT"},
        {"date: yesterday", "Mon, 12 Jan 1970 13:46:40 GMT"}, /* NOW_MS */
        {"date: Sun, 11 Jan 1970 00:00:01", "Mon, 12 Jan 1970 13:46:40 GMT"},
        {"date: ", "Mon, 12 Jan 1970 13:46:40 GMT"},
    };
    memory_account_t account = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        head_t *head = head_from(&account, 200, LINES(rows[i][0], "a: b"));
        assert_value(head, "date", rows[i][1]);
        assert_true(head->date.data == value_of(head, "date").data);
        assert_int_equal(http_fields_count(head->fields, TEXT("date")), 1);
        head_free(&head);
    }
    head_t *head = head_from(&account, 200, LINES("date: Sun, 11 Jan 1970 00:00:00 GMT", "a: b", "date: x"));
    assert_value(head, "date", "Sun, 11 Jan 1970 00:00:00 GMT");
    assert_int_equal(http_fields_count(head->fields, TEXT("date")), 1);
    head_free(&head);
}

static void what_a_304_changes(void **state)
{
    (void)state;
    static const struct {
        const char *line, *name, *after;
    } rows[] = {
        {"cache-control: max-age=9", "cache-control", "max-age=9"},
        {"etag: \"a\"", "etag", "\"a\""},
        {"x-new: 1", "x-new", "1"},
        {"content-type: text/html", "content-type", "text/html"},
        {"content-encoding: br", "content-encoding", NULL},
        {"content-length: 0", "content-length", NULL},
        {"content-range: bytes 0-1/2", "content-range", NULL},
        {"set-cookie: a=b", "set-cookie", "a=b"}, /* and so it is not stored, unless the site wants it */
        {"age: 5", "age", NULL},
        {"connection: x-old", "x-old", "kept"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        head_t *stored = head_from(
            &account, 200,
            LINES("cache-control: max-age=1", "etag: \"a\"", "x-old: kept", "content-type: text/plain"));
        http_field_t list[8];
        head_t *head = freshened(stored, fields_of(list, LINES(rows[i].line, "x-b: c")));
        assert_value(head, rows[i].name, rows[i].after);
        assert_value(head, "x-b", "c");
        assert_int_equal(head->status, 200);
        assert_int_equal(head->content_length, 3);
        head_free(&stored);
        head_free(&head);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

/* All lines of a name go when the 304 has one of it; its Age counts though it is not kept. */
static void a_304_replaces_whole_names(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *stored =
        head_from(&account, 200, LINES("x-a: 1", "x-a: 2", "x-a: 3", "cache-control: max-age=60"));
    http_field_t list[8];
    head_t *head = freshened(stored, fields_of(list, LINES("x-a: 9", "age: 20")));
    assert_int_equal(http_fields_count(head->fields, TEXT("x-a")), 1);
    assert_value(head, "x-a", "9");
    assert_int_equal(head_ttl_ms(head, NOW_MS, INT64_MAX), 40000);
    head_free(&stored);
    head_free(&head);
}

/* It says anew, or the site does, for how long it may be used stale. */
static void a_304_says_for_how_long_it_may_be_used_stale(void **state)
{
    (void)state;
    static const http_policy_t policy = {.stale = {5000, 6000}};
    memory_account_t account = {0};
    head_t *stored = head_from(&account, 200, LINES("cache-control: max-age=60, stale-if-error=1"));
    http_field_t list[8];
    head_t *same = freshened_by(stored, fields_of(list, LINES("etag: \"a\"")), &policy);
    assert_int_equal(same->storing.stale.while_revalidate_ms, 5000);
    assert_int_equal(same->storing.stale.if_error_ms, 1000);
    head_t *other =
        freshened_by(stored, fields_of(list, LINES("cache-control: max-age=60, must-revalidate")), &policy);
    assert_int_equal(other->storing.stale.while_revalidate_ms, 0);
    assert_int_equal(other->storing.stale.if_error_ms, 0);
    head_free(&stored);
    head_free(&same);
    head_free(&other);
}

/* What is kept back stays for later decisions, behind what is sent; what is removed does not stay. */
static void what_is_not_sent_is_kept(void **state)
{
    (void)state;
    memory_account_t account = {0};
    http_field_t list[8];
    const http_policy_t policy = {.set_cookie = HTTP_SET_COOKIE_REMOVE, .consumed = {{{"x-b", 3}}, 1}};
    head_t *head =
        head_new(&account, 200, fields_of(list, LINES("x-b: 1", "set-cookie: a=b", "x-a: 1", "x-b: 2")), 3,
                 &storing, NOW_MS, &policy);
    assert_int_equal(head->sent, 2); /* and the Date */
    assert_int_equal(head->fields.count, 4);
    for (size_t i = 0; i < head->fields.count; i++)
        assert_int_equal(text_equal(head->fields.at[i].name, TEXT("x-b")), i >= head->sent);
    assert_value(head, "set-cookie", NULL);
    head_free(&head);
}

/* What is neither stored nor shared has one client, who may be logging in. */
static void what_is_for_one_client_has_its_cookie(void **state)
{
    (void)state;
    static const struct {
        bool storable, shareable;
        const char *cookie;
    } rows[] = {{false, false, "a=b"}, {false, true, NULL}, {true, false, NULL}, {true, true, NULL}};
    const http_policy_t policy = {.set_cookie = HTTP_SET_COOKIE_REMOVE};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        http_field_t list[8];
        const http_storing_t judged = {.storable = rows[i].storable, .shareable = rows[i].shareable};
        head_t *head = head_new(&account, 200, fields_of(list, LINES("x-a: 1", "set-cookie: a=b")), 3,
                                &judged, NOW_MS, &policy);
        assert_value(head, "set-cookie", rows[i].cookie);
        assert_value(head, "x-a", "1");
        head_free(&head);
    }
}

/* A cookie that was stored once stays only where the site still has cookies stored. */
static void a_stored_cookie_ends_with_the_sites_wish(void **state)
{
    (void)state;
    static const struct {
        http_set_cookie_t choice;
        const char *line, *after;
        bool shareable;
    } rows[] = {
        {HTTP_SET_COOKIE_STORE, "x-b: 1", "a=b", true},
        {HTTP_SET_COOKIE_STORE, "set-cookie: c=d", "c=d", true},
        {HTTP_SET_COOKIE_REMOVE, "x-b: 1", NULL, true},
        {HTTP_SET_COOKIE_REMOVE, "set-cookie: c=d", NULL, true},
        {HTTP_SET_COOKIE_BYPASS, "x-b: 1", NULL, true},
        {HTTP_SET_COOKIE_BYPASS, "set-cookie: c=d", "c=d", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memory_account_t account = {0};
        head_t *stored = head_from(&account, 200, LINES("cache-control: max-age=60", "set-cookie: a=b"));
        http_field_t list[8];
        const http_policy_t policy = {.set_cookie = rows[i].choice};
        head_t *head = freshened_by(stored, fields_of(list, LINES(rows[i].line)), &policy);
        assert_value(head, "set-cookie", rows[i].after);
        assert_int_equal(head->storing.shareable, rows[i].shareable);
        head_free(&stored);
        head_free(&head);
        assert_int_equal(atomic_load(&account.bytes), 0);
    }
}

/* When it was made is said by the 304 alone. */
static void a_304_dates_anew(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *stored =
        head_from(&account, 200, LINES("date: Mon, 12 Jan 1970 13:00:00 GMT", "cache-control: max-age=60"));
    http_field_t list[8];
    head_t *head = freshened(stored, fields_of(list, LINES("etag: \"a\"")));
    assert_value(head, "date", "Mon, 12 Jan 1970 13:46:40 GMT");
    assert_int_equal(head_age_ms(head, NOW_MS), 0);
    head_free(&stored);
    head_free(&head);
}

static void how_fresh_it_is(void **state)
{
    (void)state;
    static const struct {
        int64_t after_ms, soft_since_ms, ttl_ms;
    } rows[] = {
        {0, INT64_MAX, 60000},           {59999, INT64_MAX, 1},     {60000, INT64_MAX, 0},
        {61000, INT64_MAX, -1000},       {-5000, INT64_MAX, 60000}, /* the clock went back */
        {1000, NOW_MS + 1000, 0},                                   /* soft-purged this very moment: stale */
        {1000, NOW_MS + 500, -500},      {1000, NOW_MS + 9999, 0}, /* by a clock that was ahead: stale all the
                                                                      same */
        {90000, NOW_MS + 89999, -30000},
    };
    memory_account_t account = {0};
    head_t *head = head_from(&account, 200, LINES("a: b"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(head_ttl_ms(head, NOW_MS + rows[i].after_ms, rows[i].soft_since_ms), rows[i].ttl_ms);
    assert_int_equal(head_age_ms(head, NOW_MS + 1500), 1500);
    assert_true(head_ttl_ms(head, INT64_MAX, INT64_MAX) < 0);
    head_free(&head);
}

static void who_can_be_asked_about(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *line;
        bool validator;
    } rows[] = {
        {200, "etag: \"a\"", true},  {200, "last-modified: Sat, 03 Jan 1970 00:00:00 GMT", true},
        {200, "a: b", false},        {404, "etag: \"a\"", false},
        {301, "etag: \"a\"", false},
    };
    memory_account_t account = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        head_t *head = head_from(&account, rows[i].status, LINES(rows[i].line));
        assert_int_equal(head_has_validator(head), rows[i].validator);
        head_free(&head);
    }
}

/* What a protocol front keeps with it counts, and goes with it; a second one of the same kind loses. */
static void a_front_is_kept_once(void **state)
{
    (void)state;
    memory_account_t account = {0};
    head_t *head = head_from(&account, 200, LINES("a: b"));
    int64_t before = atomic_load(&account.bytes);
    head_front_t *first = must_calloc(1, 1000);
    assert_true(head_keep_front(head, first) == first);
    assert_true(atomic_load(&account.bytes) >= before + 1000);
    int64_t with = atomic_load(&account.bytes);
    assert_true(head_keep_front(head, must_calloc(1, 1000)) == first);
    assert_int_equal(atomic_load(&account.bytes), with);
    /* Of another signature there is another, beside the first. */
    head_front_t *other = must_calloc(1, 1000), *again = must_calloc(1, 1000);
    other->signature = again->signature = 1;
    assert_true(head_keep_front(head, other) == other);
    assert_true(atomic_load(&account.bytes) >= with + 1000);
    assert_true(head_keep_front(head, again) == other);
    assert_true(head_keep_front(head, must_calloc(1, 1000)) == first);
    head_free(&head);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept),
        cmocka_unit_test(it_keeps_copies),
        cmocka_unit_test(a_date_is_made_when_there_is_none),
        cmocka_unit_test(a_date_has_one_form),
        cmocka_unit_test(what_a_304_changes),
        cmocka_unit_test(a_304_replaces_whole_names),
        cmocka_unit_test(what_is_not_sent_is_kept),
        cmocka_unit_test(what_is_for_one_client_has_its_cookie),
        cmocka_unit_test(a_stored_cookie_ends_with_the_sites_wish),
        cmocka_unit_test(a_304_dates_anew),
        cmocka_unit_test(a_304_says_for_how_long_it_may_be_used_stale),
        cmocka_unit_test(how_fresh_it_is),
        cmocka_unit_test(who_can_be_asked_about),
        cmocka_unit_test(a_front_is_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
