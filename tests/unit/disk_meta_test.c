/* The meta of the disk tier's records: a head that goes out and comes in is the same, and what is changed of
 * it on the way never comes in. */
#include "edge/cache/disk/little_endian.h"
#include "tests/unit/kept_objects.h"

enum { CASES = 1500 };

/* --- The same --- */

static void assert_text(text_t a, text_t b)
{
    assert_int_equal(a.data == NULL, b.data == NULL);
    assert_true(text_equal(a, b));
}

static void assert_same_storing(const http_storing_t *a, const http_storing_t *b)
{
    assert_int_equal(a->storable, b->storable);
    assert_int_equal(a->shareable, b->shareable);
    assert_int_equal(a->no_cache, b->no_cache);
    assert_int_equal(a->must_revalidate, b->must_revalidate);
    assert_int_equal(a->why == NULL, b->why == NULL);
    if (a->why != NULL)
        assert_string_equal(a->why, b->why);
    assert_int_equal(a->lifetime_ms, b->lifetime_ms);
    assert_int_equal(a->initial_age_ms, b->initial_age_ms);
    assert_int_equal(a->stale.while_revalidate_ms, b->stale.while_revalidate_ms);
    assert_int_equal(a->stale.if_error_ms, b->stale.if_error_ms);
}

static void assert_same_tags(const head_t *a, const head_t *b)
{
    assert_int_equal(a->tags.count, b->tags.count);
    assert_int_equal(a->own_tags, b->own_tags);
    for (size_t i = 0; i < a->tags.count; i++)
        assert_memory_equal(&a->tags.at[i], &b->tags.at[i], sizeof a->tags.at[i]);
    assert_true(head_tags_within(a, b) && head_tags_within(b, a));
}

static void assert_same_head(const head_t *a, const head_t *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->content_length, b->content_length);
    assert_int_equal(a->response_time_ms, b->response_time_ms);
    assert_same_storing(&a->storing, &b->storing);
    assert_int_equal(a->fields.count, b->fields.count);
    for (size_t i = 0; i < a->fields.count; i++) {
        assert_text(a->fields.at[i].name, b->fields.at[i].name);
        assert_text(a->fields.at[i].value, b->fields.at[i].value);
    }
    assert_int_equal(a->sent, b->sent);
    assert_text(a->etag, b->etag);
    assert_text(a->last_modified, b->last_modified);
    assert_text(a->date, b->date);
    assert_same_tags(a, b);
}

static head_t *freshened(const head_t *stored)
{
    http_field_t list[8];
    const char *const lines[] = {"cache-control: max-age=99", "etag: \"abc\"", "x-any: new", NULL};
    return head_freshened(stored, &(http_exchange_t){.status = 304,
                                                     .fields = fields_of(list, lines),
                                                     .request_time_ms = NOW_MS,
                                                     .response_time_ms = NOW_MS});
}

/* What is asked of a head by those who decide. */
static void assert_same_decisions(const head_t *a, const head_t *b)
{
    for (int64_t now_ms = NOW_MS; now_ms < NOW_MS + 200000; now_ms += 50000) {
        assert_int_equal(head_age_ms(a, now_ms), head_age_ms(b, now_ms));
        assert_int_equal(head_ttl_ms(a, now_ms, INT64_MAX), head_ttl_ms(b, now_ms, INT64_MAX));
    }
    assert_int_equal(head_has_validator(a), head_has_validator(b));
    assert_int_equal(head_takes_ranges(a), head_takes_ranges(b));
    http_selected_t one = head_selected(a, 5, true), other = head_selected(b, 5, true);
    assert_text(one.etag, other.etag);
    assert_text(one.date, other.date);
    assert_int_equal(one.is_coded, other.is_coded);
    head_t *first = freshened(a), *second = freshened(b);
    assert_same_head(first, second);
    head_free(&first);
    head_free(&second);
}

