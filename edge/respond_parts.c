#include "edge/respond_parts.h"

#include <sys/random.h>

#include "edge/base.h"

struct parts {
    http_multipart_t multipart;
    size_t begun;    /* so many parts */
    bool head_sent;  /* of the latest of them */
    uint64_t length; /* of the answer */
    char *head;      /* room for the head of a part */
    char boundary[HTTP_BOUNDARY_LENGTH + 1], type[HTTP_MULTIPART_TYPE_MAX], end[HTTP_MULTIPART_END_MAX];
};

/* What nobody can know beforehand cannot be in what is sent (RFC 2046 section 5.1.1). */
static text_t make_boundary(parts_t *parts)
{
    uint64_t bits[2];
    MUST(getrandom(bits, sizeof bits, 0) == (ssize_t)sizeof bits);
    return http_multipart_boundary(bits[0], bits[1], parts->boundary);
}

parts_t *parts_new(h2o_mem_pool_t *pool, const http_ranges_t *ranges, uint64_t length, text_t content_type)
{
    parts_t *parts = h2o_mem_alloc_pool(pool, sizeof *parts);
    h2o_iovec_t type = h2o_strdup(pool, content_type.data, content_type.length);
    *parts = (parts_t){0};
    parts->multipart = (http_multipart_t){make_boundary(parts), {type.base, type.len}, length, *ranges};
    parts->head = h2o_mem_alloc_pool(pool, http_multipart_head_max(&parts->multipart));
    parts->length = http_multipart_length(&parts->multipart, parts->head);
    http_multipart_type(parts->multipart.boundary, parts->type);
    return parts;
}

text_t parts_type(const parts_t *parts)
{
    return text_of(parts->type);
}

uint64_t parts_length(const parts_t *parts)
{
    return parts->length;
}

const http_range_t *parts_next(parts_t *parts)
{
    if (parts->begun == parts->multipart.ranges.count)
        return NULL;
    parts->head_sent = false;
    return &parts->multipart.ranges.at[parts->begun++];
}

size_t parts_left(const parts_t *parts)
{
    return parts->multipart.ranges.count - parts->begun;
}

text_t parts_head(parts_t *parts)
{
    if (parts->head_sent)
        return (text_t){NULL, 0};
    parts->head_sent = true;
    return http_multipart_head(&parts->multipart, parts->begun - 1, parts->head);
}

text_t parts_end(parts_t *parts)
{
    return http_multipart_end(&parts->multipart, parts->end);
}
