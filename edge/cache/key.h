/* Cache keys: site, normalised path, query. The name of a key is the hash by which the ledger knows its URL,
 * so that it is computed once. Knows only the ledger's hashes. */
#ifndef SELVEDGE_EDGE_CACHE_KEY_H
#define SELVEDGE_EDGE_CACHE_KEY_H

#include "edge/base.h"
#include "edge/cache/variants.h"
#include "purge/ledger.h"

typedef struct {
    text_t site;   /* the site's name; lives as long as the process */
    text_t target; /* normalised path and query */
    ledger_subject_t subject;
} cache_key_t;

static inline cache_key_t cache_key(text_t site, text_t target)
{
    return (cache_key_t){site, target, ledger_subject(site, target)};
}

/* A site whose keys are made often: its part of their subject is computed once. */
typedef struct {
    text_t name;
    ledger_subject_t subject;
} cache_site_t;

static inline cache_site_t cache_site(text_t name)
{
    return (cache_site_t){name, ledger_subject(name, (text_t){NULL, 0})};
}

static inline cache_key_t cache_key_in(const cache_site_t *site, text_t target)
{
    return (cache_key_t){site->name, target, ledger_subject_beside(&site->subject, site->name, target)};
}

/* One variant of a key; or, without a node of variants, a part of what is known of it (pieces.h). */
typedef struct {
    const variants_t *variants;
    text_t selector;
} cache_variant_t;

#endif