static void assert_same_place(const disk_meta_t *meta, const kept_t *kept)
{
    assert_text(meta->site, kept->key.site);
    assert_text(meta->target, kept->key.target);
    assert_text(meta->selector, kept->variant.selector);
    assert_int_equal(meta->has_node, kept->node != NULL);
    version_id_t id = kept->node != NULL ? variants_id(kept->node) : (version_id_t){0, 0};
    assert_true(meta->node.low == id.low && meta->node.high == id.high);
    assert_int_equal(meta->vary.kind, kept->node != NULL ? HTTP_VARY_NAMES : HTTP_VARY_NONE);
    size_t names = kept->node != NULL ? variants_vary(kept->node)->count : 0;
    assert_int_equal(meta->vary.count, names);
    for (size_t i = 0; i < names; i++)
        assert_text(meta->vary.names[i], variants_vary(kept->node)->names[i]);
}

/* Under the name that what was found has by itself. */
static void assert_same_name(const disk_meta_t *meta, const kept_t *kept)
{
    cache_key_t key = cache_key(meta->site, meta->target);
    variants_t *node = meta->has_node ? variants_new(NULL, &meta->vary, meta->node) : NULL;
    const cache_variant_t found = {node, meta->selector};
    bool was_part = kept->variant.selector.data != NULL;
    ledger_hash_t now = memory_name(&key, meta->selector.data != NULL ? &found : NULL);
    ledger_hash_t before = memory_name(&kept->key, was_part ? &kept->variant : NULL);
    assert_memory_equal(&now, &before, sizeof now);
    if (node != NULL)
        variants_unref(&node);
}

/* Put again it has the very same bytes. */
static void assert_puts_the_same(const kept_t *kept, const disk_meta_t *meta, const meta_bytes_t *bytes)
{
    memory_account_t account = {0};
    body_t *body = body_new(&account, (version_id_t){1, 2}, 0);
    uint64_t length = object_length(kept->object);
    char *zeroes = must_calloc(1, length + 1);
    body_append(body, zeroes, length);
    free(zeroes);
    assert_true(disk_meta_has_body(meta, length));
    head_t *head = head_load(&account, meta);
    object_t *object = object_new(&account, &kept->key.subject, 1, (version_id_t){1, 2}, on_release);
    object_complete_loaded(object, &head, meta->flags, &body);
    meta_bytes_t again = put(kept, object);
    assert_int_equal(again.length, bytes->length);
    assert_memory_equal(again.data, bytes->data, bytes->length);
    free(again.data);
    object_unref(&object);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void what_goes_out_comes_in_the_same(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CASES; i++) {
        kept_t kept;
        draw_kept(&kept);
        meta_bytes_t bytes = put(&kept, kept.object);
        disk_meta_t meta;
        assert_true(disk_meta_parse(bytes.data, bytes.length, RECORD_OBJECT, &meta));
        assert_same_place(&meta, &kept);
        assert_same_name(&meta, &kept);
        assert_int_equal(meta.flags & OBJECT_SHAREABLE, object_shareable(kept.object) ? OBJECT_SHAREABLE : 0);
        assert_int_equal(meta.flags & OBJECT_ADMITTED, object_admitted(kept.object) ? OBJECT_ADMITTED : 0);
        assert_int_equal(meta.flags & OBJECT_SPARSE, object_sparse(kept.object) ? OBJECT_SPARSE : 0);
        memory_account_t account = {0};
        const head_t *head = object_head(kept.object);
        head_t *loaded = head_load(&account, &meta);
        assert_puts_the_same(&kept, &meta, &bytes);
        memset(bytes.data, 0xee, bytes.length); /* the head keeps copies */
        free(bytes.data);
        assert_same_head(head, loaded);
        assert_same_decisions(head, loaded);
        assert_int_equal(atomic_load(&account.bytes), head_weight(loaded));
        head_free(&loaded);
        assert_int_equal(atomic_load(&account.bytes), 0);
        drop(&kept);
    }
}

