/* What the design says of a directory's bytes and of their order, asked of every call that a drive is given:
 * the referee of edge/cache/disk/README.md's section on volumes. It keeps its own account of what each
 * segment holds as it is written, and reads the formats (record.h), but knows nothing of the code that
 * writes. */
#ifndef SELVEDGE_TESTS_SIM_DRIVE_RULES_H
#define SELVEDGE_TESTS_SIM_DRIVE_RULES_H

#include "tests/sim/random.h"
#include "tests/unit/simulated_volume.h"

typedef struct drive_rules drive_rules_t;

drive_rules_t *drive_rules_new(unsigned drive, const platter_t *medium);
void drive_rules_free(drive_rules_t **rules);

/* After write() has taken so many bytes. `gaps`: a sync of that file failed, so that what is on the device of
 * it cannot be told. */
void drive_rules_written(drive_rules_t *rules, size_t inode, uint64_t offset, uint64_t length, bool gaps);
/* Before what a file holds goes, by its length or its name; and after such a call, which may have failed, or
 * another that changed the length from what it was before. */
void drive_rules_goes(const drive_rules_t *rules, size_t inode);
void drive_rules_went(drive_rules_t *rules, size_t inode, uint64_t length_before);

/* Before a directory begins anew. */
void drive_rules_anew(const drive_rules_t *rules);

/* The power went: what was not synced may be gone. */
void drive_rules_cut(drive_rules_t *rules);
/* A life of the node begins, or what an earlier one wrote becomes another thing while it goes on. */
void drive_rules_begin(drive_rules_t *rules);
void drive_rules_lied(drive_rules_t *rules);

/* On starting a record was found in this file, whose trailer is known or not. */
void drive_rules_found(const drive_rules_t *rules, size_t inode, uint64_t offset, bool sealed);

/* The records of a segment, one behind the other; how many there are. Has it a trailer? */
typedef struct {
    uint64_t at, length;
} drive_record_t;
size_t drive_rules_records(const drive_rules_t *rules, size_t inode, drive_record_t *records, size_t most);
bool drive_rules_is_sealed(const drive_rules_t *rules, const platter_inode_t *file);

/* drive_damage.c: something befalls the medium; false: there was nothing that it could. */
bool drive_damage_segment(const drive_rules_t *rules, platter_t *medium, random_t *random);
bool drive_damage_record(const drive_rules_t *rules, platter_t *medium, random_t *random);

#endif
