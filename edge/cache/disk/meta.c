#include "edge/cache/disk/meta.h"

#include "edge/cache/disk/little_endian.h"

/* Key:   lengths of site 2, target 2 and selector 2, bits 1, names 1; with a node its id 16; site, target,
 *        selector; for each name: length 2, name
 * Head:  status 2, bits 1, flags 1, fields 2, sent 2, tags 2, own tags 2, length of why 2, zero 2, content
 * length 8, response time 8, lifetime 8, initial age 8, stale while revalidated 8, stale if error 8; for each
 * field: lengths of name 2 and value 2, name, value; why, with the zero that ends it; for each tag: 16
 * RECORD_VARIANTS has the key alone. */
enum { KEY_FIXED = 8, NODE_BYTES = 16, NAME_FIXED = 2, HEAD_FIXED = 64, FIELD_FIXED = 4, TAG_BYTES = 16 };
enum { KEY_HAS_NODE = 1, KEY_HAS_SELECTOR = 2, KEY_BITS = 3 };
enum { IS_STORABLE = 1, IS_SHAREABLE = 2, IS_NO_CACHE = 4, IS_MUST_REVALIDATE = 8, HEAD_BITS = 15 };

/* What of an object's flags outlives its fill; their numbers are the file's own. */
static const unsigned kept_flags[] = {OBJECT_SHAREABLE, OBJECT_ADMITTED, OBJECT_SPARSE};
enum { KEPT_FLAGS = sizeof kept_flags / sizeof *kept_flags };

_Static_assert(RECORD_META_MAX <= UINT16_MAX, "whatever is in a meta has a length of two bytes");
_Static_assert((int)RECORD_BLOCKS_MAX == (int)BODY_LOAD_BLOCKS_MAX, "a record's body can be loaded");

/* --- Written --- */

static const http_vary_t nothing_named;

typedef struct {
    const cache_key_t *key;
    const variants_t *node; /* NULL: none */
    text_t selector;
} place_t;

static place_t place_of(const cache_key_t *key, const cache_variant_t *variant)
{
    if (variant == NULL)
        return (place_t){key, NULL, {NULL, 0}};
    MUST(variant->variants == NULL || variant->selector.data != NULL);
    return (place_t){key, variant->variants, variant->selector};
}

static const http_vary_t *named_by(const place_t *place)
{
    return place->node != NULL ? variants_vary(place->node) : &nothing_named;
}

static size_t key_size(const place_t *place)
{
    const http_vary_t *vary = named_by(place);
    size_t size = KEY_FIXED + (place->node != NULL ? NODE_BYTES : 0);
    size += place->key->site.length + place->key->target.length + place->selector.length;
    for (size_t i = 0; i < vary->count; i++)
        size += NAME_FIXED + vary->names[i].length;
    return size;
}

static uint8_t *put_text(uint8_t *at, text_t text)
{
    if (text.length > 0)
        memcpy(at, text.data, text.length);
    return at + text.length;
}

static uint8_t *put_pair(uint8_t *at, uint64_t low, uint64_t high)
{
    le_put(at, low, 8);
    le_put(at + 8, high, 8);
    return at + 16;
}

static uint8_t *put_key(uint8_t *at, const place_t *place)
{
    const http_vary_t *vary = named_by(place);
    unsigned bits =
        (place->node != NULL ? KEY_HAS_NODE : 0u) | (place->selector.data != NULL ? KEY_HAS_SELECTOR : 0u);
    le_put(at, place->key->site.length, 2);
    le_put(at + 2, place->key->target.length, 2);
    le_put(at + 4, place->selector.length, 2);
    at[6] = (uint8_t)bits;
    at[7] = (uint8_t)vary->count;
    at += KEY_FIXED;
    if (place->node != NULL)
        at = put_pair(at, variants_id(place->node).low, variants_id(place->node).high);
    at = put_text(at, place->key->site);
    at = put_text(at, place->key->target);
    at = put_text(at, place->selector);
    for (size_t i = 0; i < vary->count; i++) {
        le_put(at, vary->names[i].length, NAME_FIXED);
        at = put_text(at + NAME_FIXED, vary->names[i]);
    }
    return at;
}

/* With the zero that ends it, so that it need not be copied to be read. */
static text_t why_of(const http_storing_t *storing)
{
    return storing->why != NULL ? (text_t){storing->why, strlen(storing->why) + 1} : (text_t){NULL, 0};
}

