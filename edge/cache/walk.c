#include "edge/cache/walk_private.h"

/* So many times a request may find that what it was about to join has just been replaced; then it goes alone.
 */
enum { STEPS_MAX = 8 };

const char *forward_name(forward_t forward)
{
    static const char *const names[] = {
        [FORWARD_NOT] = "",          [FORWARD_URI_MISS] = "miss",   [FORWARD_VARY_MISS] = "vary-miss",
        [FORWARD_STALE] = "stale",   [FORWARD_REQUEST] = "request", [FORWARD_PARTIAL] = "partial",
        [FORWARD_BYPASS] = "bypass", [FORWARD_METHOD] = "method"};
    return names[forward];
}

static const cache_variant_t *variant_of(const walk_place_t *place)
{
    return place->is_variant ? &place->variant : NULL;
}

/* On disk, where memory knows nothing. */
static void look_below(const walk_t *walk, const cache_variant_t *variant, walk_place_t *place)
{
    memory_view_t *view = &place->view;
    if (view->stored != NULL || view->growing != NULL || view->variants != NULL)
        return;
    memory_view_t found = {0};
    disk_look_t look = disk_look(walk->disk, &walk->key, variant, walk->wait, &found);
    place->waits = look == DISK_WAIT;
    place->from_disk = found.stored != NULL;
    view->stored = found.stored;
    view->variants = found.variants;
}

void walk_look_at(const walk_t *walk, const cache_variant_t *variant, walk_place_t *place)
{
    place->view = walk->again ? memory_peek(walk->memory, &walk->key, variant, NULL)
                              : memory_look(walk->memory, &walk->key, variant);
    if (walk->disk != NULL)
        look_below(walk, variant, place);
}

static void look(const walk_t *walk, walk_place_t *place)
{
    *place = (walk_place_t){.sparse = NULL};
    walk_look_at(walk, NULL, place);
    if (place->view.variants == NULL)
        return;
    place->node = place->view.variants;
    place->view.variants = NULL;
    memory_view_drop(&place->view);
    size_t length;
    place->selector = variants_select(place->node, walk->fields, &length);
    place->variant = (cache_variant_t){place->node, {place->selector, length}};
    place->is_variant = true;
    walk_look_at(walk, &place->variant, place);
}

static void leave(walk_place_t *place)
{
    memory_view_drop(&place->view);
    if (place->node != NULL)
        variants_unref(&place->node);
    if (place->sparse != NULL)
        object_unref(&place->sparse);
    if (place->selector != NULL) /* free() takes its time to find that out */
        free(place->selector);
}

/* How an object may be used that is stored, and for how long it is fresh. A hard-purged one is forgotten, so
 * that it is not used in any other way either. */
static http_use_t use_stored(const walk_t *walk, object_t **object, int64_t *ttl_ms, bool *ask)
{
    object_t *stored = *object;
    if (stored == NULL)
        return HTTP_VALIDATE;
    ledger_judgement_t judgement = object_judge(stored, walk->ledger, walk->sequence);
    if (judgement.verdict == LEDGER_HARD) {
        memory_forget(walk->memory, stored);
        object_unref(object);
        return HTTP_VALIDATE;
    }
    const head_t *head = object_head(stored);
    *ttl_ms = head_ttl_ms(head, walk->now_ms,
                          judgement.verdict == LEDGER_SOFT ? judgement.stale_since_ms : INT64_MAX);
    if (head->storing.no_cache)
        return HTTP_VALIDATE;
    http_use_t use = HTTP_FRESH;
    if (*ttl_ms <= 0)
        use = http_use(&head->storing.stale, *ttl_ms, object_trouble(stored), walk->now_ms, ask);
    if (walk->control == NULL)
        return use;
    use = http_request_use(walk->control, use, head_age_ms(head, walk->now_ms), *ttl_ms,
                           head->storing.must_revalidate);
    *ask = *ask && use != HTTP_ON_REQUEST;
    return use;
}

bool walk_is_asked_for(const walk_t *walk, object_t *growing)
{
    return growing != NULL && object_judge(growing, walk->ledger, walk->sequence).verdict == LEDGER_VALID;
}

/* May this request read along? */
static bool is_joinable(const walk_t *walk, object_t *growing)
{
    if (!walk_is_asked_for(walk, growing))
        return false;
    const head_t *head = object_head(growing);
    if (head == NULL)
        return true;
    return object_shareable(growing) && head_ttl_ms(head, walk->now_ms, INT64_MAX) > 0;
}