/* What the policy of then removed or held back is not looked at again, nor is what nobody would store now. */
static void nothing_is_judged_again(void **state)
{
    (void)state;
    memory_account_t account = {0};
    http_field_t list[8];
    const http_storing_t storing = {.storable = true, .shareable = true, .lifetime_ms = 5};
    const char *const lines[] = {"set-cookie: a=b", "surrogate-control: x", "age: 7", NULL};
    head_t *head = head_new(&account, 200, fields_of(list, lines), 0, &storing, NOW_MS, &plain_policy);
    http_field_t odd[] = {{TEXT("age"), TEXT("7")},
                          {TEXT("connection"), TEXT("close")},
                          {TEXT("date"), TEXT("never")},
                          {TEXT("content-length"), TEXT("3")},
                          {TEXT("surrogate-control"), TEXT("x")}};
    head->fields = (http_fields_t){odd, 5};
    head->sent = 2;
    head_t *copy = head_copy(&account, head);
    assert_int_equal(copy->fields.count, 5);
    assert_int_equal(copy->sent, 2);
    for (size_t i = 0; i < 5; i++)
        assert_text(copy->fields.at[i].value, odd[i].value);
    assert_text(copy->date, TEXT("never"));
    head_free(&copy);
    head_free(&head);
    assert_int_equal(atomic_load(&account.bytes), 0);
}

static void nodes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        kept_t kept;
        draw_kept(&kept);
        variants_t *node = draw_node();
        size_t length = disk_meta_node_size(&kept.key, node);
        uint8_t *data = must_alloc(length);
        disk_meta_t meta;
        assert_int_equal(disk_meta_put_node(&kept.key, node, data), length);
        assert_false(disk_meta_parse(data, length, RECORD_OBJECT, &meta));
        assert_false(disk_meta_parse(data, length, RECORD_TOMBSTONES, &meta));
        assert_true(disk_meta_parse(data, length, RECORD_VARIANTS, &meta));
        assert_text(meta.site, kept.key.site);
        assert_text(meta.target, kept.key.target);
        assert_null(meta.selector.data);
        variants_t *found = variants_new(NULL, &meta.vary, meta.node);
        assert_true(variants_cover(found, variants_vary(node)) && variants_cover(node, variants_vary(found)));
        assert_true(variants_id(found).low == variants_id(node).low);
        for (size_t j = 0; j < length; j++)
            assert_false(disk_meta_parse(data, j, RECORD_VARIANTS, &meta));
        meta_bytes_t object = put(&kept, kept.object);
        assert_false(disk_meta_parse(object.data, object.length, RECORD_VARIANTS, &meta));
        free(object.data);
        free(data);
        variants_unref(&found);
        variants_unref(&node);
        drop(&kept);
    }
}

/* --- Changed --- */

static void no_part_of_it_is_enough(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        kept_t kept;
        draw_kept(&kept);
        meta_bytes_t bytes = put(&kept, kept.object);
        disk_meta_t meta;
        for (size_t length = 0; length < bytes.length; length++) {
            uint8_t *part = must_alloc(length + 1);
            memcpy(part, bytes.data, length);
            assert_false(disk_meta_parse(part, length, RECORD_OBJECT, &meta));
            free(part);
        }
        uint8_t *longer = must_calloc(1, bytes.length + 1);
        memcpy(longer, bytes.data, bytes.length);
        assert_false(disk_meta_parse(longer, bytes.length + 1, RECORD_OBJECT, &meta));
        free(longer);
        free(bytes.data);
        drop(&kept);
    }
}

/* A head of known bytes: a variant of `/a` at `www`, selected by two fields. */
enum { HEAD_AT = 8 + 16 + 3 + 2 + 4 + (2 + 6) + (2 + 6) };

static meta_bytes_t known_meta(void)
{
    kept_t kept = {.account = {0}};
    const text_t names[] = {{"cookie", 6}, {"origin", 6}};
    const http_vary_t vary = {HTTP_VARY_NAMES, 2, names};
    kept.key = cache_key(TEXT("www"), TEXT("/a"));
    kept.node = variants_new(NULL, &vary, (version_id_t){3, 4});
    kept.variant = (cache_variant_t){kept.node, TEXT("a\nb\n")};
    const http_storing_t storing = {.storable = true, .why = "x", .lifetime_ms = 5};
    http_field_t list[8];
    head_t *head = head_new(&kept.account, 200, fields_of(list, LINES("surrogate-key: one", "a: b")), 0,
                            &storing, NOW_MS, &plain_policy);
    head_tag(head, TEXT("www"), TEXT("/a"), &plain_policy, NULL);
    kept.object = object_new(&kept.account, &kept.key.subject, 1, (version_id_t){1, 2}, on_release);
    body_t *body = body_new(&kept.account, (version_id_t){1, 2}, 0);
    object_complete_loaded(kept.object, &head, OBJECT_ADMITTED, &body);
    meta_bytes_t bytes = put(&kept, kept.object);
    object_unref(&kept.object);
    variants_unref(&kept.node);
    return bytes;
}

