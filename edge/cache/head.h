/* A head: the metadata of one stored response. Made once, then never changed; it alone decides whether the
 * response may be served. A 304 makes a new head from the old one. Owned by one object. */
#ifndef SELVEDGE_EDGE_CACHE_HEAD_H
#define SELVEDGE_EDGE_CACHE_HEAD_H

#include "edge/cache/body.h"
#include "edge/http/fields.h"
#include "edge/http/range.h"
#include "edge/http/storing.h"
#include "purge/ledger.h"

/* The beginning of what a protocol front makes of a head's fields. There are several where another
 * configuration wants other changes of them. */
typedef struct head_front {
    struct head_front *next;
    uint64_t signature; /* of those changes (http_response_fields_t) */
} head_front_t;

typedef struct head {
    uint32_t magic;
    int status;
    int64_t content_length; /* -1: not known before the end */
    int64_t response_time_ms;
    http_storing_t storing;
    /* What a protocol front makes of the fields, once, so that it need not at each hit; the newest first;
     * freed with the head. */
    head_front_t *_Atomic front;
    /* What a later decision may need: lower-case names, without hop-by-hop fields, Content-Length and Age.
     * The first `sent` of them are the fields to answer with; the others are kept back from clients. */
    http_fields_t fields;
    size_t sent;
    text_t etag, last_modified; /* absent: {NULL, 0} */
    text_t date;
    /* What it can be purged by beside its URL and its site; fixed before anybody else sees it. The first
     * `own_tags` of them are its own. */
    ledger_tags_t tags;
    size_t own_tags;
    memory_account_t *account;
    size_t charged, tags_charged;
} head_t;

/* Copies what it needs. `fields` as they came; names in lower case. policy: which of them are sent,
 * and, if it is stored or shared, which are removed. */
head_t *head_new(memory_account_t *account, int status, http_fields_t fields, int64_t content_length,
                 const http_storing_t *storing, int64_t response_time_ms, const http_policy_t *policy);

/* Another that is equal to it, tags included: nothing is left out or made again. Of `given` what was found in
 * its fields, charges and fronts do not count. */
head_t *head_copy(memory_account_t *account, const head_t *given);

/* Does a later head say what this one does, but for when it was made and until when it is good by the clock?
 */
bool head_says_the_same(const head_t *head, const head_t *later);

/* Keeps `front` (malloc'd) with the head, or frees it when there is one of its signature already. Returns the
 * one that is kept. */
const head_front_t *head_keep_front(const head_t *head, head_front_t *front);

/* The stored head freshened by a validation, whose answer is a 304 (RFC 9111 section 3.2): the 304's fields
 * replace the stored ones of the same name, except those that describe the stored bytes. */
head_t *head_freshened(const head_t *stored, const http_exchange_t *validation);
/* Gives a new head its tags: those that its fields name, those that the site gives its path, and the own ones
 * of `before`, whose body it goes with: what is purged by a tag while its origin says that it has lost that
 * is purged all the same. target: of its key. policy: NULL gives none. before: NULL: it has a body of its
 * own. */
void head_tag(head_t *head, text_t site, text_t target, const http_policy_t *policy, const head_t *before);
/* Has the other all own tags of this one? */
bool head_tags_within(const head_t *head, const head_t *other);
/* Gives it all those of another. */
void head_tag_as(head_t *head, const head_t *other);
void head_free(head_t **head);
/* What it weighs, in bytes. */
size_t head_weight(const head_t *head);

int64_t head_age_ms(const head_t *head, int64_t now_ms);
/* Milliseconds it stays fresh; zero or less when stale. soft_since_ms: a soft purge's time, or INT64_MAX. */
int64_t head_ttl_ms(const head_t *head, int64_t now_ms, int64_t soft_since_ms);
/* The whole that a request's conditions and ranges are about. length: of the body, -1: not known. */
http_selected_t head_selected(const head_t *head, int64_t length, bool is_get);
/* Can a conditional request ask for it? */
bool head_has_validator(const head_t *head);
/* Can upstream be asked for parts of that very version: a 200 of known length, with a strong ETag, from who
 * says that it takes ranges (RFC 9110 sections 13.1.5, 14.3)? */
bool head_takes_ranges(const head_t *head);
/* Does upstream say that it takes none? */
bool head_denies_ranges(const head_t *head);

#endif