/* A mark that no later purge has lifted. */
static bool is_bypassed(const walk_t *walk, const memory_view_t *view)
{
    if (view->bypass_until_ms <= walk->now_ms)
        return false;
    return ledger_judge(walk->ledger, &walk->key.subject, view->bypass_stamp).verdict == LEDGER_VALID;
}

/* What a fill with this stamp may ask about by conditional request: never anything that a rule up to the
 * stamp purged. */
static object_t *base_for(const walk_t *walk, const walk_place_t *place, uint64_t stamp)
{
    object_t *stored = place->view.stored != NULL ? place->view.stored : place->sparse;
    if (stored == NULL || !head_has_validator(object_head(stored)))
        return NULL;
    if (object_judge(stored, walk->ledger, stamp).verdict == LEDGER_HARD)
        return NULL;
    object_ref(stored);
    return stored;
}

static forward_t reason_of(const walk_place_t *place, int64_t ttl_ms, bool alone)
{
    const object_t *stored = place->view.stored;
    if (stored != NULL)
        return ttl_ms > 0 && !object_head(stored)->storing.no_cache ? FORWARD_REQUEST : FORWARD_STALE;
    if (place->sparse != NULL)
        return FORWARD_STALE;
    if (alone)
        return FORWARD_BYPASS;
    return place->is_variant ? FORWARD_VARY_MISS : FORWARD_URI_MISS;
}

void walk_own(const walk_t *walk, object_t *object, object_reader_t *reader)
{
    MUST(object_join(object, reader, walk->sequence, true, walk->wake));
}

static bool must_be_asked_for(const object_t *object)
{
    const head_t *head = object != NULL ? object_head(object) : NULL;
    return head != NULL && head->storing.no_cache;
}

/* Requests that may not wait for each other: the answer to one is not the answer to another. */
static bool goes_alone(const walk_t *walk, const memory_view_t *view)
{
    if (must_be_asked_for(view->stored) || must_be_asked_for(view->growing))
        return true;
    return view->stored == NULL && is_bypassed(walk, view);
}

/* Puts an object into the index, where the place was looked at. False: somebody was faster. */
static bool put(const walk_t *walk, walk_place_t *place, object_t *object)
{
    home_t *home = memory_home(walk->memory, &walk->key, variant_of(place));
    bool put = memory_begin(walk->memory, home, object, &place->view);
    home_unref(&home);
    return put;
}

/* What the fill has to know of the stored object. */
static void hand_over_stale(const walk_place_t *place, int64_t ttl_ms, int64_t now_ms, walk_step_t *step)
{
    if (place->view.stored == NULL)
        return;
    const http_stale_t *windows = &object_head(place->view.stored)->storing.stale;
    step->stale = place->view.stored;
    object_ref(step->stale);
    if (http_use_on_error(windows, ttl_ms))
        step->stale_until_ms = now_ms + ttl_ms + windows->if_error_ms;
}

/* What has to be fetched for it is not to be, or not to be stored. */
static bool shuns_pieces(const walk_t *walk)
{
    return walk->control != NULL && (walk->control->only_if_cached || walk->control->no_store);
}

/* A sparse object is looked for only where nothing whole answers. */
static bool is_sparse_hit(const walk_t *walk, walk_place_t *place, int64_t *ttl_ms)
{
    if (place->is_variant || shuns_pieces(walk))
        return false;
    walk_place_t beside = {.sparse = NULL};
    walk_look_at(walk, &pieces_sparse, &beside);
    place->waits = beside.waits;
    place->from_disk = beside.from_disk;
    place->sparse = beside.view.stored;
    beside.view.stored = NULL;
    memory_view_drop(&beside.view);
    if (place->sparse != NULL && walk_lacks_pieces(walk, place->sparse))
        object_unref(&place->sparse);
    bool ask = false; /* only what is fresh is used of it */
    return use_stored(walk, &place->sparse, ttl_ms, &ask) == HTTP_FRESH;
}

