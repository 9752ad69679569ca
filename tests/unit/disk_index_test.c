/* The disk tier's index: random operations against a plain map, with names that meet; marks; who revokes and
 * who puts at once; what it takes.
 *
 * The hash is the names' lower half here, so that a test says itself which table and which home a name has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <xxhash.h>

#include "purge/ledger.h"

static bool really;

static uint64_t hash_of_test(const ledger_hash_t *name, size_t length, uint64_t seed)
{
    return really ? XXH3_64bits_withSeed(name, length, seed) : name->low;
}

/* What is revoked at the last moment before the lock is taken. */
static _Atomic bool *revoked_at_the_lock;

static int lock_of_test(pthread_mutex_t *lock)
{
    if (revoked_at_the_lock != NULL)
        atomic_store(revoked_at_the_lock, true);
    return pthread_mutex_lock(lock);
}

#define pthread_mutex_lock lock_of_test
#define XXH3_64bits_withSeed(name, length, seed) hash_of_test(name, length, seed)
#include "edge/cache/disk/index.c" /* NOLINT: its hash is replaced */
#undef pthread_mutex_lock

enum { MIB = 1 << 20 };

static uint64_t mixed(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static uint32_t below(uint64_t *random, uint32_t limit)
{
    return (uint32_t)(mixed((*random)++) % limit);
}

/* The index has 256 tables, chosen by the upper 8 bits. */
static ledger_hash_t name_of(unsigned table, uint64_t tag, uint64_t high)
{
    return (ledger_hash_t){(uint64_t)table << 56 | tag, high};
}

static disk_place_t place_number(uint32_t number)
{
    return (disk_place_t){(uint16_t)(number % 65536), number % (1u << 20), (uint16_t)(1 + number % 4095),
                          (uint8_t)(number % 128)};
}

static bool same_place(const disk_place_t *a, const disk_place_t *b)
{
    return a->segment == b->segment && a->unit == b->unit && a->units == b->units &&
           a->meta_units == b->meta_units;
}

static bool finds(disk_index_t *index, const ledger_hash_t *name, const disk_place_t *wanted)
{
    disk_place_t place;
    return disk_index_find(index, name, false, &place) && same_place(&place, wanted);
}

static bool has(disk_index_t *index, const ledger_hash_t *name)
{
    disk_place_t place;
    return disk_index_find(index, name, false, &place);
}

static disk_index_t *index_new(bool complete)
{
    disk_index_t *index = disk_index_new(1, MIB);
    if (complete)
        disk_index_complete(index);
    return index;
}

static void index_end(disk_index_t **index)
{
    disk_index_check(*index);
    disk_index_free(index);
    assert_null(*index);
}

static void what_was_put_is_found_with_all_of_its_place(void **state)
{
    (void)state;
    disk_index_t *index = index_new(true);
    ledger_hash_t name = name_of(63, ((uint64_t)1 << 38) - 1, 9),
                  other = name_of(62, ((uint64_t)1 << 38) - 1, 9);
    disk_place_t largest = {65535, (1 << 20) - 1, 4095, 127}, least = {0, 0, 1, 0};
    assert_false(has(index, &name));
    assert_true(disk_index_put(index, &name, &largest, NULL));
    assert_true(finds(index, &name, &largest));
    assert_false(has(index, &other));
    assert_true(disk_index_put(index, &name, &least, NULL));
    assert_true(finds(index, &name, &least));
    assert_int_equal(disk_index_records(index), 1);
    assert_true(disk_index_remove(index, &name));
    assert_false(disk_index_remove(index, &name));
    assert_false(has(index, &name));
    assert_int_equal(disk_index_records(index), 0);
    index_end(&index);
}

static void an_entry_is_told_from_others_by_each_bit_of_its_tag(void **state)
{
    (void)state;
    disk_index_t *index = index_new(true);
    ledger_hash_t name = name_of(5, 0x1234567890, 0);
    disk_place_t place = place_number(7);
    disk_index_put(index, &name, &place, NULL);
    for (unsigned bit = 0; bit < 38; bit++) {
        ledger_hash_t other = name_of(5, 0x1234567890 ^ (uint64_t)1 << bit, 0);
        assert_false(has(index, &other));
    }
    index_end(&index);
}

static void up_to_three_uses_are_remembered_until_it_is_put_or_moved(void **state)
{
    (void)state;
    disk_index_t *index = index_new(true);
    ledger_hash_t name = name_of(1, 2, 3);
    disk_place_t first = place_number(1), second = place_number(2), place;
    disk_index_put(index, &name, &first, NULL);
    assert_true(disk_index_find(index, &name, false, &place));
    for (int asked = 0; asked < 6; asked++) {
        assert_int_equal(disk_index_uses(index, &name, &first), asked < 3 ? asked : 3);
        assert_true(disk_index_find(index, &name, true, &place));
    }
    assert_true(finds(index, &name, &first));
    assert_int_equal(disk_index_uses(index, &name, &second), -1);
    assert_false(disk_index_move(index, &name, &second, &first));
    assert_int_equal(disk_index_uses(index, &name, &first), 3);
    assert_true(disk_index_move(index, &name, &first, &second));
    assert_int_equal(disk_index_uses(index, &name, &first), -1);
    assert_int_equal(disk_index_uses(index, &name, &second), 0);
    disk_index_find(index, &name, true, &place);
    disk_index_put(index, &name, &second, NULL);
    assert_int_equal(disk_index_uses(index, &name, &second), 0);
    index_end(&index);
}

static void what_is_revoked_is_not_put(void **state)
{
    (void)state;
    disk_index_t *index = index_new(true);
    ledger_hash_t name = name_of(1, 2, 3);
    disk_place_t first = place_number(1), second = place_number(2);
    _Atomic bool revoked = false;
    assert_true(disk_index_put(index, &name, &first, &revoked));
    revoked = true;
    assert_false(disk_index_put(index, &name, &second, &revoked));
    assert_true(finds(index, &name, &first));

    revoked = false;
    revoked_at_the_lock = &revoked;
    assert_false(disk_index_put(index, &name, &second, &revoked));
    revoked_at_the_lock = NULL;
    assert_true(revoked);
    assert_true(finds(index, &name, &first));
    index_end(&index);
}

static void what_was_removed_while_starting_is_not_found_again(void **state)
{
    (void)state;
    disk_index_t *index = index_new(false);
    ledger_hash_t there = name_of(1, 2, 0), never = name_of(1, 3, 0), damaged = name_of(1, 4, 0);
    disk_place_t newer = place_number(1), older = place_number(2);
    assert_true(disk_index_found(index, &there, &newer));
    assert_false(disk_index_found(index, &there, &older));
    assert_true(finds(index, &there, &newer));
    assert_true(disk_index_remove(index, &there));
    assert_false(disk_index_remove(index, &never));
    assert_true(disk_index_found(index, &damaged, &newer));
    assert_false(disk_index_remove_at(index, &damaged, &older));
    assert_true(disk_index_remove_at(index, &damaged, &newer));
    assert_false(disk_index_found(index, &there, &older));
    assert_false(disk_index_found(index, &never, &older));
    assert_false(disk_index_found(index, &damaged, &older));
    assert_false(has(index, &there) || has(index, &never) || has(index, &damaged));
    assert_int_equal(disk_index_records(index), 0);
    assert_int_equal(disk_index_uses(index, &there, &(disk_place_t){0, 0, 0, 0}), -1);
    assert_false(disk_index_move(index, &there, &(disk_place_t){0, 0, 0, 0}, &newer));

    disk_index_check(index);
    assert_true(disk_index_put(index, &there, &newer, NULL)); /* a new one goes over the mark */
    assert_true(finds(index, &there, &newer));
    assert_false(disk_index_is_complete(index));
    disk_index_complete(index);
    assert_true(disk_index_is_complete(index));
    assert_true(finds(index, &there, &newer));
    assert_int_equal(disk_index_records(index), 1);
    index_end(&index);
}

static void a_device_goes_with_its_segments(void **state)
{
    (void)state;
    disk_index_t *index = index_new(true);
    enum { COUNT = 6000 };
    for (uint32_t i = 0; i < COUNT; i++) {
        ledger_hash_t name = {mixed(i), i};
        disk_place_t place = {(uint16_t)(i % 30), i, 1, 1};
        disk_index_put(index, &name, &place, NULL);
    }
    assert_int_equal(disk_index_remove_segments(index, 10, 19), COUNT / 3);
    assert_int_equal(disk_index_remove_segments(index, 10, 19), 0);
    assert_int_equal(disk_index_records(index), COUNT / 3 * 2);
    for (uint32_t i = 0; i < COUNT; i++) {
        ledger_hash_t name = {mixed(i), i};
        assert_int_equal(has(index, &name), i % 30 < 10 || i % 30 > 19);
    }
    index_end(&index);
}

/* The model: by table and tag, what is there. */
enum { TABLES = 3, TAGS = 48, MODEL = TABLES * TAGS };
typedef struct {
    bool there, marked;
    uint8_t uses;
    disk_place_t place;
} cell_t;

/* Homes crowd at both ends of a table and in its middle, so that runs are long and pass over its end. */
static ledger_hash_t model_name(uint32_t number, uint64_t high)
{
    static const unsigned tables[TABLES] = {0, 127, 255};
    uint64_t tag = number / TABLES, third = tag % 3, last = ((uint64_t)1 << 38) - 1;
    return name_of(tables[number % TABLES],
                   third == 0   ? tag
                   : third == 1 ? last - tag
                                : last / 2 + tag,
                   high);
}

static void model_asked(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, bool asked)
{
    disk_place_t place;
    assert_int_equal(disk_index_find(index, name, asked, &place), cell->there);
    if (cell->there)
        assert_true(same_place(&place, &cell->place));
    if (cell->there && asked && cell->uses < 3)
        cell->uses++;
}

static void model_put(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, uint32_t number,
                      bool refused)
{
    disk_place_t place = place_number(number);
    _Atomic bool revoked = refused;
    assert_int_equal(disk_index_put(index, name, &place, number % 2 || refused ? &revoked : NULL), !refused);
    if (!refused)
        *cell = (cell_t){true, false, 0, place};
}

static void model_found(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, uint32_t number)
{
    disk_place_t place = place_number(number);
    bool free_yet = !cell->there && !cell->marked;
    assert_int_equal(disk_index_found(index, name, &place), free_yet);
    if (free_yet)
        *cell = (cell_t){true, false, 0, place};
}

static void model_remove(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, bool complete)
{
    assert_int_equal(disk_index_remove(index, name), cell->there);
    *cell = (cell_t){.marked = !complete};
}

static void model_remove_at(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, uint32_t number,
                            bool complete)
{
    disk_place_t place = number % 4 ? cell->place : place_number(number);
    bool same = cell->there && same_place(&place, &cell->place);
    assert_int_equal(disk_index_remove_at(index, name, &place), same);
    if (same)
        *cell = (cell_t){.marked = !complete};
}

static void model_move(disk_index_t *index, cell_t *cell, const ledger_hash_t *name, uint32_t number)
{
    disk_place_t from = number % 4 ? cell->place : place_number(number), to = place_number(number / 7);
    bool same = cell->there && same_place(&from, &cell->place);
    assert_int_equal(disk_index_uses(index, name, &from), same ? cell->uses : -1);
    assert_int_equal(disk_index_move(index, name, &from, &to), same);
    if (same)
        *cell = (cell_t){true, false, 0, to};
}

static void model_remove_segments(disk_index_t *index, cell_t *cells, uint32_t number)
{
    uint16_t first = (uint16_t)(number % 65536),
             last = (uint16_t)(first + number % 1024 < 65536 ? first + number % 1024 : 65535);
    uint64_t gone = 0;
    for (cell_t *cell = cells; cell < cells + MODEL; cell++)
        if (cell->there && cell->place.segment >= first && cell->place.segment <= last) {
            *cell = (cell_t){.there = false};
            gone++;
        }
    assert_int_equal(disk_index_remove_segments(index, first, last), gone);
}

static void model_compare(disk_index_t *index, cell_t *cells)
{
    uint64_t records = 0;
    for (uint32_t number = 0; number < MODEL; number++) {
        ledger_hash_t name = model_name(number, 0);
        model_asked(index, &cells[number], &name, false);
        records += cells[number].there;
    }
    assert_int_equal(disk_index_records(index), records);
    disk_index_check(index);
}

static void model_step(disk_index_t *index, cell_t *cells, uint64_t *random, bool complete,
                       uint32_t eagerness)
{
    uint32_t number = below(random, MODEL), value = below(random, UINT32_MAX);
    /* Another upper half: names that agree in all that the index looks at are taken for one another. */
    ledger_hash_t name = model_name(number, value % 3);
    cell_t *cell = &cells[number];
    uint32_t what = below(random, 100);
    if (what < eagerness)
        complete || value % 2 ? model_put(index, cell, &name, value, value % 5 == 0)
                              : model_found(index, cell, &name, value);
    else if (what < 65)
        model_remove(index, cell, &name, complete);
    else if (what < 75)
        model_remove_at(index, cell, &name, value, complete);
    else if (what < 85)
        model_move(index, cell, &name, value);
    else if (what < 99)
        model_asked(index, cell, &name, true);
    else
        model_remove_segments(index, cells, value);
}

static void random_operations_do_what_a_plain_map_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t random = mixed(seed * 1000003);
        disk_index_t *index = index_new(false);
        cell_t cells[MODEL] = {{.there = false}};
        for (int step = 0; step < 4000; step++) {
            bool complete = step >= 1500;
            if (step == 1500) {
                disk_index_complete(index);
                for (cell_t *cell = cells; cell < cells + MODEL; cell++)
                    cell->marked = false;
            }
            /* Now it grows, now it empties. */
            model_step(index, cells, &random, complete, step / 500 % 2 ? 15 : 55);
            if (step % 20 == 0)
                model_compare(index, cells);
        }
        model_compare(index, cells);
        index_end(&index);
    }
}

