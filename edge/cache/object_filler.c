/* How an object grows: the steps of its filler, from the head to the end, and who is woken by them. No hit
 * comes here. */
#include "edge/cache/object_private.h"

/* --- Wakes --- */

static void wake_one(object_reader_t *reader)
{
    if (!reader->waiting)
        return;
    reader->waiting = false;
    reader->wake(reader);
}

static void wake_all(object_t *object)
{
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        wake_one(reader);
}

/* Those for whom there are bytes: a range may begin far behind what has come. */
static void wake_reached(object_t *object)
{
    uint64_t length = body_length(object->body);
    for (object_reader_t *reader = object->readers; reader != NULL; reader = reader->next)
        if (reader->offset < length)
            wake_one(reader);
}

/* --- Steps --- */

void object_set_filler(object_t *object, object_filler_t *filler)
{
    object_lock(object);
    object->filler = filler;
    object_unlock(object);
}

void object_pass_filler(object_t *from, object_t *to)
{
    object_lock(from);
    object_filler_t *filler = from->filler;
    from->filler = NULL;
    object_unlock(from);
    object_set_filler(to, filler);
}

void object_set_variant(object_t *object, variants_t **variants, char **selector, size_t selector_length)
{
    MUST(object_head(object) == NULL && object->variants == NULL);
    object->variants = *variants;
    *variants = NULL;
    object->selector = *selector;
    *selector = NULL;
    object->selector_length = selector_length;
    /* A client chooses how long it is: it counts. */
    object_charge(object, (int64_t)selector_length);
}

static void publish_head(object_t *object, head_t **head, unsigned flags)
{
    MUST(object_head(object) == NULL);
    object->flags = (uint16_t)flags;
    atomic_store_explicit(&object->head, *head, memory_order_release);
    *head = NULL;
}

void object_begin(object_t *object, head_t **head, unsigned flags)
{
    bool windowed = flags & OBJECT_WINDOWED;
    object_lock(object);
    MUST(object->body == NULL && object_end(object) == OBJECT_OPEN);
    object->body = body_new(object->account, object->version, (*head)->content_length);
    object->windowed = windowed;
    publish_head(object, head, flags);
    wake_all(object);
    object_unlock(object);
}

void object_make_windowed(object_t *object)
{
    object_lock(object);
    object->windowed = true;
    object_slide_window(object);
    object_unlock(object);
}

size_t object_room(object_t *object, size_t wanted)
{
    size_t room = wanted;
    object_lock(object);
    if (object->windowed) {
        object->filler_waits = object->filler_lacks = false; /* it is here, and need not be told */
        object_slide_window(object);
        uint64_t end = body_start(object->body) + (uint64_t)WINDOW_BLOCKS * BLOCK_BYTES;
        uint64_t length = body_length(object->body), left = length < end ? end - length : 0;
        room = left < wanted ? (size_t)left : wanted;
        object->filler_waits = room < wanted;
    }
    object_unlock(object);
    return room;
}

size_t object_fits(object_t *object, size_t wanted, size_t *lacking)
{
    object_lock(object);
    size_t fits = body_fits(object->body, wanted, lacking);
    object->filler_lacks = object->windowed && fits < wanted;
    object_unlock(object);
    return fits;
}

void object_reserve(object_t *object, size_t bytes)
{
    object_lock(object);
    body_reserve(object->body, bytes);
    object_unlock(object);
}

void object_append(object_t *object, const void *bytes, size_t length)
{
    object_lock(object);
    MUST(object_end(object) == OBJECT_OPEN);
    body_append(object->body, bytes, length);
    wake_reached(object);
    object_unlock(object);
}

unsigned object_cut_laggards(object_t *object)
{
    unsigned cut = 0;
    object_lock(object);
    uint64_t edge = body_start(object->body) + BLOCK_BYTES;
    uint64_t length = body_length(object->body);
    bool held_back = object->filler_waits || object->filler_lacks; /* else they made room in the meantime */
    for (object_reader_t *reader = object->readers; held_back && reader != NULL; reader = reader->next)
        if (object_is_reading(reader) && reader->offset < edge && reader->offset < length) {
            reader->behind = true;
            cut++;
            wake_one(reader);
        }
    object_slide_window(object);
    object_unlock(object);
    return cut;
}

static void end_with(object_t *object, object_end_t end)
{
    MUST(object_end(object) == OBJECT_OPEN);
    atomic_store_explicit(&object->end, end, memory_order_release);
    object->filler = NULL;
    if (object->body != NULL)
        body_close(object->body);
    wake_all(object);
}

size_t object_complete_lacks(object_t *object)
{
    object_lock(object);
    size_t lacking = object->windowed ? 0 : body_seal_lacks(object->body);
    object_unlock(object);
    return lacking;
}

void object_complete(object_t *object)
{
    object_lock(object);
    if (!object->windowed) {
        body_seal(object->body);
        body_in_one(object->body, &object->whole);
    }
    end_with(object, OBJECT_COMPLETE);
    object_unlock(object);
    CHECKED(object_check(object));
}

void object_complete_sparse(object_t *object, head_t **head, unsigned flags, const version_id_t *of)
{
    MUST(flags & OBJECT_SPARSE);
    object_lock(object);
    MUST(object->body == NULL);
    object->body = body_new(object->account, of != NULL ? *of : object->version, 0);
    body_seal(object->body);
    publish_head(object, head, flags);
    end_with(object, OBJECT_COMPLETE);
    object_unlock(object);
    CHECKED(object_check(object));
}

void object_adopt(object_t *object, head_t **head, unsigned flags, object_t *base)
{
    MUST(object_end(base) == OBJECT_COMPLETE && !base->windowed);
    object_lock(object);
    MUST(object->body == NULL);
    body_ref(base->body);
    object->body = base->body;
    body_in_one(object->body, &object->whole);
    object->revalidated = true;
    publish_head(object, head, flags | (base->flags & OBJECT_SPARSE)); /* a head alone stays that */
    end_with(object, OBJECT_COMPLETE);
    object_unlock(object);
    CHECKED(object_check(object));
}

void object_complete_loaded(object_t *object, head_t **head, unsigned flags, body_t **body)
{
    object_lock(object);
    MUST(object->body == NULL);
    object->body = *body;
    *body = NULL;
    body_seal(object->body);
    body_in_one(object->body, &object->whole);
    publish_head(object, head, flags);
    end_with(object, OBJECT_COMPLETE);
    object_unlock(object);
    CHECKED(object_check(object));
}

void object_fail(object_t *object, object_failure_t failure)
{
    object_lock(object);
    object->failure = failure;
    end_with(object, OBJECT_FAILED);
    object_unlock(object);
}

bool object_fail_if_unread(object_t *object, object_failure_t failure)
{
    object_lock(object);
    bool unread = object->reader_count == 0;
    if (unread) {
        object->failure = failure;
        end_with(object, OBJECT_FAILED);
    }
    object_unlock(object);
    return unread;
}

bool object_unread(object_t *object)
{
    object_lock(object);
    bool unread = object->reader_count == 0;
    object_unlock(object);
    return unread;
}

uint64_t object_taken(object_t *object)
{
    object_lock(object);
    uint64_t taken = object->taken;
    object_unlock(object);
    return taken;
}
