/* A memory tier, a ledger and numbered versions, and a fill driven by hand: what the tests of the cache's
 * parts share. */
#ifndef SELVEDGE_TESTS_UNIT_CACHE_WORLD_H
#define SELVEDGE_TESTS_UNIT_CACHE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "edge/cache/walk.h"
#include "edge/http/date.h"
#include "origin_pull/fill.h"

enum { MIB = 1 << 20, NOW_MS = 1000000000 };

typedef struct {
    memory_t *memory;
    ledger_t *ledger;
    _Atomic uint64_t versions;
    uint64_t sequence; /* of the last rule */
    int64_t now_ms;
    uint64_t wasted, worth_bytes; /* by all fills that are over; of those to come */
    const http_policy_t *policy;  /* of the fills to come; NULL: it decides nothing */
    uint64_t run_end;             /* up to there pieces are asked for in a row; 0: one */
    bool ahead;                   /* and ahead of who reads them */
} world_t;

static inline version_id_t world_version(void *context)
{
    world_t *world = context;
    return (version_id_t){atomic_fetch_add(&world->versions, 1) + 1, 7};
}

static inline void world_begin(world_t *world, uint64_t limit, uint64_t max_object)
{
    *world = (world_t){.now_ms = NOW_MS};
    memory_config_t config = {limit, max_object, world_version, world};
    memory_attach_thread();
    world->memory = memory_new(&config);
    world->ledger = ledger_new(1024, 64);
}

static inline void world_evict_all(world_t *world)
{
    memory_evict_all(world->memory);
    memory_settle();
}

/* Whatever a test did, nothing may be left charged when all is let go. */
static inline void world_end(world_t *world)
{
    memory_check(world->memory);
    world_evict_all(world);
    assert_int_equal(memory_objects(world->memory), 0);
    assert_int_equal(atomic_load(&memory_account(world->memory)->bytes), 0);
    memory_free(&world->memory);
    ledger_free(&world->ledger);
    memory_detach_thread();
}

static inline void world_purge(world_t *world, rule_kind_t kind, const char *target, bool soft)
{
    ledger_rule_t rule = {kind, soft, ++world->sequence, world->now_ms, TEXT("www"), text_of(target)};
    ledger_apply(world->ledger, &rule);
    ledger_publish(world->ledger, rule.sequence);
}

/* --- A client --- */

typedef struct {
    object_reader_t reader;
    unsigned wakes;
    walk_t walk;
    walk_step_t step;
    fill_t *fill; /* when it has to start one */
    object_filler_t filler;
    unsigned notified;
    http_field_t fields[8];
} client_t;

static inline void client_wake(object_reader_t *reader)
{
    CONTAINER_OF(reader, client_t, reader)->wakes++;
}

static inline void client_notified(object_filler_t *filler, unsigned events)
{
    CONTAINER_OF(filler, client_t, filler)->notified |= events;
}

/* "name: value" lines in lower case, up to NULL. */
static inline http_fields_t fields_of(http_field_t *list, const char *const *lines)
{
    size_t count = 0;
    for (; lines != NULL && lines[count] != NULL; count++) {
        assert_true(count < 8);
        const char *colon = strstr(lines[count], ": ");
        assert_non_null(colon);
        list[count] = (http_field_t){{lines[count], (size_t)(colon - lines[count])}, text_of(colon + 2)};
    }
    return (http_fields_t){list, count};
}

static inline void client_fill_over(void *context, uint64_t wasted)
{
    ((world_t *)context)->wasted += wasted;
}

static inline void client_start_fill(world_t *world, client_t *client)
{
    walk_step_t *step = &client->step;
    object_t *object = step->background != NULL ? step->background : client->reader.object;
    fill_request_t request = {.memory = world->memory,
                              .method = TEXT("GET"),
                              .key = client->walk.key,
                              .fields = client->walk.fields,
                              .object = object,
                              .base = step->base,
                              .stale = step->stale,
                              .stale_until_ms = step->stale_until_ms,
                              .indexed = step->background != NULL || step->kind == WALK_FILL,
                              .background = step->background != NULL,
                              .on_over = client_fill_over,
                              .on_over_context = world,
                              .worth_bytes = world->worth_bytes,
                              .policy = world->policy};
    step->base = step->stale = NULL;
    client->fill = fill_new(&request);
    client->filler.notify = client_notified;
    object_set_filler(object, &client->filler);
    if (step->background != NULL)
        object_unref(&step->background);
    fill_sent(client->fill, world->now_ms);
}