/* Puts a new growing object where the place was looked at. False: somebody was faster. */
static bool start(const walk_t *walk, walk_place_t *place, int64_t ttl_ms, object_reader_t *reader,
                  walk_step_t *step)
{
    /* In this order: the stamp, then what it may be based on, then the object is visible. */
    uint64_t stamp = ledger_sequence(walk->ledger);
    object_t *base = base_for(walk, place, stamp);
    bool alone = goes_alone(walk, &place->view);
    object_t *object = memory_new_object(walk->memory, &walk->key.subject, stamp);
    walk_own(walk, object, reader);
    bool started = alone || put(walk, place, object);
    if (started) {
        *step = (walk_step_t){
            .kind = alone ? WALK_PASS : WALK_FILL, .forward = reason_of(place, ttl_ms, alone), .base = base};
        hand_over_stale(place, ttl_ms, walk->now_ms, step);
    } else {
        object_leave(reader);
        if (base != NULL)
            object_unref(&base);
    }
    object_unref(&object);
    return started;
}

/* The same for nobody: the origin is asked in the background. Who was faster does it as well. */
static void start_background(const walk_t *walk, walk_place_t *place, int64_t ttl_ms, walk_step_t *step)
{
    uint64_t stamp = ledger_sequence(walk->ledger);
    step->base = base_for(walk, place, stamp);
    step->background = memory_new_object(walk->memory, &walk->key.subject, stamp);
    if (put(walk, place, step->background)) {
        hand_over_stale(place, ttl_ms, walk->now_ms, step);
        return;
    }
    object_unref(&step->background);
    if (step->base != NULL)
        object_unref(&step->base);
}

/* Selected by the request's credentials, without which the origin would have to be asked in the background:
 * that would bring something else. */
static bool is_of_credentials(const walk_t *walk, const walk_place_t *place)
{
    const text_t name = TEXT("authorization");
    const http_vary_t by_them = {HTTP_VARY_NAMES, 1, &name};
    return place->node != NULL && variants_cover(place->node, &by_them) &&
           http_fields_find(walk->fields, name) != NULL;
}

/* What is asked for again is worth keeping. */
static void note_hit(const walk_t *walk, const walk_place_t *place, object_t *stored)
{
    if (walk->disk != NULL && !place->from_disk)
        disk_note_hit(walk->disk, stored);
}

static bool try_step(const walk_t *walk, walk_place_t *place, object_reader_t *reader, walk_step_t *step)
{
    int64_t ttl_ms = 0;
    bool ask = false;
    if (place->waits) {
        *step = (walk_step_t){.kind = WALK_WAIT};
        return true;
    }
    http_use_t use = use_stored(walk, &place->view.stored, &ttl_ms, &ask);
    object_t *growing = place->view.growing;
    ask = ask && !walk_is_asked_for(walk, growing);
    if (ask && is_of_credentials(walk, place))
        use = HTTP_VALIDATE;
    if (use != HTTP_VALIDATE) {
        *step = (walk_step_t){.kind = WALK_HIT, .use = use, .ttl_ms = ttl_ms, .from_disk = place->from_disk};
        note_hit(walk, place, place->view.stored);
        if (ask)
            start_background(walk, place, ttl_ms, step);
        object_open(&place->view.stored, reader);
        return true;
    }
    int64_t sparse_ttl_ms = 0;
    if (is_sparse_hit(walk, place, &sparse_ttl_ms)) {
        *step = (walk_step_t){
            .kind = WALK_HIT, .use = HTTP_FRESH, .ttl_ms = sparse_ttl_ms, .from_disk = place->from_disk};
        note_hit(walk, place, place->sparse);
        object_open(&place->sparse, reader);
        return true;
    }
    if (place->waits) {
        *step = (walk_step_t){.kind = WALK_WAIT};
        return true;
    }
    if (walk->control != NULL && walk->control->only_if_cached) {
        *step = (walk_step_t){.kind = WALK_NONE};
        return true;
    }
    if (walk->control != NULL && walk->control->no_store) {
        *step = walk_private(walk, reader, reason_of(place, ttl_ms, false));
        return true;
    }
    if (is_joinable(walk, growing) && object_join(growing, reader, walk->sequence, false, walk->wake)) {
        *step = (walk_step_t){.kind = WALK_JOIN, .forward = reason_of(place, ttl_ms, false)};
        return true;
    }
    return start(walk, place, ttl_ms, reader, step);
}

walk_step_t walk_begin(const walk_t *walk, object_reader_t *reader)
{
    walk_step_t step;
    for (int i = 0; i < STEPS_MAX; i++) {
        walk_place_t place;
        look(walk, &place);
        bool done = try_step(walk, &place, reader, &step);
        leave(&place);
        if (done)
            return step;
    }
    return walk_private(walk, reader, FORWARD_URI_MISS);
}

