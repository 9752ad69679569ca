/* Objects of all kinds, drawn at random, as the disk tier keeps them: heads with and without what a policy
 * changes, of whole, sparse, varying ones and pieces. */
#ifndef SELVEDGE_TESTS_UNIT_KEPT_OBJECTS_H
#define SELVEDGE_TESTS_UNIT_KEPT_OBJECTS_H

#include <xxhash.h>

#include "edge/cache/disk/meta.h"
#include "tests/unit/cache_world.h"

static uint64_t state_of_random;

static inline uint64_t draw(void)
{
    return XXH3_64bits_withSeed("draw", 4, ++state_of_random);
}

static inline size_t draw_below(size_t count)
{
    return (size_t)(draw() % count);
}

static inline bool draw_bool(void)
{
    return draw() & 1;
}

static inline text_t draw_text(size_t most)
{
    size_t length = draw_below(most + 1);
    char *text = must_alloc(length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)draw();
    return (text_t){text, length};
}

static inline void free_text(text_t text)
{
    free((void *)(uintptr_t)text.data);
}

static const http_policy_t plain_policy = {.tag_fields = {{{"surrogate-key", 13}}, 1},
                                           .tags = {"all {1}", 7},
                                           .consumed = {{{"surrogate-control", 17}}, 1}};
static const http_policy_t removing_policy = {.set_cookie = HTTP_SET_COOKIE_REMOVE,
                                              .tag_fields = {{{"cache-tag", 9}}, 1}};

static const http_policy_t *draw_policy(void)
{
    static const http_policy_t *const policies[] = {NULL, &plain_policy, &removing_policy};
    return policies[draw_below(3)];
}

static inline void draw_field(http_field_t *field)
{
    static const char *const lines[][2] = {
        {"date", "Mon, 12 Jan 1970 13:46:40 GMT"},
        {"date", "yesterday"},
        {"etag", "\"abc\""},
        {"etag", "W/\"weak\""},
        {"etag", ""},
        {"last-modified", "Sat, 03 Jan 1970 00:00:00 GMT"},
        {"accept-ranges", "bytes"},
        {"content-encoding", "br"},
        {"cache-control", "max-age=60"},
        {"set-cookie", "a=b"},
        {"surrogate-control", "max-age=7"},
        {"surrogate-key", "one two three"},
        {"cache-tag", "a, b, c, d"},
        {"x-empty", ""},
        {"connection", "x-named"},
        {"x-named", "1"},
    };
    size_t row = draw_below(sizeof lines / sizeof *lines + 4);
    if (row < sizeof lines / sizeof *lines) {
        *field = (http_field_t){text_of(lines[row][0]), text_of(lines[row][1])};
        return;
    }
    *field = (http_field_t){TEXT("x-any"), draw_text(row % 2 == 0 ? 300 : 10)};
}

static inline int64_t draw_duration(void)
{
    return (int64_t)(draw() % (draw_bool() ? UINT64_C(100000) : UINT64_C(1) << 60));
}

static inline http_storing_t draw_storing(void)
{
    return (http_storing_t){.storable = draw_bool(),
                            .shareable = draw_bool(),
                            .no_cache = draw_bool(),
                            .must_revalidate = draw_bool(),
                            .why = draw_below(4) > 0 ? NULL
                                   : draw_bool()     ? "private"
                                                     : "",
                            .lifetime_ms = draw_duration(),
                            .initial_age_ms = draw_duration(),
                            .stale = {draw_duration(), draw_duration()}};
}

static inline head_t *draw_head(memory_account_t *account, int64_t content_length)
{
    size_t count = draw_below(draw_below(10) > 0 ? 20 : 200);
    http_field_t *fields = must_calloc(count + 1, sizeof *fields);
    for (size_t i = 0; i < count; i++)
        draw_field(&fields[i]);
    const http_policy_t *policy = draw_policy();
    http_storing_t storing = draw_storing();
    head_t *head =
        head_new(account, draw_bool() ? 200 : 100 + (int)draw_below(900), (http_fields_t){fields, count},
                 content_length, &storing, NOW_MS - (int64_t)draw_below(1000000), policy);
    for (size_t i = 0; i < count; i++)
        if (text_equal(fields[i].name, TEXT("x-any")))
            free_text(fields[i].value);
    free(fields);
    head_t *before = draw_bool() ? draw_head(account, content_length) : NULL;
    head_tag(head, TEXT("www"), TEXT("/a/b"), policy, before);
    head_free(&before);
    return head;
}

/* An object, and where it belongs. */
typedef struct {
    memory_account_t account;
    cache_key_t key;
    variants_t *node;
    cache_variant_t variant;
    object_t *object;
} kept_t;

static inline void on_release(object_t *object)
{
    object_destroy(object);
}

static inline variants_t *draw_node(void)
{
    static const text_t pool[] = {
        {"accept-language", 15}, {"cookie", 6}, {"origin", 6}, {"user-agent", 10}, {"x", 1}};
    text_t names[5];
    size_t count = 0;
    for (size_t i = 0; i < 5; i++)
        if (draw_bool() || (i == 4 && count == 0))
            names[count++] = pool[i];
    const http_vary_t vary = {HTTP_VARY_NAMES, count, names};
    return variants_new(NULL, &vary, (version_id_t){draw(), draw()});
}

static inline void draw_place(kept_t *kept)
{
    kept->key = cache_key(draw_bool() ? TEXT("www") : TEXT(""), draw_text(100));
    size_t kind = draw_below(3);
    kept->node = kind == 2 ? draw_node() : NULL;
    kept->variant = (cache_variant_t){kept->node, kind > 0 ? draw_text(50) : (text_t){NULL, 0}};
}

static inline body_t *draw_body(kept_t *kept, size_t length)
{
    body_t *body = body_new(&kept->account, (version_id_t){draw(), draw()}, (int64_t)length);
    char *bytes = must_alloc(length + 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    body_append(body, bytes, length);
    free(bytes);
    body_seal(body);
    return body;
}

static inline void draw_kept(kept_t *kept)
{
    *kept = (kept_t){.account = {0}};
    draw_place(kept);
    bool sparse = draw_below(4) == 0;
    size_t length = sparse || draw_bool() ? 0 : draw_below(3000);
    body_t *body = draw_body(kept, length);
    head_t *head = draw_head(&kept->account, sparse ? 5000000 : draw_bool() ? -1 : (int64_t)length);
    kept->object =
        object_new(&kept->account, &kept->key.subject, draw_below(1000), body_version(body), on_release);
    object_complete_loaded(kept->object, &head,
                           (draw_bool() ? OBJECT_SHAREABLE : 0u) | (draw_bool() ? OBJECT_ADMITTED : 0u) |
                               (sparse ? OBJECT_SPARSE : 0u),
                           &body);
}

static inline void drop(kept_t *kept)
{
    object_unref(&kept->object);
    if (kept->node != NULL)
        variants_unref(&kept->node);
    free_text(kept->variant.selector);
    free_text(kept->key.target);
    assert_int_equal(atomic_load(&kept->account.bytes), 0);
}

typedef struct {
    uint8_t *data; /* exactly as long as it is, so that a byte too far is seen */
    size_t length;
} meta_bytes_t;

static inline meta_bytes_t put(const kept_t *kept, const object_t *object)
{
    size_t length = disk_meta_size(object, &kept->key, &kept->variant);
    meta_bytes_t bytes = {must_alloc(length), length};
    assert_int_equal(disk_meta_put(object, &kept->key, &kept->variant, bytes.data), length);
    return bytes;
}

#endif