/* Concurrency: each object has a version; who revokes one removes its name; who writes puts what it was
 * given. */
enum { OBJECTS = 64, VERSIONS = 20000 };
typedef struct {
    disk_index_t *index;
    _Atomic bool *revoked; /* by version */
    _Atomic uint32_t written;
    _Atomic bool over;
} race_t;

static ledger_hash_t race_name(uint32_t version)
{
    return name_of(version % OBJECTS, (uint64_t)(version % OBJECTS) << 30, 1);
}

static disk_place_t race_place(uint32_t version)
{
    return (disk_place_t){(uint16_t)(version >> 12), version, (uint16_t)(1 + version % 4095), 1};
}

static void *race_write(void *context)
{
    race_t *race = context;
    for (uint32_t version = 0; version < VERSIONS; version++) {
        ledger_hash_t name = race_name(version);
        disk_place_t place = race_place(version);
        disk_index_put(race->index, &name, &place, &race->revoked[version]);
        atomic_store(&race->written, version + 1);
    }
    return NULL;
}

/* Revokes what is just being written, or a little behind or before. */
static void *race_revoke(void *context)
{
    race_t *race = context;
    uint64_t random = 7;
    for (uint32_t at = 0; at < VERSIONS; at = atomic_load(&race->written)) {
        uint32_t version = at + below(&random, 16);
        if (version >= VERSIONS)
            break;
        ledger_hash_t name = race_name(version);
        disk_place_t place;
        atomic_store(&race->revoked[version], true);
        disk_index_remove(race->index, &name);
        if (disk_index_find(race->index, &name, false, &place))
            assert_int_not_equal(place.unit, version);
    }
    return NULL;
}