static bool use_on_error(const walk_t *walk, const head_t *head, int64_t ttl_ms)
{
    if (!http_use_on_error(&head->storing.stale, ttl_ms))
        return false;
    return walk->control == NULL ||
           http_request_use(walk->control, HTTP_IF_ERROR, head_age_ms(head, walk->now_ms), ttl_ms, true) ==
               HTTP_IF_ERROR;
}

/* What is stored that may be used when the origin fails, if anything is. What was purged while the origin was
 * asked is not come back to. */
static bool find_on_error(const walk_t *walk, walk_place_t *place, http_use_t *use, int64_t *ttl_ms)
{
    walk_t now = *walk;
    now.sequence = ledger_sequence(now.ledger);
    now.wait = NULL; /* somebody has waited already */
    look(&now, place);
    bool ask = false;
    *use = use_stored(&now, &place->view.stored, ttl_ms, &ask);
    if (*use == HTTP_FRESH)
        return true;
    *use = HTTP_IF_ERROR;
    return place->view.stored != NULL && use_on_error(&now, object_head(place->view.stored), *ttl_ms);
}

bool walk_may_on_error(const walk_t *walk)
{
    walk_place_t place;
    http_use_t use;
    int64_t ttl_ms = 0;
    bool may = find_on_error(walk, &place, &use, &ttl_ms);
    leave(&place);
    return may;
}

bool walk_on_error(const walk_t *walk, object_reader_t *reader, walk_step_t *step)
{
    walk_place_t place;
    http_use_t use;
    int64_t ttl_ms = 0;
    bool usable = find_on_error(walk, &place, &use, &ttl_ms);
    if (usable) {
        *step = (walk_step_t){.kind = WALK_HIT, .use = use, .ttl_ms = ttl_ms};
        object_leave(reader);
        object_open(&place.view.stored, reader);
    }
    leave(&place);
    return usable;
}

walk_step_t walk_private(const walk_t *walk, object_reader_t *reader, forward_t forward)
{
    object_t *object = memory_new_object(walk->memory, &walk->key.subject, ledger_sequence(walk->ledger));
    walk_own(walk, object, reader);
    object_unref(&object);
    return (walk_step_t){.kind = WALK_PASS, .forward = forward};
}

walk_step_t walk_again(walk_t *walk, object_reader_t *reader, bool alone)
{
    object_leave(reader);
    walk->sequence = ledger_sequence(walk->ledger);
    return alone ? walk_private(walk, reader, FORWARD_BYPASS) : walk_begin(walk, reader);
}

/* Does this request select the variant that the object turned out to be? */
static bool is_our_variant(const walk_t *walk, const object_t *object)
{
    const variants_t *variants = object_variants(object);
    if (variants == NULL)
        return true;
    size_t length;
    char *selector = variants_select(variants, walk->fields, &length);
    bool ours = text_equal((text_t){selector, length}, object_selector(object));
    free(selector);
    return ours;
}

/* Now that the head is here, all that rules may match is known: who joined after such a rule moves on. */
static bool is_overtaken(const ledger_t *ledger, const object_reader_t *reader)
{
    object_t *object = reader->object;
    return reader->join_sequence > object_stamp(object) &&
           object_judge(object, ledger, reader->join_sequence).verdict != LEDGER_VALID;
}

bool walk_piece_overtaken(const ledger_t *ledger, const object_reader_t *reader)
{
    bool has_begun = reader->offset != reader->first;
    return !has_begun && object_head(reader->object) != NULL && is_overtaken(ledger, reader);
}

walk_head_t walk_at_head(const walk_t *walk, const object_reader_t *reader)
{
    object_t *object = reader->object;
    if (object_head(object) == NULL) {
        MUST(object_end(object) == OBJECT_FAILED);
        return HEAD_FAILED;
    }
    if (object_sparse(object) && walk_lacks_pieces(walk, object))
        return HEAD_AGAIN;
    if (reader->owner)
        return HEAD_SERVE;
    if (!object_shareable(object))
        return HEAD_ALONE;
    if (is_overtaken(walk->ledger, reader))
        return HEAD_AGAIN;
    return is_our_variant(walk, object) ? HEAD_SERVE : HEAD_AGAIN;
}
