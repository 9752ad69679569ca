#include "edge/respond_front.h"

#include "edge/guard/hpack_encode.h"

static h2o_iovec_t iovec_of(text_t text)
{
    return (h2o_iovec_t){(char *)text.data, text.length};
}

/* The fields to answer with, and the policy among them apart; `fields` has room for one more than the head
 * sends. */
static http_fields_t answer_fields(const head_t *head, http_field_t *fields, text_t *hsts)
{
    const http_field_t accept = {TEXT("accept-ranges"), TEXT("bytes")};
    bool ours = takes_ranges(head);
    size_t count = 0;
    *hsts = (text_t){NULL, 0};
    for (size_t i = 0; i < head->sent; i++) {
        const http_field_t *field = &head->fields.at[i];
        if (text_equal(field->name, TEXT("strict-transport-security")))
            *hsts = hsts->length > 0 ? *hsts : field->value;
        else if (!ours || !text_equal(field->name, accept.name))
            fields[count++] = *field;
    }
    if (ours && head->content_length >= 0)
        fields[count++] = accept;
    return (http_fields_t){fields, count};
}

/* Where the names start. */
static size_t names_at(http_fields_t fields)
{
    size_t size = sizeof(front_t) + fields.count * sizeof(h2o_header_t);
    for (size_t i = 0; i < fields.count; i++) {
        const http_field_t *field = &fields.at[i];
        h2o_iovec_t name = iovec_of(field->name);
        size += name.len + field->value.length + hpack_field_bound(&name, iovec_of(field->value));
    }
    return (size + _Alignof(h2o_iovec_t) - 1) / _Alignof(h2o_iovec_t) * _Alignof(h2o_iovec_t);
}

static char *copy_behind(char **at, text_t text)
{
    char *copy = memcpy(*at, text.data, text.length);
    *at += text.length;
    return copy;
}

static const h2o_iovec_t *token_of(text_t name)
{
    const h2o_token_t *token = h2o_lookup_token(name.data, name.length);
    return token != NULL ? &token->buf : NULL;
}

/* Does it come again on an HTTP/2 connection? */
static bool is_repeating(const http_field_t *field)
{
    const h2o_iovec_t *token = token_of(field->name);
    return token != NULL && !hpack_codes_beforehand(token);
}

/* The headers of one kind, without the Date. */
static void add_headers(front_t *front, http_fields_t fields, text_t date, h2o_iovec_t *names, bool repeating,
                        char **at)
{
    for (size_t i = 0; i < fields.count; i++) {
        const http_field_t *field = &fields.at[i];
        if (field->value.data == date.data || is_repeating(field) != repeating)
            continue;
        h2o_iovec_t value = {copy_behind(at, field->value), field->value.length};
        h2o_iovec_t *name = (h2o_iovec_t *)token_of(field->name);
        if (name == NULL) {
            name = &names[front->count];
            *name = (h2o_iovec_t){copy_behind(at, field->name), field->name.length};
        }
        front->headers[front->count++] = (h2o_header_t){name, NULL, value};
    }
}

/* What is not repeating, and the Date. */
static void add_code(front_t *front, http_fields_t fields, char **at)
{
    uint8_t *start = (uint8_t *)*at, *end = start;
    for (size_t i = 0; i < fields.count; i++) {
        const http_field_t *field = &fields.at[i];
        if (is_repeating(field))
            continue;
        const h2o_iovec_t *token = token_of(field->name), name = iovec_of(field->name);
        end = hpack_encode_beforehand(end, token != NULL ? token : &name, iovec_of(field->value));
    }
    front->coded = (h2o_iovec_t){*at, (size_t)(end - start)};
    *at = (char *)end;
}

static front_t *make_front(const head_t *head, const http_response_fields_t *said)
{
    size_t room = head->sent + 1;
    http_field_t *list = must_calloc(2 * room + http_response_fields_more(said), sizeof *list);
    text_t hsts;
    http_fields_t fields = answer_fields(head, list, &hsts);
    if (said->signature != 0)
        fields = http_response_fields_apply(said, fields, list + room);
    size_t size = names_at(fields);
    front_t *front = must_calloc_aligned(size + fields.count * sizeof(h2o_iovec_t));
    h2o_iovec_t *names = (h2o_iovec_t *)(void *)((char *)front + size);
    front->super.signature = said->signature;
    front->hsts = hsts;
    char *at = (char *)(front->headers + fields.count);
    add_headers(front, fields, head->date, names, true, &at);
    front->repeating = front->count;
    front->dated = head->date.length == sizeof front->date;
    if (front->dated) {
        memcpy(front->date, head->date.data, sizeof front->date);
        add_code(front, fields, &at);
    }
    add_headers(front, fields, head->date, names, false, &at);
    free(list);
    return front;
}

const front_t *front_make(const head_t *head, const http_response_fields_t *said)
{
    return (const front_t *)head_keep_front(head, &make_front(head, said)->super);
}

text_t front_content_type(const front_t *front)
{
    for (uint32_t i = 0; i < front->count; i++)
        if (front->headers[i].name == &H2O_TOKEN_CONTENT_TYPE->buf)
            return (text_t){front->headers[i].value.base, front->headers[i].value.len};
    return (text_t){NULL, 0};
}