/* Whatever is found is a version of that name, whole. */
static void *race_read(void *context)
{
    race_t *race = context;
    uint64_t random = 8;
    while (!atomic_load(&race->over)) {
        ledger_hash_t name = race_name(below(&random, OBJECTS));
        disk_place_t place;
        if (!disk_index_find(race->index, &name, true, &place))
            continue;
        disk_place_t whole = race_place(place.unit);
        assert_true(same_place(&place, &whole));
        assert_int_equal(place.unit % OBJECTS, name.low >> 56);
        disk_index_move(race->index, &name, &place, &place);
    }
    return NULL;
}

static void what_is_revoked_while_it_is_put_is_never_there_afterwards(void **state)
{
    (void)state;
    race_t race = {.index = index_new(false), .revoked = must_calloc(VERSIONS, sizeof(_Atomic bool))};
    pthread_t writer, revoker, reader;
    pthread_create(&reader, NULL, race_read, &race);
    pthread_create(&revoker, NULL, race_revoke, &race);
    pthread_create(&writer, NULL, race_write, &race);
    disk_index_complete(race.index);
    pthread_join(writer, NULL);
    pthread_join(revoker, NULL);
    atomic_store(&race.over, true);
    pthread_join(reader, NULL);
    for (uint32_t version = VERSIONS - OBJECTS; version < VERSIONS; version++) {
        ledger_hash_t name = race_name(version);
        disk_place_t place;
        if (disk_index_find(race.index, &name, false, &place))
            assert_false(race.revoked[place.unit]);
    }
    index_end(&race.index);
    free(race.revoked);
}

