/* The meta of the disk tier's records, as bytes: all that has to be known of a stored object, or of the node
 * of variants that a key leads to, so that memory has it again as if it had never left. Pure; any thread.
 *
 * A head that goes out and comes in is equal in all that a later decision can see. What its fields say is not
 * judged again: neither the site's policy nor what may be stored is what it was. */
#ifndef SELVEDGE_EDGE_CACHE_DISK_META_H
#define SELVEDGE_EDGE_CACHE_DISK_META_H

#include "edge/cache/disk/record.h"
#include "edge/cache/key.h"
#include "edge/cache/object.h"

/* Of a RECORD_OBJECT: a complete object, of this key or variant (as of memory_name(); a selector that is
 * absent, {NULL, 0}, or no variant at all: the key's own home). */
size_t disk_meta_size(const object_t *object, const cache_key_t *key, const cache_variant_t *variant);
/* Which must be at most RECORD_META_MAX. Returns it. */
size_t disk_meta_put(const object_t *object, const cache_key_t *key, const cache_variant_t *variant,
                     uint8_t *data);
/* The same of an object with this head and these flags (of object_begin), of which there need not be one. */
size_t disk_meta_put_head(const head_t *head, unsigned flags, const cache_key_t *key,
                          const cache_variant_t *variant, uint8_t *data);
/* Of a RECORD_VARIANTS: the node that this key leads to. Never larger than that of a variant of it. */
size_t disk_meta_node_size(const cache_key_t *key, const variants_t *node);
size_t disk_meta_put_node(const cache_key_t *key, const variants_t *node, uint8_t *data);

/* Points into the bytes that were parsed, and into itself: not to be copied. */
typedef struct {
    record_kind_t kind;
    text_t site, target;
    text_t selector;   /* as of a cache_variant_t: absent is not empty */
    bool has_node;     /* a variant's; always of RECORD_VARIANTS */
    version_id_t node; /* zero: it has none */
    http_vary_t vary;  /* the fields that the node names, HTTP_VARY_NAMES; HTTP_VARY_NONE: it has none */
    text_t names[HTTP_VARY_NAMES_MAX];
    /* Of RECORD_OBJECT. */
    unsigned flags; /* OBJECT_SHAREABLE, OBJECT_ADMITTED, OBJECT_SPARSE */
    int status;
    int64_t content_length, response_time_ms;
    http_storing_t storing;
    size_t field_count, sent, tag_count, own_tags;
    const uint8_t *fields, *tags;
} disk_meta_t;

/* The meta of a record of this kind. False: that is none of the two, or it is not in range, or not to its
 * last byte; then *meta says nothing. */
bool disk_meta_parse(const uint8_t *data, size_t length, record_kind_t kind, disk_meta_t *meta);
/* Can a body of so many bytes be that of this head? To be asked before an object is made of both. */
bool disk_meta_has_body(const disk_meta_t *meta, uint64_t length);

/* Its fields, field_count of them, into the bytes that were parsed; and its tags, tag_count. */
void disk_meta_fields(const disk_meta_t *meta, http_field_t *fields);
void disk_meta_tags(const disk_meta_t *meta, ledger_hash_t *tags);
/* The head of a RECORD_OBJECT, charged to the account. */
head_t *head_load(memory_account_t *account, const disk_meta_t *meta);

#endif
