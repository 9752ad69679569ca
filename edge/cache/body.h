/* A body: the bytes of one version of one representation, as a map of 512 KiB blocks.
 *
 * Each block is absent, in flight or present. One filler appends; any number of readers take references to
 * spans. The version id names the blocks of exactly this response, so that two versions can never mix
 * whatever a tier returns.
 *
 * Every function here is called under the owning object's lock while the body still grows; once it is sealed
 * the map no longer changes and body_span() needs no lock. References may be dropped on any thread. Pure: no
 * thread, clock or random source inside; memory is charged to the account it was made with. */
#ifndef SELVEDGE_EDGE_CACHE_BODY_H
#define SELVEDGE_EDGE_CACHE_BODY_H

#include <sys/uio.h>

#include "edge/cache/account.h"

enum { BLOCK_BYTES = 512 << 10 };

typedef struct {
    uint64_t low, high;
} version_id_t;

typedef struct block block_t;
typedef struct body body_t;

typedef enum { BLOCK_ABSENT, BLOCK_IN_FLIGHT, BLOCK_PRESENT } block_state_t;

/* Bytes that stay where they are until the reference on their block is dropped. */
typedef struct {
    const char *bytes;
    size_t length;
    block_t *block; /* the receiver's reference, block_unref() gives it back; NULL: the body itself keeps the
                       bytes */
} body_span_t;

/* expected_length: from Content-Length, or -1 when it is not known. */
body_t *body_new(memory_account_t *account, version_id_t version, int64_t expected_length);
void body_ref(body_t *body);
void body_unref(body_t **body);
/* Nothing to do when there is none. */
void block_unref(block_t **block);

version_id_t body_version(const body_t *body);

/* Bytes appended so far. */
uint64_t body_length(const body_t *body);
/* Where readers can still begin: 0 unless blocks were let go by body_forget_before(). */
uint64_t body_start(const body_t *body);
/* Blocks held now. */
size_t body_blocks_held(const body_t *body);
/* The state of the block that holds this offset. */
block_state_t body_block_state(const body_t *body, uint64_t offset);

/* What must be reserved at most for a body of so many bytes (-1: not known): all of it, or its beginning,
 * with which it can go on as readers take it. */
size_t body_cost(int64_t expected_length, bool whole);
/* The body may take so many bytes, which memory_promise() has charged. */
void body_reserve(body_t *body, size_t bytes);
/* How many of `wanted` bytes can be appended with what is reserved; when fewer than all, *lacking is what has
 * to be reserved to go on. */
size_t body_fits(const body_t *body, size_t wanted, size_t *lacking);

/* Appends all of it, reserved for or not. May move the last block to a larger piece of memory; spans handed
 * out stay valid. */
void body_append(body_t *body, const void *bytes, size_t length);
/* Lets go of whole blocks that end at or before `offset`. True when any was. */
bool body_forget_before(body_t *body, uint64_t offset);
/* No more bytes will come: gives back what was reserved and not used. */
void body_close(body_t *body);
/* The same, and what the last block does not use, unless body_seal_lacks(): the map no longer changes. */
void body_seal(body_t *body);
/* What has to be reserved for that, as readers hold the block whose rest is to be given back. */
size_t body_seal_lacks(const body_t *body);

/* A body whose bytes come all at once from where they were kept, straight into its blocks: of so many bytes
 * at most, no more than the blocks that BODY_LOAD_BLOCKS_MAX says. reserved: what memory_promise() has
 * charged for it, body_cost(length, true). One thread's until it is loaded: it may be given back, and nothing
 * else is asked of it before. */
enum { BODY_LOAD_BLOCKS_MAX = 2 };
body_t *body_for_load(memory_account_t *account, size_t length, size_t reserved);
/* Where they go; how many places there are. */
int body_load_places(body_t *body, struct iovec places[BODY_LOAD_BLOCKS_MAX]);
/* They have come, of this version and so many as are really its own: no fewer than need all of its blocks. It
 * is sealed. */
void body_loaded(body_t *body, version_id_t version, size_t length);

/* The bytes from offset on, up to `most` and the end of their block; length 0 (no reference) when there are
 * none. */
body_span_t body_span(const body_t *body, uint64_t offset, size_t most);

/* All bytes of a sealed body that are in one piece, without a reference: they live as long as the body. False
 * when they are not. */
bool body_in_one(const body_t *body, text_t *bytes);

void body_check(const body_t *body);

#endif
