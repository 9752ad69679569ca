#include "edge/trace.h"

#include "edge/cache/walk.h"
#include "edge/http/tags.h"
#include "edge/http/url.h"
#include "edge/sites/policy.h"

/* What is known of the target. */
typedef struct {
    const node_t *node;
    const settings_rule_t *rule; /* of the site's, or NULL */
    const http_policy_t *policy;
    cache_key_t key;
    int64_t now_ms;
    size_t variants;
    bool on_disk;         /* what memory does not have, or did not when it was written there */
    memory_view_t sparse; /* of what is kept in pieces */
    memory_view_t view;   /* of the variant that a request without fields selects, when there are variants */
} trace_t;

static bool is_on_disk(const trace_t *trace, const cache_variant_t *variant)
{
    disk_t *disk = trace->node->disk;
    return disk != NULL && disk_knows(disk, &trace->key, variant);
}

static void look(trace_t *trace)
{
    memory_t *memory = trace->node->memory;
    trace->sparse = pieces_peek_sparse(memory, &trace->key);
    trace->view = memory_peek(memory, &trace->key, NULL, &trace->variants);
    variants_t *node = trace->view.variants;
    trace->on_disk = is_on_disk(trace, NULL);
    if (node == NULL)
        return;
    trace->view.variants = NULL;
    memory_view_drop(&trace->view);
    size_t length;
    char *selector = variants_select(node, (http_fields_t){NULL, 0}, &length);
    cache_variant_t variant = {node, {selector, length}};
    trace->view = memory_peek(memory, &trace->key, &variant, NULL);
    trace->on_disk = is_on_disk(trace, &variant);
    free(selector);
    variants_unref(&node);
}

static ledger_judgement_t judge(const trace_t *trace, const object_t *object)
{
    return object_judge_now(object, trace->node->ledger);
}

static int64_t ttl_of(const trace_t *trace, const object_t *stored, ledger_judgement_t judgement)
{
    return head_ttl_ms(object_head(stored), trace->now_ms,
                       judgement.verdict == LEDGER_SOFT ? judgement.stale_since_ms : INT64_MAX);
}

/* Would the stored response be used as it is? */
static http_use_t use_of(const trace_t *trace, ledger_judgement_t judgement, const char **why)
{
    const object_t *stored = trace->view.stored;
    const http_storing_t *storing = &object_head(stored)->storing;
    bool ask;
    int64_t ttl_ms = ttl_of(trace, stored, judgement);
    http_use_t use = storing->no_cache
                         ? HTTP_VALIDATE
                         : http_use(&storing->stale, ttl_ms, object_trouble(stored), trace->now_ms, &ask);
    if (use == HTTP_FRESH)
        *why = "it is stored and fresh";
    else if (use != HTTP_VALIDATE)
        *why = ask ? "it is stale, and used while the origin is asked in the background"
                   : "it is stale, and used as the origin failed just now";
    return use;
}

/* Is what is kept in pieces used as it is; or else asked about? */
typedef enum { IN_PIECES_NOT, IN_PIECES_FRESH, IN_PIECES_STALE } in_pieces_t;

static in_pieces_t in_pieces(const trace_t *trace)
{
    const object_t *sparse = trace->sparse.stored;
    if (sparse == NULL)
        return IN_PIECES_NOT;
    ledger_judgement_t judgement = judge(trace, sparse);
    if (judgement.verdict == LEDGER_HARD)
        return IN_PIECES_NOT;
    return ttl_of(trace, sparse, judgement) > 0 ? IN_PIECES_FRESH : IN_PIECES_STALE;
}

