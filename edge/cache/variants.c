#include "edge/cache/variants.h"

#include "edge/cache/order.h"

enum { VARIANTS_MAGIC = 0x5e1fa41 };

struct variants {
    uint32_t magic;
    _Atomic uint32_t refs;
    /* Fixed after creation. */
    version_id_t id;
    http_vary_t vary; /* points into `names` */
    struct rcu_head reclaim;
    text_t names[]; /* and then what these point into */
};

static bool names(const http_vary_t *vary, text_t name)
{
    for (size_t i = 0; i < vary->count; i++)
        if (text_equal(vary->names[i], name))
            return true;
    return false;
}

static size_t bytes_of(const http_vary_t *vary)
{
    size_t bytes = 0;
    for (size_t i = 0; i < vary->count; i++)
        bytes += vary->names[i].length;
    return bytes;
}

/* Puts a copy of the name in its place. *at: where the copy goes. */
static void add_name(variants_t *variants, text_t name, char **at)
{
    memcpy(*at, name.data, name.length);
    size_t place = variants->vary.count++;
    while (place > 0) {
        text_t before = variants->names[place - 1];
        size_t shorter = before.length < name.length ? before.length : name.length;
        int order = memcmp(before.data, name.data, shorter);
        if (order < 0 || (order == 0 && before.length <= name.length))
            break;
        variants->names[place--] = before;
    }
    variants->names[place] = (text_t){*at, name.length};
    *at += name.length;
}

variants_t *variants_new(const variants_t *before, const http_vary_t *vary, version_id_t id)
{
    static const http_vary_t nothing;
    const http_vary_t *old = before ? &before->vary : &nothing;
    size_t count = old->count;
    for (size_t i = 0; i < vary->count; i++)
        count += !names(old, vary->names[i]);
    if (count > HTTP_VARY_NAMES_MAX)
        return NULL;
    size_t names_bytes = count * sizeof(text_t);
    variants_t *variants = must_calloc(1, sizeof *variants + names_bytes + bytes_of(old) + bytes_of(vary));
    variants->magic = VARIANTS_MAGIC;
    atomic_init(&variants->refs, 1);
    variants->id = id;
    variants->vary = (http_vary_t){.kind = HTTP_VARY_NAMES, .names = variants->names};
    char *at = (char *)variants->names + names_bytes;
    for (size_t i = 0; i < old->count; i++)
        add_name(variants, old->names[i], &at);
    for (size_t i = 0; i < vary->count; i++)
        if (!names(old, vary->names[i]))
            add_name(variants, vary->names[i], &at);
    return variants;
}

void variants_ref(variants_t *variants)
{
    atomic_fetch_add_explicit(&variants->refs, 1, memory_order_relaxed);
}

bool variants_try_ref(variants_t *variants)
{
    uint32_t refs = atomic_load_explicit(&variants->refs, memory_order_relaxed);
    while (refs != 0)
        if (atomic_compare_exchange_weak_explicit(&variants->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static void reclaim(struct rcu_head *head)
{
    ORDER_ACQUIRE(GRACE_PERIOD);
    free(CONTAINER_OF(head, variants_t, reclaim));
}

void variants_unref(variants_t **pointer)
{
    variants_t *variants = *pointer;
    *pointer = NULL;
    MUST_BE(variants, VARIANTS_MAGIC);
    if (atomic_fetch_sub_explicit(&variants->refs, 1, memory_order_acq_rel) != 1)
        return;
    ORDER_RELEASE(GRACE_PERIOD);
    urcu_memb_call_rcu(&variants->reclaim, reclaim);
}

const http_vary_t *variants_vary(const variants_t *variants)
{
    return &variants->vary;
}

version_id_t variants_id(const variants_t *variants)
{
    return variants->id;
}

bool variants_cover(const variants_t *variants, const http_vary_t *vary)
{
    for (size_t i = 0; i < vary->count; i++)
        if (!names(&variants->vary, vary->names[i]))
            return false;
    return true;
}

char *variants_select(const variants_t *variants, http_fields_t request, size_t *length)
{
    char small[256];
    *length = http_vary_selector(&variants->vary, request, small, sizeof small);
    char *selector = must_alloc(*length + 1);
    if (*length <= sizeof small)
        memcpy(selector, small, *length);
    else
        MUST(http_vary_selector(&variants->vary, request, selector, *length) == *length);
    return selector;
}