static inline void client_take(world_t *world, client_t *client, walk_step_t step)
{
    client->step = step;
    if (step.kind == WALK_FILL || step.kind == WALK_PASS || step.background != NULL)
        client_start_fill(world, client);
}

/* Asks for a target with these request fields (NULL: none). */
static inline void client_ask(world_t *world, client_t *client, const char *target, const char *const *lines)
{
    memset(client, 0, sizeof *client);
    client->walk = (walk_t){.memory = world->memory,
                            .ledger = world->ledger,
                            .key = cache_key(TEXT("www"), text_of(target)),
                            .fields = fields_of(client->fields, lines),
                            .sequence = ledger_sequence(world->ledger),
                            .now_ms = world->now_ms,
                            .wake = client_wake};
    client_take(world, client, walk_begin(&client->walk, &client->reader));
}

/* Leaves what it reads and begins again. */
static inline void client_again(world_t *world, client_t *client)
{
    object_leave(&client->reader);
    client_take(world, client, walk_begin(&client->walk, &client->reader));
}

static inline void client_leave(client_t *client)
{
    object_leave(&client->reader);
    if (client->fill != NULL)
        fill_free(&client->fill);
}

/* There is a sparse object: `sparse` has it, and the client walks to the piece with this byte. */
static inline bool client_ask_piece(world_t *world, client_t *client, client_t *sparse, const char *target,
                                    uint64_t offset, const char *const *lines)
{
    client_ask(world, sparse, target, lines);
    assert_int_equal(sparse->step.kind, WALK_HIT);
    memset(client, 0, sizeof *client);
    client->walk = sparse->walk;
    piece_t piece = piece_at(sparse->reader.object, offset);
    if (!walk_piece(&client->walk, sparse->reader.object, piece, &client->reader, &client->step))
        return false;
    if (client->step.kind != WALK_FILL)
        return true;
    fill_request_t request = {.memory = world->memory,
                              .method = TEXT("GET"),
                              .key = client->walk.key,
                              .fields = client->walk.fields,
                              .object = client->reader.object,
                              .base = client->step.base,
                              .indexed = true,
                              .on_over = client_fill_over,
                              .on_over_context = world,
                              .policy = world->policy,
                              .piece = piece,
                              .run_end = world->run_end,
                              .ahead = world->ahead};
    client->fill = fill_new(&request);
    client->filler.notify = client_notified;
    object_set_filler(client->reader.object, &client->filler);
    fill_sent(client->fill, world->now_ms);
    return true;
}

/* The upstream's head: "name: value" lines up to NULL. */
static inline fill_action_t client_head(world_t *world, client_t *client, int status,
                                        const char *const *lines)
{
    http_field_t list[8];
    fill_answer_t answer = {status, fields_of(list, lines), false, true};
    return fill_head(client->fill, &answer, world->now_ms);
}

static inline void client_body(client_t *client, const char *body)
{
    size_t taken, length = strlen(body);
    assert_int_equal(fill_bytes(client->fill, body, length, &taken), FILL_GO_ON);
    assert_int_equal(taken, length);
}

/* The whole answer at once. */
static inline void client_answer(world_t *world, client_t *client, int status, const char *const *lines,
                                 const char *body)
{
    assert_int_equal(client_head(world, client, status, lines), FILL_GO_ON);
    client_body(client, body);
    fill_complete(client->fill);
}

/* Reads all that is there into a string; what ended it. */
static inline object_read_t client_read(client_t *client, char *buffer, size_t capacity)
{
    size_t length = 0;
    for (;;) {
        body_span_t span;
        object_read_t read = object_read(&client->reader, 7, &span);
        if (read != READ_BYTES) {
            assert_null(span.block);
            buffer[length] = '\0';
            return read;
        }
        assert_true(length + span.length < capacity);
        memcpy(buffer + length, span.bytes, span.length);
        length += span.length;
        block_unref(&span.block);
    }
}

static inline void assert_reads(client_t *client, const char *expected, object_read_t end)
{
    char text[1024];
    assert_int_equal(client_read(client, text, sizeof text), end);
    assert_string_equal(text, expected);
}

/* --- Setup and teardown: a world for each test --- */

static world_t world;

static inline int world_setup(void **state)
{
    (void)state;
    world_begin(&world, 64 * MIB, 8 * MIB);
    return 0;
}

static inline int world_teardown(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