/* What a request would get, in one word, and why. The order is that of the walk. */
static const char *treatment(const trace_t *trace, const char **why)
{
    const memory_view_t *view = &trace->view;
    if (trace->policy->bypass)
        return *why = "its site has nothing of this path stored: each request asks the origin by itself",
               "bypass";
    ledger_judgement_t judgement = {.verdict = LEDGER_VALID};
    if (view->stored != NULL)
        judgement = judge(trace, view->stored);
    bool usable = view->stored != NULL && judgement.verdict != LEDGER_HARD;
    bool no_cache = usable && object_head(view->stored)->storing.no_cache;
    http_use_t use = usable ? use_of(trace, judgement, why) : HTTP_VALIDATE;
    if (use != HTTP_VALIDATE)
        return use == HTTP_FRESH ? "hit" : "stale";
    if (in_pieces(trace) == IN_PIECES_FRESH)
        return *why = "it is fresh and kept in pieces: those that are missing are fetched", "hit";
    if (view->growing != NULL && judge(trace, view->growing).verdict == LEDGER_VALID)
        return *why = "it is being fetched: others read along if it may be shared", "join";
    *why = no_cache                                     ? "it is stored, and has to be asked for each time"
           : !usable && view->stored != NULL            ? "what is stored was purged"
           : usable && judgement.verdict == LEDGER_SOFT ? "what is stored was purged softly"
                                                        : "what is stored is no longer fresh";
    if (usable)
        return head_has_validator(object_head(view->stored)) ? "revalidate" : "fetch";
    if (view->stored == NULL && view->bypass_until_ms > trace->now_ms &&
        ledger_judge(trace->node->ledger, &trace->key.subject, view->bypass_stamp).verdict == LEDGER_VALID)
        return *why = "its last answer may not be shared: each request asks the origin by itself", "bypass";
    if (view->stored == NULL && in_pieces(trace) == IN_PIECES_STALE)
        return *why = "what is kept in pieces is no longer fresh", "revalidate";
    if (view->stored == NULL && trace->on_disk)
        return *why = "it is on disk: once it is read it is seen whether it can be used", "disk";
    if (view->stored == NULL)
        *why = "nothing is stored: it was not asked for, may not be stored, or had to make room";
    return "fetch";
}

/* When the window after it was fresh ends, in seconds; 0: there is none. */
static json_int_t window_end(const trace_t *trace, int64_t ttl_ms, int64_t window_ms)
{
    return window_ms > 0 ? (json_int_t)((trace->now_ms + ttl_ms + window_ms) / 1000) : 0;
}

static const char *const verdicts[] = {[LEDGER_VALID] = "no", [LEDGER_SOFT] = "soft", [LEDGER_HARD] = "hard"};

static json_t *stored_json(const trace_t *trace)
{
    object_t *stored = trace->view.stored;
    if (stored == NULL)
        return json_null();
    const head_t *head = object_head(stored);
    ledger_judgement_t judgement = judge(trace, stored);
    bool purged = judgement.verdict == LEDGER_HARD;
    int64_t ttl_ms = purged ? 0 : ttl_of(trace, stored, judgement);
    http_stale_t windows = purged ? (http_stale_t){0, 0} : head->storing.stale;
    return json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "status", head->status, "bytes",
                     (json_int_t)object_length(stored), "age_s",
                     (json_int_t)(head_age_ms(head, trace->now_ms) / 1000), "fresh_for_s",
                     (json_int_t)(ttl_ms / 1000), "fresh_until_s",
                     (json_int_t)((trace->now_ms + ttl_ms) / 1000), "stale_while_revalidate_until_s",
                     window_end(trace, ttl_ms, windows.while_revalidate_ms), "stale_if_error_until_s",
                     window_end(trace, ttl_ms, windows.if_error_ms), "stamp",
                     (json_int_t)object_stamp(stored), "purged", verdicts[judgement.verdict]);
}

static json_t *growing_json(const trace_t *trace)
{
    object_t *growing = trace->view.growing;
    if (growing == NULL)
        return json_null();
    const head_t *head = object_head(growing);
    return json_pack("{s:i,s:I,s:I}", "status", head != NULL ? head->status : 0, "bytes",
                     (json_int_t)object_length(growing), "length",
                     (json_int_t)(head != NULL ? head->content_length : -1));
}