/* At 24 bytes a record, whatever their number from 100,000 on (and 100 for each GiB of disk), while they come
 * and while they go. */
static void bounded(disk_index_t *index)
{
    uint64_t records = disk_index_records(index);
    if (records >= 100000 && records >= 200 * table_count(index))
        assert_true(disk_index_bytes(index) <= 24 * records);
}

static bool finds_last(disk_index_t *index, uint32_t number)
{
    ledger_hash_t name = {mixed(number), number};
    return finds(index, &name, &(disk_place_t){1, 2, 3, 4});
}

static void it_takes_at_most_24_bytes_a_record(void **state)
{
    (void)state;
    static const uint64_t disks[] = {(uint64_t)4 << 30, (uint64_t)1 << 40};
    enum { COUNT = 150000 };
    really = true;
    for (size_t disk = 0; disk < sizeof disks / sizeof *disks; disk++) {
        disk_index_t *index = disk_index_new(disk, disks[disk]);
        if (disk > 0)
            disk_index_complete(index);
        for (uint32_t i = 0; i < COUNT; i++) {
            ledger_hash_t name = {mixed(i), i};
            disk_place_t place = place_number(i);
            disk_index_put(index, &name, &place, NULL);
            bounded(index);
        }
        disk_index_check(index);
        disk_index_complete(index);
        for (uint32_t i = 0; i < COUNT - 1; i++) { /* and something is written now and then */
            ledger_hash_t name = {mixed(i), i}, last = {mixed(COUNT - 1), COUNT - 1};
            assert_true(disk_index_remove(index, &name));
            if (i % 100 == 0)
                disk_index_put(index, &last, &(disk_place_t){1, 2, 3, 4}, NULL);
            bounded(index);
        }
        assert_true(disk_index_records(index) == 1 && finds_last(index, COUNT - 1));
        index_end(&index);
    }
    really = false;
}