static void what_is_out_of_range(void **state)
{
    (void)state;
    static const struct {
        size_t at, size;
        uint64_t value;
        bool right;
    } rows[] = {
        {0, 1, 3, true},       /* as it is */
        {0, 2, 0xffff, false}, /* the key's lengths */
        {2, 2, 0xffff, false},
        {4, 2, 0xffff, false},
        {6, 1, 1, false}, /* a node's variant without a selector */
        {6, 1, 2, false}, /* no node, and yet names */
        {6, 1, 7, false},
        {7, 1, 3, false},
        {7, 1, 65, false},
        {7, 1, 255, false},
        {33, 2, 0xffff, false},         /* names: cookie, origin */
        {35, 1, 'z', false},            /* not in their order */
        {43, 6, 0x65696b6f6f63, false}, /* one of them twice */
        {HEAD_AT, 2, 99, false},        /* status */
        {HEAD_AT, 2, 100, true},
        {HEAD_AT, 2, 999, true},
        {HEAD_AT, 2, 1000, false},
        {HEAD_AT + 2, 1, 15, true}, /* bits, flags */
        {HEAD_AT + 2, 1, 16, false},
        {HEAD_AT + 3, 1, 7, true},
        {HEAD_AT + 3, 1, 8, false},
        {HEAD_AT + 4, 2, 4, false}, /* fields: 3 */
        {HEAD_AT + 4, 2, 2, false},
        {HEAD_AT + 6, 2, 3, true}, /* sent */
        {HEAD_AT + 6, 2, 4, false},
        {HEAD_AT + 8, 2, 4, false}, /* tags: 3 */
        {HEAD_AT + 8, 2, 2, false},
        {HEAD_AT + 10, 2, 0, true}, /* own */
        {HEAD_AT + 10, 2, 4, false},
        {HEAD_AT + 12, 2, 1, false}, /* why: 2 */
        {HEAD_AT + 12, 2, 0xffff, false},
        {HEAD_AT + 14, 1, 1, false},
        {HEAD_AT + 16, 8, (uint64_t)-1, true}, /* content length */
        {HEAD_AT + 16, 8, (uint64_t)-2, false},
        {HEAD_AT + 24, 8, (uint64_t)-5, true},  /* before 1970 */
        {HEAD_AT + 32, 8, (uint64_t)-1, false}, /* durations */
        {HEAD_AT + 32, 8, INT64_MAX / 8, true},
        {HEAD_AT + 32, 8, INT64_MAX / 8 + 1, false},
        {HEAD_AT + 40, 8, (uint64_t)-1, false},
        {HEAD_AT + 48, 8, (uint64_t)-1, false},
        {HEAD_AT + 56, 8, (uint64_t)-1, false},
        {HEAD_AT + 64, 2, 0xffff, false}, /* the first field */
        {HEAD_AT + 66, 2, 0xffff, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        meta_bytes_t bytes = known_meta();
        disk_meta_t meta;
        le_put(bytes.data + rows[i].at, rows[i].value, rows[i].size);
        if (disk_meta_parse(bytes.data, bytes.length, RECORD_OBJECT, &meta) != rows[i].right)
            fail_msg("row %zu", i);
        free(bytes.data);
    }
}

/* The text of a reason ends where it is said to end. */
static void a_reason_ends_once(void **state)
{
    (void)state;
    meta_bytes_t bytes = known_meta();
    disk_meta_t meta;
    size_t at = bytes.length - 3 * 16 - 2;
    assert_memory_equal(bytes.data + at, "x", 2);
    bytes.data[at] = '\0';
    assert_false(disk_meta_parse(bytes.data, bytes.length, RECORD_OBJECT, &meta));
    memcpy(bytes.data + at, "xx", 2);
    assert_false(disk_meta_parse(bytes.data, bytes.length, RECORD_OBJECT, &meta));
    free(bytes.data);
}

static void which_bodies_go_with_it(void **state)
{
    (void)state;
    static const struct {
        unsigned flags;
        int64_t content_length;
        uint64_t length;
        bool right;
    } rows[] = {{0, 5, 5, true},
                {0, 5, 4, false},
                {0, 0, 0, true},
                {0, -1, 0, true},
                {0, -1, 7, true},
                {OBJECT_SPARSE, 5, 0, true},
                {OBJECT_SPARSE, 5, 5, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const disk_meta_t meta = {.flags = rows[i].flags, .content_length = rows[i].content_length};
        assert_int_equal(disk_meta_has_body(&meta, rows[i].length), rows[i].right);
    }
}

/* --- All of a record --- */

static const record_address_t here = {1, 2, 8};

static meta_bytes_t put_record(const kept_t *kept, text_t body)
{
    meta_bytes_t meta = put(kept, kept->object);
    record_t record = {.kind = RECORD_OBJECT,
                       .name = kept->key.subject.url,
                       .stamp = object_stamp(kept->object),
                       .version = object_body_version(kept->object),
                       .meta_bytes = (uint32_t)meta.length,
                       .body_bytes = (uint32_t)body.length,
                       .meta_checksum = record_meta_checksum(meta.data, meta.length)};
    if (body.length > 0)
        record.block_checksums[0] = record_block_checksum(record.version, 0, body.data, body.length);
    meta_bytes_t all = {NULL, (size_t)record_units(&record) * DISK_UNIT};
    all.data = must_calloc(1, all.length);
    record_header_put(all.data, &record, &here);
    memcpy(all.data + RECORD_HEADER_BYTES, meta.data, meta.length);
    if (body.length > 0)
        memcpy(all.data + (size_t)record_meta_units(&record) * DISK_UNIT, body.data, body.length);
    free(meta.data);
    return all;
}

/* All that is looked at before a byte of it is served. */
static bool is_served(const meta_bytes_t *all)
{
    record_t record;
    disk_meta_t meta;
    const uint8_t *bytes = all->data + RECORD_HEADER_BYTES;
    if (!record_header_parse(all->data, all->length, &here, &record) ||
        (size_t)record_units(&record) * DISK_UNIT != all->length ||
        record_meta_checksum(bytes, record.meta_bytes) != record.meta_checksum ||
        !disk_meta_parse(bytes, record.meta_bytes, record.kind, &meta) ||
        !disk_meta_has_body(&meta, record.body_bytes))
        return false;
    const uint8_t *body = all->data + (size_t)record_meta_units(&record) * DISK_UNIT;
    return record.body_bytes == 0 ||
           record_block_checksum(record.version, 0, body, record.body_bytes) == record.block_checksums[0];
}

static void each_flipped_byte_of_a_record_is_seen(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        kept_t kept;
        draw_kept(&kept);
        object_reader_t reader;
        object_t *reference = kept.object;
        body_span_t span;
        object_ref(reference);
        object_open(&reference, &reader);
        object_read(&reader, SIZE_MAX, &span);
        meta_bytes_t all = put_record(&kept, (text_t){span.bytes, span.length});
        size_t meta_end = RECORD_HEADER_BYTES + disk_meta_size(kept.object, &kept.key, &kept.variant);
        size_t body_at = (meta_end + DISK_UNIT - 1) / DISK_UNIT * DISK_UNIT;
        assert_true(is_served(&all));
        for (size_t j = 0; j < all.length; j++) {
            bool counts = j < meta_end || (j >= body_at && j < body_at + span.length);
            all.data[j] ^= 0x40;
            assert_int_equal(is_served(&all), !counts);
            all.data[j] ^= 0x40;
        }
        free(all.data);
        object_leave(&reader);
        drop(&kept);
    }
}

static int begin(void **state)
{
    (void)state;
    memory_attach_thread(); /* nodes are freed a grace period later */
    return 0;
}

static int end(void **state)
{
    (void)state;
    memory_settle();
    memory_detach_thread();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_out_comes_in_the_same),
        cmocka_unit_test(nothing_is_judged_again),
        cmocka_unit_test(nodes),
        cmocka_unit_test(no_part_of_it_is_enough),
        cmocka_unit_test(what_is_out_of_range),
        cmocka_unit_test(a_reason_ends_once),
        cmocka_unit_test(which_bodies_go_with_it),
        cmocka_unit_test(each_flipped_byte_of_a_record_is_seen),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