/* What is too large to be stored whole. Of a very long one only the first pieces are counted. */
static json_t *pieces_json(const trace_t *trace)
{
    enum { COUNTED_MAX = 16 << 10 };
    object_t *sparse = trace->sparse.stored;
    if (sparse == NULL)
        return json_null();
    const node_t *node = trace->node;
    const walk_t walk = {
        .memory = node->memory, .ledger = node->ledger, .key = trace->key, .disk = node->disk};
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    ledger_judgement_t judgement = judge(trace, sparse);
    int64_t ttl_ms = judgement.verdict == LEDGER_HARD ? 0 : ttl_of(trace, sparse, judgement);
    return json_pack("{s:I,s:I,s:I,s:I,s:s}", "length", (json_int_t)length, "of",
                     (json_int_t)((length + PIECE_BYTES - 1) / PIECE_BYTES), "stored",
                     (json_int_t)walk_count_pieces(&walk, sparse, COUNTED_MAX), "fresh_for_s",
                     (json_int_t)(ttl_ms / 1000), "purged", verdicts[judgement.verdict]);
}

static json_t *rule_json(const trace_t *trace)
{
    return trace->rule != NULL ? json_stringn(trace->rule->path.data, trace->rule->path.length) : json_null();
}

/* --- Tags --- */

static void add_tag(void *context, text_t tag)
{
    json_array_append_new(context, json_stringn(tag.data, tag.length)); /* not UTF-8: it is left out */
}

/* Those that a purge would find it by: of what is stored, and of the path. */
static json_t *tags_json(const trace_t *trace)
{
    json_t *tags = json_array();
    const object_t *stored = trace->view.stored != NULL ? trace->view.stored : trace->sparse.stored;
    if (stored != NULL)
        http_tags_of_fields(trace->policy, object_head(stored)->fields, add_tag, tags);
    http_tags_of_path(trace->policy, url_path(trace->key.target), add_tag, tags);
    return tags;
}

static ledger_match_t last_match(const trace_t *trace, json_t *tags)
{
    size_t count = json_array_size(tags), index;
    ledger_hash_t *names = must_calloc(count + 1, sizeof *names);
    json_t *tag;
    json_array_foreach(tags, index, tag) names[index] =
        ledger_tag(trace->key.site, (text_t){json_string_value(tag), json_string_length(tag)});
    ledger_match_t match =
        ledger_last_match(trace->node->ledger, &trace->key.subject, (ledger_tags_t){names, count});
    free(names);
    return match;
}

static json_t *purge_json(const trace_t *trace, json_t *tags)
{
    static const char *const kinds[RULE_KINDS] = {
        [RULE_URL] = "url", [RULE_SITE] = "site", [RULE_EVERYTHING] = "everything", [RULE_TAG] = "tag"};
    ledger_match_t match = last_match(trace, tags);
    if (match.sequence == 0)
        return json_null();
    json_t *purge = json_pack("{s:s,s:s,s:I}", "rule", kinds[match.kind], "mode",
                              match.soft ? "soft" : "hard", "sequence", (json_int_t)match.sequence);
    if (match.kind == RULE_TAG)
        json_object_set(purge, "tag", json_array_get(tags, match.tag));
    return purge;
}

json_t *trace_target(void *context, const site_t *site, text_t target, int64_t now_ms)
{
    const node_t *node = context;
    trace_t trace = {.node = node,
                     .rule = site_rule(site, target),
                     .policy = site_policy(site, target),
                     .key = cache_key_in(&site->cache, target),
                     .now_ms = now_ms};
    look(&trace);
    const char *why;
    const char *treated = treatment(&trace, &why);
    int64_t marked_ms = trace.view.bypass_until_ms - now_ms;
    json_t *tags = tags_json(&trace);
    json_t *traced =
        json_pack("{s:s%,s:s%,s:s,s:s,s:o,s:b,s:o,s:o,s:I,s:I,s:o,s:o,s:o}", "site", site->cache.name.data,
                  site->cache.name.length, "key", target.data, target.length, "treatment", treated, "why",
                  why, "stored", stored_json(&trace), "disk", trace.on_disk, "pieces", pieces_json(&trace),
                  "growing", growing_json(&trace), "variants", (json_int_t)trace.variants, "hit_for_miss_s",
                  (json_int_t)(marked_ms > 0 ? marked_ms / 1000 : 0), "purge", purge_json(&trace, tags),
                  "rule", rule_json(&trace), "tags", tags);
    memory_view_drop(&trace.view);
    memory_view_drop(&trace.sparse);
    MUST(traced != NULL);
    return traced;
}
