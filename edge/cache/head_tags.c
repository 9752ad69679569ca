/* The tags of a head, as the ledger knows them. */
#include "edge/cache/head.h"
#include "edge/http/tags.h"
#include "edge/http/url.h"

/* Names as they come; counted first, for one allocation. */
typedef struct {
    text_t site;
    ledger_hash_t *at;
    size_t count;
} names_t;

static void add(void *context, text_t tag)
{
    names_t *names = context;
    names->at[names->count++] = ledger_tag(names->site, tag);
}

static int compare(const void *a, const void *b)
{
    const ledger_hash_t *one = a, *other = b;
    if (one->low != other->low)
        return one->low < other->low ? -1 : 1;
    return one->high < other->high ? -1 : one->high > other->high;
}

static bool has(const ledger_hash_t *names, size_t count, const ledger_hash_t *name)
{
    return bsearch(name, names, count, sizeof *names, compare) != NULL;
}

/* Each once, as both of two fields may name it; how many. */
static size_t without_doubles(ledger_hash_t *names, size_t count)
{
    size_t kept = 0;
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare(&names[kept - 1], &names[i]) != 0)
            names[kept++] = names[i];
    return kept;
}

void head_tag(head_t *head, text_t site, text_t target, const http_policy_t *policy, const head_t *before)
{
    MUST(head->tags.at == NULL);
    text_t path = url_path(target);
    size_t own =
        http_tags_of_fields(policy, head->fields, NULL, NULL) + http_tags_of_path(policy, path, NULL, NULL);
    size_t others = before != NULL ? before->own_tags : 0;
    if (own + others == 0)
        return;
    names_t names = {site, memory_take(head->account, (own + others) * sizeof *names.at, &head->tags_charged),
                     0};
    http_tags_of_fields(policy, head->fields, add, &names);
    http_tags_of_path(policy, path, add, &names);
    MUST(names.count == own);
    names.count = head->own_tags = without_doubles(names.at, own);
    for (size_t i = 0; i < others; i++)
        if (!has(names.at, head->own_tags, &before->tags.at[i]))
            names.at[names.count++] = before->tags.at[i];
    head->tags = (ledger_tags_t){names.at, names.count};
}

bool head_tags_within(const head_t *head, const head_t *other)
{
    for (size_t i = 0; i < head->own_tags; i++) {
        size_t j = 0; /* of the other only the own ones are sorted */
        while (j < other->tags.count && compare(&head->tags.at[i], &other->tags.at[j]) != 0)
            j++;
        if (j == other->tags.count)
            return false;
    }
    return true;
}

void head_tag_as(head_t *head, const head_t *other)
{
    MUST(head->tags.at == NULL);
    size_t bytes = other->tags.count * sizeof *other->tags.at;
    if (bytes == 0)
        return;
    ledger_hash_t *names = memory_take(head->account, bytes, &head->tags_charged);
    memcpy(names, other->tags.at, bytes);
    head->tags = (ledger_tags_t){names, other->tags.count};
    head->own_tags = other->own_tags;
}
