/* A volume on a simulated medium, its index, and records that say what they are: each is made from a number
 * (its name) and an edition, so that whoever reads it can tell every byte of it. Header only, for the tests
 * of the volume. */
#ifndef SELVEDGE_TESTS_VOLUME_LIFE_H
#define SELVEDGE_TESTS_VOLUME_LIFE_H

#include "edge/cache/disk/volume.h"
#include "tests/unit/simulated_volume.h"

enum { LIFE_SEGMENT = 64 << 10, LIFE_META_MAX = 2000, LIFE_BODY_MAX = 12000 };

/* One life of a process. */
typedef struct {
    platter_t *medium;
    volume_config_t config;
    volume_opening_t opening;
    disk_index_t *index;
    volume_t *volume; /* NULL: it could not be opened */
} life_t;

static inline uint64_t life_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a * 0x9e3779b97f4a7c15u + b * 0xd1b54a32d192ed03u + 1;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* What is written. --------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t number, edition;
    size_t meta_length, body_length;
    uint8_t *meta, *body; /* of one allocation */
} edition_t;

static inline ledger_hash_t life_name(uint64_t number)
{
    return (ledger_hash_t){life_mix(number, 1), life_mix(number, 2)};
}

static inline version_id_t life_version(uint64_t number, uint64_t edition)
{
    return (version_id_t){life_mix(number, edition), life_mix(edition, number + 7)};
}

static inline uint64_t life_stamp(uint64_t number, uint64_t edition)
{
    return 1 + life_mix(number, edition) % 1000;
}

/* large: how long the body is at most. Free `meta`. */
static inline edition_t life_edition(uint64_t number, uint64_t edition, size_t large)
{
    edition_t made = {.number = number, .edition = edition};
    uint64_t shape = life_mix(number * 31 + 5, edition);
    made.meta_length = 24 + shape % (shape % 5 == 0 ? LIFE_META_MAX : 300);
    made.body_length = shape % 7 == 0 ? 0 : (shape >> 20) % (shape % 7 == 1 ? large : large / 8 + 1);
    made.meta = must_alloc(made.meta_length + made.body_length);
    made.body = made.meta + made.meta_length;
    const uint64_t says[3] = {number, edition, large};
    memcpy(made.meta, says, sizeof says);
    for (size_t i = sizeof says; i < made.meta_length + made.body_length; i++)
        made.meta[i] = (uint8_t)(life_mix(shape, i / 8) >> (8 * (i % 8)));
    return made;
}

static inline volume_record_t life_record(const edition_t *made)
{
    volume_record_t record = {.record = {.kind = RECORD_OBJECT,
                                         .name = life_name(made->number),
                                         .stamp = life_stamp(made->number, made->edition),
                                         .version = life_version(made->number, made->edition),
                                         .meta_bytes = (uint32_t)made->meta_length,
                                         .body_bytes = (uint32_t)made->body_length},
                              .meta = made->meta};
    for (unsigned i = 0; i < record_blocks(&record.record); i++)
        record.body[i] =
            (struct iovec){made->body + (size_t)i * BLOCK_BYTES, record_block_bytes(&record.record, i)};
    return record;
}

/* What becomes of it: the last three fields of a volume_record_t. */
typedef struct {
    const _Atomic bool *revoked;
    void (*done)(void *context, bool written);
    void *context;
    uint64_t stamp; /* 0: the one that its number and edition have */
} told_t;

static inline bool life_put_told(life_t *life, uint64_t number, uint64_t edition, size_t large, told_t told)
{
    edition_t made = life_edition(number, edition, large);
    volume_record_t record = life_record(&made);
    if (told.stamp != 0)
        record.record.stamp = told.stamp;
    record.revoked = told.revoked;
    record.done = told.done;
    record.context = told.context;
    bool put = volume_append(life->volume, &record);
    free(made.meta);
    return put;
}

static inline bool life_put(life_t *life, uint64_t number, uint64_t edition)
{
    return life_put_told(life, number, edition, LIFE_BODY_MAX, (told_t){0});
}

/* As the tier does: first the index, then the volume. */
static inline bool life_bury(life_t *life, uint64_t number)
{
    ledger_hash_t name = life_name(number);
    disk_index_remove(life->index, &name);
    return volume_bury(life->volume, &name);
}

/* What is read. ------------------------------------------------------------------------------------------ */