static void find_on_starting(disk_index_t *index, uint32_t count, uint64_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        ledger_hash_t name = {mixed(i), i};
        disk_place_t place = place_number(i);
        disk_index_prefetch(index, &name);
        assert_true(disk_index_found(index, &name, &place));
        assert_true(disk_index_bytes(index) <= bytes);
    }
    disk_index_complete(index);
}

/* Room for what is on disk is taken once, and is no more than for what came bit by bit; what was not there
 * after all is given back. */
static void what_is_expected_on_starting_finds_its_room(void **state)
{
    (void)state;
    enum { COUNT = 200000, FEWER = COUNT / 4 };
    disk_index_t *index = disk_index_new(1, MIB);
    disk_index_expect(index, COUNT / 2);
    disk_index_expect(index, COUNT / 2);
    disk_index_found(index, &(ledger_hash_t){mixed(COUNT), 0}, &(disk_place_t){1, 2, 3, 4});
    uint64_t bytes = disk_index_bytes(index), moving = COUNT / 256 * 2 * sizeof(entry_t);
    assert_in_range(bytes, 12 * COUNT, 20 * COUNT);
    find_on_starting(index, COUNT, bytes + moving);
    assert_true(disk_index_bytes(index) == bytes);
    index_end(&index);

    index = disk_index_new(1, MIB);
    disk_index_expect(index, COUNT);
    find_on_starting(index, FEWER, bytes + moving);
    assert_true(disk_index_bytes(index) < 24 * FEWER);
    index_end(&index);
}

static void where_names_meet_depends_on_the_seed(void **state)
{
    (void)state;
    really = true;
    disk_index_t *one = disk_index_new(1, MIB), *other = disk_index_new(2, MIB);
    ledger_hash_t name = {3, 4}, low = {5, 4}, high = {3, 5};
    assert_int_equal(disk_index_hash(one, &name), disk_index_hash(one, &name));
    assert_int_not_equal(disk_index_hash(one, &name), disk_index_hash(other, &name));
    assert_int_not_equal(disk_index_hash(one, &name), disk_index_hash(one, &low));
    assert_int_not_equal(disk_index_hash(one, &name), disk_index_hash(one, &high));
    disk_index_free(&one);
    disk_index_free(&other);
    really = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found_with_all_of_its_place),
        cmocka_unit_test(an_entry_is_told_from_others_by_each_bit_of_its_tag),
        cmocka_unit_test(up_to_three_uses_are_remembered_until_it_is_put_or_moved),
        cmocka_unit_test(what_is_revoked_is_not_put),
        cmocka_unit_test(what_was_removed_while_starting_is_not_found_again),
        cmocka_unit_test(a_device_goes_with_its_segments),
        cmocka_unit_test(random_operations_do_what_a_plain_map_does),
        cmocka_unit_test(what_is_revoked_while_it_is_put_is_never_there_afterwards),
        cmocka_unit_test(it_takes_at_most_24_bytes_a_record),
        cmocka_unit_test(what_is_expected_on_starting_finds_its_room),
        cmocka_unit_test(where_names_meet_depends_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
