/* Cache-Status (RFC 9211): what an answer says of how this node came to it. */
#include "edge/respond_private.h"

static void append(char *buffer, size_t *length, text_t text)
{
    size_t room = STATUS_BYTES - *length;
    size_t part = text.length < room ? text.length : room;
    memcpy(buffer + *length, text.data, part);
    *length += part;
}

static void append_number(char *buffer, size_t *length, text_t before, int64_t number)
{
    char digits[20];
    append(buffer, length, before);
    if (number < 0)
        append(buffer, length, TEXT("-"));
    append(buffer, length, respond_decimal((uint64_t)(number < 0 ? -number : number), digits));
}

/* What upstream answered: left out, it is what the client is answered (section 2.3), which it is not where
 * the client's own Range or condition made a 206, 304, 412 or 416 of it, or a failure came behind its head.
 */
static void append_forward_status(const exchange_t *exchange, char *buffer, size_t *length)
{
    int status = exchange->origin_status;
    if (status != 0 && (status == 304 || status != exchange->req->res.status))
        append_number(buffer, length, TEXT("; fwd-status="), status);
}

static void append_forward(const exchange_t *exchange, bool stored, char *buffer, size_t *length)
{
    append(buffer, length, TEXT("; fwd="));
    append(buffer, length, text_of(forward_name(exchange->forward)));
    append_forward_status(exchange, buffer, length);
    if (stored)
        append(buffer, length, TEXT("; stored"));
    if (exchange->kind == WALK_JOIN)
        append(buffer, length, TEXT("; collapsed"));
}

text_t respond_status_forwarded(const exchange_t *exchange, char *buffer)
{
    size_t length = 0;
    const object_t *object = exchange->reader->object;
    append(buffer, &length, TEXT("selvedge"));
    append_forward(exchange, object_admitted(object), buffer, &length);
    const char *why = object_head(object)->storing.why;
    if (!object_admitted(object) && why != NULL) {
        append(buffer, &length, TEXT("; detail="));
        append(buffer, &length, text_of(why));
    }
    return (text_t){buffer, length};
}

static const text_t hit_words = {"selvedge; hit; ttl=", 19}, disk_words = {"; detail=disk", 13};

text_t respond_status_hit(const exchange_t *exchange, char *buffer)
{
    text_t ttl = respond_decimal((uint64_t)(exchange->ttl_ms + 999) / 1000, buffer + hit_words.length);
    char *start = (char *)ttl.data - hit_words.length;
    memcpy(start, hit_words.data, hit_words.length);
    size_t length = hit_words.length + ttl.length;
    if (exchange->from_disk) {
        memmove(buffer, start, length);
        memcpy(buffer + length, disk_words.data, disk_words.length);
        return (text_t){buffer, length + disk_words.length};
    }
    return (text_t){start, length};
}

/* ttl: stale for a part of a second is stale, fresh for a part of one is fresh. */
text_t respond_status_stale(const exchange_t *exchange, char *buffer)
{
    static const char *const uses[] = {[HTTP_FRESH] = "",
                                       [HTTP_WHILE_REVALIDATE] = "; detail=stale-while-revalidate",
                                       [HTTP_IF_ERROR] = "; detail=stale-if-error",
                                       [HTTP_ON_REQUEST] = "; detail=max-stale",
                                       [HTTP_VALIDATE] = ""};
    size_t length = 0;
    append(buffer, &length, TEXT("selvedge"));
    append(buffer, &length, exchange->forward == FORWARD_NOT ? TEXT("; hit") : TEXT("; fwd="));
    append(buffer, &length, text_of(forward_name(exchange->forward)));
    if (exchange->origin_status != 0)
        append_number(buffer, &length, TEXT("; fwd-status="), exchange->origin_status);
    if (exchange->kind == WALK_JOIN)
        append(buffer, &length, TEXT("; collapsed"));
    int64_t up = exchange->ttl_ms > 0 ? 999 : -999;
    append_number(buffer, &length, TEXT("; ttl="), (exchange->ttl_ms + up) / 1000);
    append(buffer, &length, text_of(uses[exchange->use]));
    if (exchange->detail != NULL && exchange->use == HTTP_IF_ERROR) {
        append(buffer, &length, TEXT("/"));
        append(buffer, &length, text_of(exchange->detail));
    }
    return (text_t){buffer, length};
}

/* What came is stored, though the client gets nothing of it. */
static bool is_stored(const exchange_t *exchange)
{
    const object_t *object = exchange->reader != NULL ? exchange->reader->object : NULL;
    return object != NULL && exchange->piece == NULL && object_head(object) != NULL &&
           object_admitted(object) && object_end(object) != OBJECT_FAILED;
}

text_t respond_status_refusal(const exchange_t *exchange, char *buffer)
{
    size_t length = 0;
    append(buffer, &length, TEXT("selvedge"));
    if (exchange->kind == WALK_HIT && exchange->reader != NULL)
        append(buffer, &length, TEXT("; hit"));
    if (exchange->forward != FORWARD_NOT)
        append_forward(exchange, is_stored(exchange), buffer, &length);
    append(buffer, &length, TEXT("; detail="));
    append(buffer, &length, text_of(exchange->detail));
    return (text_t){buffer, length};
}
