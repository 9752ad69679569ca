/* selvedgectl cache dump: one response, put together as a node would. */
#include "purge/selvedgectl_cache.h"

#include "edge/http/status.h"
#include "edge/http/url.h"

#include <inttypes.h>

/* What a record is to the response that is asked for, and where it stands. */
typedef struct {
    int dir;
    unsigned segment;
    uint64_t offset;
    char *site;
    bool variant, sparse, piece, selected; /* selected: a variant, by the request's fields */
    version_id_t version;                  /* of the body; of a piece: of the whole */
    uint64_t first, length;                /* of the body's bytes; of what is sparse: of the whole */
    cache_state_t state;
} found_t;

typedef struct {
    const cache_t *cache;
    int dir;             /* that is read */
    text_t site, target; /* site absent: any */
    http_fields_t request;
    found_t *found;
    size_t count, capacity;
} dump_t;

/* --- The key --- */

static ctl_exit_t wrong_key(const dump_t *dump, const char *key, const char *what)
{
    return ctl_complain(dump->cache->options->json, CTL_USAGE, "bad_key",
                        "%.300s %s; a key is a URL, such as https://www.example.com/app.css, or SITE/PATH",
                        key, what);
}

/* *buffer holds the target: to be freed. */
static bool take_key(dump_t *dump, const char *key, char **buffer, ctl_exit_t *code)
{
    url_parts_t parts;
    text_t raw;
    bool is_url = strncmp(key, "http://", 7) == 0 || strncmp(key, "https://", 8) == 0;
    const char *slash = strchr(key, '/');
    if (is_url) {
        url_error_t error = url_split(text_of(key), &parts);
        if (error != URL_OK) {
            *code = wrong_key(dump, key, url_error_text(error));
            return false;
        }
        raw = parts.target;
    } else if (slash == NULL || slash == key) {
        *code = wrong_key(dump, key, "is no key");
        return false;
    } else {
        dump->site = (text_t){key, (size_t)(slash - key)};
        raw = text_of(slash);
    }
    size_t room = URL_NORMAL_MAX(raw.length);
    *buffer = must_alloc(room);
    url_error_t error = url_normalize(raw, *buffer, room, &dump->target);
    if (error != URL_OK)
        *code = wrong_key(dump, key, url_error_text(error));
    return error == URL_OK;
}

/* `Name: value`, names in lower case. The fields are to be freed, each name with its value. */
static bool take_headers(dump_t *dump, ctl_exit_t *code)
{
    const ctl_options_t *options = dump->cache->options;
    http_field_t *fields = must_calloc((size_t)options->header_count + 1, sizeof *fields);
    dump->request = (http_fields_t){fields, 0};
    for (int i = 0; i < options->header_count; i++) {
        const char *colon = strchr(options->headers[i], ':');
        if (colon == NULL || colon == options->headers[i]) {
            *code = ctl_complain(options->json, CTL_USAGE, "usage",
                                 "--header %.200s: not a field, such as "
                                 "'Accept-Language: de'",
                                 options->headers[i]);
            return false;
        }
        char *name = strndup(options->headers[i], (size_t)(colon - options->headers[i]));
        MUST(name != NULL);
        for (char *at = name; *at != 0; at++)
            *at = ascii_lower(*at);
        fields[dump->request.count++] = (http_field_t){text_of(name), http_trim(text_of(colon + 1))};
    }
    return true;
}

/* --- Finding --- */

/* Is it the variant that the request selects? */
static bool selects(const dump_t *dump, const disk_meta_t *meta)
{
    variants_t *node = variants_new(NULL, &meta->vary, meta->node);
    if (node == NULL)
        return false;
    size_t length;
    char *selector = variants_select(node, dump->request, &length);
    bool selected = text_equal((text_t){selector, length}, meta->selector);
    free(selector);
    variants_unref(&node);
    return selected;
}

static bool find_record(void *context, const inspect_record_t *record)
{
    dump_t *dump = context;
    const disk_meta_t *meta = record->meta;
    bool any_site = dump->site.data == NULL;
    if (!record->live || record->record->kind != RECORD_OBJECT || !text_equal(meta->target, dump->target) ||
        (!any_site && !text_equal(meta->site, dump->site)))
        return true;
    found_t found = {.dir = dump->dir,
                     .segment = record->segment,
                     .offset = record->offset,
                     .site = strndup(meta->site.data, meta->site.length),
                     .variant = meta->has_node,
                     .sparse = (meta->flags & OBJECT_SPARSE) != 0,
                     .version = record->record->version,
                     .length = record->record->body_bytes,
                     .state = cache_state(dump->cache, record)};
    MUST(found.site != NULL);
    found.piece = inspect_is_piece(meta, &found.version, &found.first);
    found.selected = found.variant && selects(dump, meta);
    if (found.sparse)
        found.length = (uint64_t)meta->content_length;
    if (dump->count == dump->capacity) {
        dump->capacity = dump->capacity == 0 ? 16 : dump->capacity * 2;
        dump->found = realloc(dump->found, dump->capacity * sizeof found);
        MUST(dump->found != NULL);
    }
    dump->found[dump->count++] = found;
    return true;
}

static void find(dump_t *dump)
{
    const inspect_visitor_t visitor = {.context = dump, .record = find_record};
    for (dump->dir = 0; dump->dir < dump->cache->dir_count; dump->dir++)
        inspection_walk(dump->cache->dirs[dump->dir], &visitor);
}

/* --- Choosing --- */

/* NULL, or the name of another site than the first's that has it. */
static const char *other_site(const dump_t *dump)
{
    for (size_t i = 1; i < dump->count; i++)
        if (strcmp(dump->found[0].site, dump->found[i].site) != 0)
            return dump->found[i].site;
    return NULL;
}