static inline bool life_read_bytes(const life_t *life, int file, uint8_t *bytes, size_t length,
                                   uint64_t offset)
{
    const disk_io_t *io = &life->config.io;
    for (size_t done = 0; done < length;) {
        struct iovec to = {bytes + done, length - done};
        ssize_t got = io->read(io->context, file, &to, 1, offset + done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Does all that can be verified hold? */
static inline bool life_verify(const uint8_t *bytes, size_t length, const record_address_t *address,
                               const ledger_hash_t *name, record_t *record)
{
    if (!record_header_parse(bytes, length, address, record) ||
        (size_t)record_units(record) * DISK_UNIT != length || record->name.low != name->low ||
        record->name.high != name->high ||
        record_meta_checksum(bytes + RECORD_HEADER_BYTES, record->meta_bytes) != record->meta_checksum)
        return false;
    const uint8_t *body = bytes + (size_t)record_meta_units(record) * DISK_UNIT;
    for (unsigned i = 0; i < record_blocks(record); i++) {
        size_t part = record_block_bytes(record, i);
        if (record_block_checksum(record->version, i, body, part) != record->block_checksums[i])
            return false;
        body += part;
    }
    return true;
}

/* Every byte of what was verified is one of the edition that it says. */
static inline uint64_t life_judge(const uint8_t *bytes, const record_t *record, uint64_t number)
{
    uint64_t says[3];
    MUST(record->meta_bytes >= sizeof says);
    memcpy(says, bytes + RECORD_HEADER_BYTES, sizeof says);
    MUST(says[0] == number && says[2] <= RECORD_BODY_MAX);
    edition_t made = life_edition(number, says[1], says[2]);
    version_id_t version = life_version(number, says[1]);
    MUST(record->meta_bytes == made.meta_length && record->body_bytes == made.body_length);
    MUST(record->version.low == version.low && record->version.high == version.high);
    MUST(memcmp(bytes + RECORD_HEADER_BYTES, made.meta, made.meta_length) == 0);
    MUST(memcmp(bytes + (size_t)record_meta_units(record) * DISK_UNIT, made.body, made.body_length) == 0);
    free(made.meta);
    return says[1];
}

/* Which edition there is, and its record; 0: a miss. A wrong byte ends the test. */
static inline uint64_t life_read_record(life_t *life, uint64_t number, record_t *record)
{
    ledger_hash_t name = life_name(number);
    disk_place_t place;
    record_address_t address;
    uint64_t offset, edition = 0;
    int file;
    if (!disk_index_find(life->index, &name, true, &place) ||
        !volume_where(life->volume, &place, &file, &offset, &address))
        return 0;
    size_t length = (size_t)place.units * DISK_UNIT;
    uint8_t *bytes = must_alloc(length);
    if (life_read_bytes(life, file, bytes, length, offset) &&
        life_verify(bytes, length, &address, &name, record))
        edition = life_judge(bytes, record, number);
    free(bytes);
    return edition;
}

/* The same, of one that has the stamp of its number and edition. */
static inline uint64_t life_read(life_t *life, uint64_t number)
{
    record_t record;
    uint64_t edition = life_read_record(life, number, &record);
    MUST(edition == 0 || record.stamp == life_stamp(number, edition));
    return edition;
}

/* Life. -------------------------------------------------------------------------------------------------- */

/* segments: so many of LIFE_SEGMENT bytes fit. */
static inline volume_config_t life_config(platter_t *medium, unsigned segments)
{
    return (volume_config_t){.io = platter_io(medium),
                             .size = 4096 + (uint64_t)segments * LIFE_SEGMENT,
                             .segment_bytes = LIFE_SEGMENT,
                             .first_segment = 100,
                             .segments_max = 1000,
                             .node = {1, 2},
                             .random = platter_random(medium),
                             .sequence = 1000};
}

/* Opens it; what there is has not been found yet. False: it could not be opened. */
static inline bool life_open(life_t *life, platter_t *medium, const volume_config_t *config)
{
    *life = (life_t){.medium = medium, .config = *config, .index = disk_index_new(9, config->size)};
    life->config.index = life->index;
    life->volume = volume_open(&life->config, &life->opening);
    return life->volume != NULL;
}

/* Opens it and finds what there is. */
static inline bool life_begin(life_t *life, platter_t *medium, const volume_config_t *config)
{
    if (life_open(life, medium, config))
        while (volume_recover_next(life->volume))
            ;
    disk_index_complete(life->index);
    return life->volume != NULL;
}

/* The same for who expects no less. */
static inline void life_start(life_t *life, platter_t *medium, unsigned segments)
{
    volume_config_t config = life_config(medium, segments);
    MUST(life_begin(life, medium, &config));
}

static inline void life_end(life_t *life)
{
    if (life->volume != NULL)
        volume_check(life->volume);
    volume_close(&life->volume);
    disk_index_check(life->index);
    disk_index_free(&life->index);
}

/* A process that dies takes its memory along; the medium stays as it is, unless the power went, too. */
static inline void life_crash(life_t *life, bool power)
{
    platter_t *medium = life->medium;
    medium->dead = true;
    life_end(life);
    if (power)
        platter_power_cut(medium);
    else
        platter_kill(medium);
}

/* The process ends as it should, and another begins. */
static inline void life_restart(life_t *life, unsigned segments)
{
    platter_t *medium = life->medium;
    life_end(life);
    platter_kill(medium);
    life_start(life, medium, segments);
}

/* It is killed, or the power is cut; and another begins. */
static inline void life_die(life_t *life, bool power, unsigned segments)
{
    platter_t *medium = life->medium;
    life_crash(life, power);
    life_start(life, medium, segments);
}

/* With its medium. */
static inline void life_finish(life_t *life)
{
    platter_t *medium = life->medium;
    life_end(life);
    platter_free(&medium);
}

#endif