static size_t head_size(const head_t *head)
{
    size_t size = HEAD_FIXED + head->fields.count * FIELD_FIXED + head->tags.count * TAG_BYTES;
    for (size_t i = 0; i < head->fields.count; i++)
        size += head->fields.at[i].name.length + head->fields.at[i].value.length;
    return size + why_of(&head->storing).length;
}

static uint8_t *put_numbers(uint8_t *at, const head_t *head, unsigned flags)
{
    const http_storing_t *storing = &head->storing;
    memset(at, 0, HEAD_FIXED);
    le_put(at, (uint64_t)head->status, 2);
    at[2] = (uint8_t)((storing->storable ? IS_STORABLE : 0) | (storing->shareable ? IS_SHAREABLE : 0) |
                      (storing->no_cache ? IS_NO_CACHE : 0) |
                      (storing->must_revalidate ? IS_MUST_REVALIDATE : 0));
    for (size_t i = 0; i < KEPT_FLAGS; i++)
        at[3] |= (uint8_t)((flags & kept_flags[i]) != 0 ? 1 << i : 0);
    le_put(at + 4, head->fields.count, 2);
    le_put(at + 6, head->sent, 2);
    le_put(at + 8, head->tags.count, 2);
    le_put(at + 10, head->own_tags, 2);
    le_put(at + 12, why_of(storing).length, 2);
    le_put(at + 16, (uint64_t)head->content_length, 8);
    le_put(at + 24, (uint64_t)head->response_time_ms, 8);
    le_put(at + 32, (uint64_t)storing->lifetime_ms, 8);
    le_put(at + 40, (uint64_t)storing->initial_age_ms, 8);
    le_put(at + 48, (uint64_t)storing->stale.while_revalidate_ms, 8);
    le_put(at + 56, (uint64_t)storing->stale.if_error_ms, 8);
    return at + HEAD_FIXED;
}

static uint8_t *put_head(uint8_t *at, const head_t *head, unsigned flags)
{
    at = put_numbers(at, head, flags);
    for (size_t i = 0; i < head->fields.count; i++) {
        const http_field_t *field = &head->fields.at[i];
        le_put(at, field->name.length, 2);
        le_put(at + 2, field->value.length, 2);
        at = put_text(put_text(at + FIELD_FIXED, field->name), field->value);
    }
    at = put_text(at, why_of(&head->storing));
    for (size_t i = 0; i < head->tags.count; i++)
        at = put_pair(at, head->tags.at[i].low, head->tags.at[i].high);
    return at;
}

size_t disk_meta_size(const object_t *object, const cache_key_t *key, const cache_variant_t *variant)
{
    place_t place = place_of(key, variant);
    return key_size(&place) + head_size(object_head(object));
}

size_t disk_meta_put_head(const head_t *head, unsigned flags, const cache_key_t *key,
                          const cache_variant_t *variant, uint8_t *data)
{
    place_t place = place_of(key, variant);
    size_t size = key_size(&place) + head_size(head);
    MUST(size <= RECORD_META_MAX);
    MUST(put_head(put_key(data, &place), head, flags) == data + size);
    return size;
}

size_t disk_meta_put(const object_t *object, const cache_key_t *key, const cache_variant_t *variant,
                     uint8_t *data)
{
    unsigned flags = (object_shareable(object) ? OBJECT_SHAREABLE : 0u) |
                     (object_admitted(object) ? OBJECT_ADMITTED : 0u) |
                     (object_sparse(object) ? OBJECT_SPARSE : 0u);
    MUST(object_end(object) == OBJECT_COMPLETE);
    return disk_meta_put_head(object_head(object), flags, key, variant, data);
}

size_t disk_meta_node_size(const cache_key_t *key, const variants_t *node)
{
    place_t place = {key, node, {NULL, 0}};
    return key_size(&place);
}

size_t disk_meta_put_node(const cache_key_t *key, const variants_t *node, uint8_t *data)
{
    place_t place = {key, node, {NULL, 0}};
    size_t size = key_size(&place);
    MUST(size <= RECORD_META_MAX);
    MUST(put_key(data, &place) == data + size);
    return size;
}

/* --- Read --- */

/* What is left to be read. */
typedef struct {
    const uint8_t *at;
    size_t length;
} rest_t;

