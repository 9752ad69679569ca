#include "edge/cache/pieces.h"

#include "edge/http/conditional.h"

/* As a selector: names of pieces are longer. In numbers of 64 bits. */
const cache_variant_t pieces_sparse = {NULL, {"sparse", 6}};

piece_t piece_at(const object_t *sparse, uint64_t offset)
{
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    uint64_t first = offset / PIECE_BYTES * PIECE_BYTES, end = first + PIECE_BYTES;
    MUST(object_sparse(sparse) && offset < length);
    return (piece_t){first, end < length ? end : length};
}

bool pieces_keepable(const memory_t *memory, const head_t *head)
{
    return !head->storing.no_cache && memory_max_object(memory) >= PIECE_BYTES;
}

bool pieces_possible(const memory_t *memory, const head_t *head)
{
    return head_takes_ranges(head) && pieces_keepable(memory, head);
}

/* By the version of the whole, and where in it it begins. */
cache_variant_t piece_variant(const object_t *sparse, piece_t piece, uint64_t numbers[PIECE_NUMBERS])
{
    version_id_t version = object_body_version(sparse);
    numbers[0] = version.low;
    numbers[1] = version.high;
    numbers[2] = piece.first;
    return (cache_variant_t){NULL, {(const char *)numbers, PIECE_NUMBERS * sizeof *numbers}};
}

memory_view_t pieces_look(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t name = piece_variant(sparse, piece, numbers);
    return memory_look(memory, key, &name);
}

memory_view_t pieces_look_sparse(memory_t *memory, const cache_key_t *key)
{
    return memory_look(memory, key, &pieces_sparse);
}

void pieces_touch_sparse(memory_t *memory, const cache_key_t *key)
{
    memory_view_t view = pieces_look_sparse(memory, key);
    memory_view_drop(&view);
}

memory_view_t pieces_peek_sparse(memory_t *memory, const cache_key_t *key)
{
    return memory_peek(memory, key, &pieces_sparse, NULL);
}

home_t *pieces_home(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece)
{
    uint64_t numbers[PIECE_NUMBERS];
    cache_variant_t name = piece_variant(sparse, piece, numbers);
    return memory_home(memory, key, &name);
}

static object_t *make_sparse(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp, head_t **head,
                             const version_id_t *of)
{
    object_t *object = memory_new_object(memory, subject, stamp);
    object_complete_sparse(object, head, OBJECT_SHAREABLE | OBJECT_ADMITTED | OBJECT_SPARSE, of);
    return object;
}

/* What has the same strong validator is the same, byte for byte (RFC 9110 section 8.8.1). What a purge took
 * meanwhile of its pieces is told by their own stamps. */
static bool is_same_version(const object_t *stored, const head_t *head)
{
    const head_t *before = object_head(stored);
    return http_same_strong_etag(before->etag, head->etag) && before->content_length == head->content_length;
}

bool pieces_known_whole_only(memory_t *memory, const cache_key_t *key, const head_t *head)
{
    memory_view_t view = pieces_peek_sparse(memory, key);
    bool known = view.stored != NULL && is_same_version(view.stored, head) &&
                 !head_takes_ranges(object_head(view.stored));
    memory_view_drop(&view);
    return known;
}

object_t *pieces_new_sparse(memory_t *memory, const cache_key_t *key, uint64_t stamp, head_t **head)
{
    return make_sparse(memory, &key->subject, stamp, head, NULL);
}

bool pieces_put_sparse(memory_t *memory, const cache_key_t *key, object_t *sparse)
{
    home_t *home = memory_home(memory, key, &pieces_sparse);
    bool stored = memory_put(memory, home, sparse);
    home_unref(&home);
    return stored;
}

object_t *pieces_store_sparse(memory_t *memory, const cache_key_t *key, uint64_t stamp, head_t **head)
{
    memory_view_t before = pieces_peek_sparse(memory, key);
    bool same = before.stored != NULL && is_same_version(before.stored, *head);
    version_id_t version = same ? object_body_version(before.stored) : (version_id_t){0, 0};
    memory_view_drop(&before);
    object_t *object = make_sparse(memory, &key->subject, stamp, head, same ? &version : NULL);
    if (!pieces_put_sparse(memory, key, object))
        object_unref(&object);
    return object;
}

/* Is it this one, or that from which it was copied for those who waited? */
static bool is_twin(const object_t *stored, const object_t *sparse)
{
    version_id_t a = object_body_version(stored), b = object_body_version(sparse);
    return stored == sparse ||
           (a.low == b.low && a.high == b.high && object_stamp(stored) == object_stamp(sparse));
}

void pieces_renew_sparse(memory_t *memory, const cache_key_t *key, const object_t *sparse, uint64_t stamp,
                         head_t **head)
{
    version_id_t version = object_body_version(sparse);
    memory_view_t view = pieces_peek_sparse(memory, key);
    if (view.stored != NULL && is_twin(view.stored, sparse)) {
        object_t *object = make_sparse(memory, object_subject(sparse), stamp, head, &version);
        memory_replace(memory, view.stored, object);
        object_unref(&object);
    }
    memory_view_drop(&view);
}

void pieces_forget_sparse(memory_t *memory, const cache_key_t *key, text_t etag)
{
    memory_bury(memory, key, &pieces_sparse, etag);
}
