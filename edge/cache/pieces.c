#include "edge/cache/pieces.h"

/* As a selector: names of pieces are longer. */
static const cache_variant_t sparse_variant = {NULL, {"sparse", 6}};
enum { NAME_NUMBERS = 2 * sizeof(uint64_t), ETAG_MAX = 1024 };

piece_t piece_at(const object_t *sparse, uint64_t offset)
{
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    uint64_t first = offset / PIECE_BYTES * PIECE_BYTES, end = first + PIECE_BYTES;
    MUST(object_sparse(sparse) && offset < length);
    return (piece_t){first, end < length ? end : length};
}

bool pieces_possible(const memory_t *memory, const head_t *head)
{
    return head_takes_ranges(head) && !head->storing.no_cache && head->etag.length <= ETAG_MAX &&
           memory_max_object(memory) >= PIECE_BYTES;
}

/* By the length of the whole, where it begins, and the validator of the whole. */
static cache_variant_t name_piece(const object_t *sparse, piece_t piece, char buffer[NAME_NUMBERS + ETAG_MAX])
{
    const head_t *head = object_head(sparse);
    uint64_t numbers[2] = {(uint64_t)head->content_length, piece.first};
    MUST(head->etag.length <= ETAG_MAX);
    memcpy(buffer, numbers, NAME_NUMBERS);
    memcpy(buffer + NAME_NUMBERS, head->etag.data, head->etag.length);
    return (cache_variant_t){NULL, {buffer, NAME_NUMBERS + head->etag.length}};
}

memory_view_t pieces_look(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece)
{
    char buffer[NAME_NUMBERS + ETAG_MAX];
    cache_variant_t name = name_piece(sparse, piece, buffer);
    return memory_look(memory, key, &name);
}

memory_view_t pieces_look_sparse(memory_t *memory, const cache_key_t *key)
{
    return memory_look(memory, key, &sparse_variant);
}

memory_view_t pieces_peek_sparse(memory_t *memory, const cache_key_t *key)
{
    return memory_peek(memory, key, &sparse_variant, NULL);
}

size_t pieces_count(memory_t *memory, const cache_key_t *key, const object_t *sparse, const ledger_t *ledger,
                    size_t most)
{
    char buffer[NAME_NUMBERS + ETAG_MAX];
    uint64_t length = (uint64_t)object_head(sparse)->content_length;
    size_t stored = 0;
    for (uint64_t at = 0; at < length && at / PIECE_BYTES < most; at += PIECE_BYTES) {
        cache_variant_t name = name_piece(sparse, piece_at(sparse, at), buffer);
        memory_view_t view = memory_peek(memory, key, &name, NULL);
        stored += view.stored != NULL && object_judge_now(view.stored, ledger).verdict != LEDGER_HARD;
        memory_view_drop(&view);
    }
    return stored;
}

home_t *pieces_home(memory_t *memory, const cache_key_t *key, const object_t *sparse, piece_t piece)
{
    char buffer[NAME_NUMBERS + ETAG_MAX];
    cache_variant_t name = name_piece(sparse, piece, buffer);
    return memory_home(memory, key, &name);
}

static object_t *make_sparse(memory_t *memory, const ledger_subject_t *subject, uint64_t stamp, head_t **head)
{
    object_t *object = memory_new_object(memory, subject, stamp);
    object_complete_sparse(object, head, OBJECT_SHAREABLE | OBJECT_ADMITTED | OBJECT_SPARSE);
    return object;
}

object_t *pieces_store_sparse(memory_t *memory, const cache_key_t *key, uint64_t stamp, head_t **head)
{
    object_t *object = make_sparse(memory, &key->subject, stamp, head);
    home_t *home = memory_home(memory, key, &sparse_variant);
    bool stored = memory_put(memory, home, object);
    home_unref(&home);
    if (!stored)
        object_unref(&object);
    return object;
}

void pieces_renew_sparse(memory_t *memory, object_t *sparse, uint64_t stamp, head_t **head)
{
    object_t *object = make_sparse(memory, object_subject(sparse), stamp, head);
    memory_replace(memory, sparse, object);
    object_unref(&object);
}

void pieces_forget_sparse(memory_t *memory, const cache_key_t *key, text_t etag)
{
    memory_view_t view = pieces_peek_sparse(memory, key);
    if (view.stored != NULL && (etag.data == NULL || text_equal(object_head(view.stored)->etag, etag)))
        memory_forget(memory, view.stored);
    memory_view_drop(&view);
}