/* False: there are not so many bytes. */
static bool take(rest_t *rest, size_t length, const uint8_t **bytes)
{
    if (length > rest->length)
        return false;
    *bytes = rest->at;
    *rest = (rest_t){rest->at + length, rest->length - length};
    return true;
}

static bool take_text(rest_t *rest, size_t length, text_t *text)
{
    const uint8_t *bytes;
    if (!take(rest, length, &bytes))
        return false;
    *text = (text_t){(const char *)bytes, length};
    return true;
}

static bool comes_before(text_t a, text_t b)
{
    int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order < 0 || (order == 0 && a.length < b.length);
}

/* In their order, each once, as a node has them. */
static bool take_names(rest_t *rest, size_t count, disk_meta_t *meta)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *length;
        if (!take(rest, NAME_FIXED, &length) ||
            !take_text(rest, (size_t)le_get(length, NAME_FIXED), &meta->names[i]) ||
            (i > 0 && !comes_before(meta->names[i - 1], meta->names[i])))
            return false;
    }
    meta->vary = (http_vary_t){HTTP_VARY_NAMES, count, meta->names};
    return true;
}

static bool take_node(rest_t *rest, disk_meta_t *meta)
{
    const uint8_t *id;
    if (!take(rest, NODE_BYTES, &id))
        return false;
    meta->has_node = true;
    meta->node = (version_id_t){le_get(id, 8), le_get(id + 8, 8)};
    return true;
}

/* A variant has a node and a selector, a part of what is known of a key a selector, a node itself a node
 * alone.
 */
static bool goes_together(record_kind_t kind, unsigned bits, size_t selector_length, size_t names)
{
    bool has_node = bits & KEY_HAS_NODE, has_selector = bits & KEY_HAS_SELECTOR;
    if (bits > KEY_BITS || (!has_selector && selector_length > 0) || (!has_node && names > 0) ||
        names > HTTP_VARY_NAMES_MAX)
        return false;
    return kind == RECORD_VARIANTS ? has_node && !has_selector : has_selector || !has_node;
}

static bool take_key(rest_t *rest, disk_meta_t *meta)
{
    const uint8_t *fixed;
    if (!take(rest, KEY_FIXED, &fixed))
        return false;
    unsigned bits = fixed[6];
    size_t selector_length = (size_t)le_get(fixed + 4, 2), names = fixed[7];
    if (!goes_together(meta->kind, bits, selector_length, names) ||
        ((bits & KEY_HAS_NODE) != 0 && !take_node(rest, meta)) ||
        !take_text(rest, (size_t)le_get(fixed, 2), &meta->site) ||
        !take_text(rest, (size_t)le_get(fixed + 2, 2), &meta->target) ||
        !take_text(rest, selector_length, &meta->selector))
        return false;
    if ((bits & KEY_HAS_SELECTOR) == 0)
        meta->selector = (text_t){NULL, 0};
    return (bits & KEY_HAS_NODE) == 0 || take_names(rest, names, meta);
}

/* How long something lasts: never negative, nor so long that the sum of some of them would overflow. */
static bool is_duration(int64_t ms)
{
    return ms >= 0 && ms <= INT64_MAX / 8;
}

static bool storing_in_range(const http_storing_t *storing)
{
    return is_duration(storing->lifetime_ms) && is_duration(storing->initial_age_ms) &&
           is_duration(storing->stale.while_revalidate_ms) && is_duration(storing->stale.if_error_ms);
}

static bool head_in_range(const disk_meta_t *meta)
{
    return meta->status >= 100 && meta->status <= 999 && meta->content_length >= -1 &&
           meta->sent <= meta->field_count && meta->own_tags <= meta->tag_count &&
           storing_in_range(&meta->storing);
}