/* What is stored whole comes first, as it does for a node. NULL: none of it answers this request. */
static const found_t *choose(const dump_t *dump)
{
    const found_t *sparse = NULL;
    for (size_t i = 0; i < dump->count; i++) {
        const found_t *found = &dump->found[i];
        if (found->sparse)
            sparse = found;
        else if (!found->piece && (!found->variant || found->selected))
            return found;
    }
    return sparse;
}

static const found_t *piece_from(const dump_t *dump, const found_t *sparse, uint64_t first)
{
    for (size_t i = 0; i < dump->count; i++) {
        const found_t *found = &dump->found[i];
        if (found->piece && found->first == first && found->length > 0 && found->state != CACHE_PURGED &&
            found->version.low == sparse->version.low && found->version.high == sparse->version.high)
            return found;
    }
    return NULL;
}

/* Where the first byte is missing; the length: nowhere. */
static uint64_t find_gap(const dump_t *dump, const found_t *sparse)
{
    uint64_t at = 0;
    while (at < sparse->length) {
        const found_t *piece = piece_from(dump, sparse, at);
        if (piece == NULL)
            break;
        at += piece->length;
    }
    return at;
}

/* --- Writing --- */

static void write_head(const dump_t *dump, const disk_meta_t *meta, uint64_t length)
{
    http_field_t *fields = must_calloc(meta->field_count + 1, sizeof *fields);
    disk_meta_fields(meta, fields);
    printf("HTTP/1.1 %d %s\n", meta->status, http_reason(meta->status));
    for (size_t i = 0; i < meta->sent; i++) {
        cache_print(stdout, fields[i].name);
        fputs(": ", stdout);
        cache_print(stdout, fields[i].value);
        putchar('\n');
    }
    free(fields);
    printf("content-length: %" PRIu64 "\nage: %" PRId64 "\n\n", length,
           cache_age_ms(dump->cache, meta) / 1000);
}

static bool write_whole(void *context, const inspect_record_t *record)
{
    write_head(context, record->meta, record->record->body_bytes);
    fwrite(record->body, 1, record->record->body_bytes, stdout);
    return true;
}

static bool write_sparse(void *context, const inspect_record_t *record)
{
    write_head(context, record->meta, (uint64_t)record->meta->content_length);
    return true;
}

static bool write_piece(void *context, const inspect_record_t *record)
{
    (void)context;
    fwrite(record->body, 1, record->record->body_bytes, stdout);
    return true;
}

static ctl_exit_t refuse(const dump_t *dump, const char *code, const char *what)
{
    return ctl_complain(dump->cache->options->json, CTL_FAILED, code, "%s: %s", dump->cache->options->urls[1],
                        what);
}

static bool read_one(dump_t *dump, const found_t *found, bool (*write)(void *, const inspect_record_t *))
{
    const inspect_visitor_t visitor = {.context = dump, .bodies = true, .record = write};
    return inspection_read(dump->cache->dirs[found->dir], found->segment, found->offset, &visitor);
}

static ctl_exit_t write_pieces(dump_t *dump, const found_t *sparse)
{
    char missing[160];
    uint64_t gap = find_gap(dump, sparse);
    if (gap < sparse->length) {
        snprintf(missing, sizeof missing,
                 "it is kept in pieces, and that from byte %" PRIu64
                 " is not there: a node would ask the origin for it",
                 gap);
        return refuse(dump, "incomplete", missing);
    }
    bool good = read_one(dump, sparse, write_sparse);
    for (uint64_t at = 0; good && at < sparse->length;) {
        const found_t *piece = piece_from(dump, sparse, at);
        good = read_one(dump, piece, write_piece);
        at += piece->length;
    }
    return good ? CTL_DONE : refuse(dump, "damaged", "it is damaged");
}

/* --- The command --- */

static ctl_exit_t write_found(dump_t *dump)
{
    const char *other = dump->count > 0 ? other_site(dump) : NULL;
    if (other != NULL)
        return ctl_complain(dump->cache->options->json, CTL_FAILED, "ambiguous",
                            "%s: the sites %s and %s have it; name one with --site",
                            dump->cache->options->urls[1], dump->found[0].site, other);
    const found_t *found = choose(dump);
    if (dump->count == 0)
        return refuse(dump, "not_found", "it is not there");
    if (found == NULL)
        return refuse(dump, "not_found", "there are variants of it, and none for this request; see --header");
    if (found->state == CACHE_PURGED)
        return refuse(dump, "purged", "it was purged: a node would not serve it");
    if (found->state == CACHE_STALE)
        fputs("selvedgectl: it is stale: a node would ask the origin whether it has changed\n", stderr);
    if (found->sparse)
        return write_pieces(dump, found);
    return read_one(dump, found, write_whole) ? CTL_DONE : refuse(dump, "damaged", "it is damaged");
}

ctl_exit_t cache_dump(const cache_t *cache, const char *key)
{
    dump_t dump = {.cache = cache};
    char *target = NULL;
    ctl_exit_t code;
    if (cache->options->site != NULL)
        dump.site = text_of(cache->options->site);
    if (take_key(&dump, key, &target, &code) && take_headers(&dump, &code)) {
        find(&dump);
        code = write_found(&dump);
    }
    for (size_t i = 0; i < dump.count; i++)
        free(dump.found[i].site);
    for (size_t i = 0; i < dump.request.count; i++)
        free((char *)(uintptr_t)dump.request.at[i].name.data);
    free((http_field_t *)(uintptr_t)dump.request.at);
    free(dump.found);
    free(target);
    return code;
}