static bool take_numbers(rest_t *rest, disk_meta_t *meta, size_t *why_length)
{
    const uint8_t *at;
    if (!take(rest, HEAD_FIXED, &at) || at[2] > HEAD_BITS || at[3] >> KEPT_FLAGS != 0 ||
        le_get(at + 14, 2) != 0)
        return false;
    for (size_t i = 0; i < KEPT_FLAGS; i++)
        meta->flags |= at[3] >> i & 1 ? kept_flags[i] : 0;
    meta->status = (int)le_get(at, 2);
    meta->field_count = (size_t)le_get(at + 4, 2);
    meta->sent = (size_t)le_get(at + 6, 2);
    meta->tag_count = (size_t)le_get(at + 8, 2);
    meta->own_tags = (size_t)le_get(at + 10, 2);
    *why_length = (size_t)le_get(at + 12, 2);
    meta->content_length = (int64_t)le_get(at + 16, 8);
    meta->response_time_ms = (int64_t)le_get(at + 24, 8);
    /* All members in their order, none by its name: one that is added, and not kept, is a warning here. */
    meta->storing = (http_storing_t){(at[2] & IS_STORABLE) != 0,
                                     (at[2] & IS_SHAREABLE) != 0,
                                     (at[2] & IS_NO_CACHE) != 0,
                                     (at[2] & IS_MUST_REVALIDATE) != 0,
                                     NULL,
                                     (int64_t)le_get(at + 32, 8),
                                     (int64_t)le_get(at + 40, 8),
                                     {(int64_t)le_get(at + 48, 8), (int64_t)le_get(at + 56, 8)}};
    return head_in_range(meta);
}

static bool take_fields(rest_t *rest, disk_meta_t *meta)
{
    meta->fields = rest->at;
    for (size_t i = 0; i < meta->field_count; i++) {
        const uint8_t *lengths, *texts;
        if (!take(rest, FIELD_FIXED, &lengths) ||
            !take(rest, (size_t)(le_get(lengths, 2) + le_get(lengths + 2, 2)), &texts))
            return false;
    }
    return true;
}

static bool take_why(rest_t *rest, size_t length, disk_meta_t *meta)
{
    text_t why;
    if (!take_text(rest, length, &why))
        return false;
    if (length == 0)
        return true;
    meta->storing.why = why.data;
    return memchr(why.data, '\0', length) == why.data + length - 1;
}

static bool take_head(rest_t *rest, disk_meta_t *meta)
{
    size_t why_length;
    return take_numbers(rest, meta, &why_length) && take_fields(rest, meta) &&
           take_why(rest, why_length, meta) && take(rest, meta->tag_count * TAG_BYTES, &meta->tags);
}

bool disk_meta_parse(const uint8_t *data, size_t length, record_kind_t kind, disk_meta_t *meta)
{
    rest_t rest = {data, length};
    *meta = (disk_meta_t){.kind = kind};
    if (kind != RECORD_OBJECT && kind != RECORD_VARIANTS)
        return false;
    return take_key(&rest, meta) && (kind == RECORD_VARIANTS || take_head(&rest, meta)) && rest.length == 0;
}

bool disk_meta_has_body(const disk_meta_t *meta, uint64_t length)
{
    if (meta->flags & OBJECT_SPARSE)
        return length == 0;
    return meta->content_length < 0 || (uint64_t)meta->content_length == length;
}

void disk_meta_fields(const disk_meta_t *meta, http_field_t *fields)
{
    const uint8_t *at = meta->fields;
    for (size_t i = 0; i < meta->field_count; i++) {
        size_t name = (size_t)le_get(at, 2), value = (size_t)le_get(at + 2, 2);
        const char *text = (const char *)at + FIELD_FIXED;
        fields[i] = (http_field_t){{text, name}, {text + name, value}};
        at += FIELD_FIXED + name + value;
    }
}

void disk_meta_tags(const disk_meta_t *meta, ledger_hash_t *tags)
{
    for (size_t i = 0; i < meta->tag_count; i++) {
        const uint8_t *tag = meta->tags + i * TAG_BYTES;
        tags[i] = (ledger_hash_t){le_get(tag, 8), le_get(tag + 8, 8)};
    }
}

head_t *head_load(memory_account_t *account, const disk_meta_t *meta)
{
    MUST(meta->kind == RECORD_OBJECT);
    http_field_t *fields = must_calloc(meta->field_count + 1, sizeof *fields);
    ledger_hash_t *tags = must_calloc(meta->tag_count + 1, sizeof *tags);
    disk_meta_fields(meta, fields);
    disk_meta_tags(meta, tags);
    const text_t found_again = {NULL, 0};
    /* As above: all members in their order. */
    const head_t parts = {0,
                          meta->status,
                          meta->content_length,
                          meta->response_time_ms,
                          meta->storing,
                          NULL,
                          {fields, meta->field_count},
                          meta->sent,
                          found_again,
                          found_again,
                          found_again,
                          {tags, meta->tag_count},
                          meta->own_tags,
                          NULL,
                          0,
                          0};
    head_t *head = head_copy(account, &parts);
    free(fields);
    free(tags);
    return head;
}
