#include "edge/guard/hpack_encode.h"

enum {
    STATIC_ENTRIES = 61,
    STATIC_STATUS = 8,
    STATIC_CONTENT_LENGTH = 28,
    ENTRIES_MAX = 16,    /* few, for they are searched one by one */
    ENTRY_OVERHEAD = 32, /* section 4.1 */
    INT_BYTES_MAX = 6,
    SHORT = 64, /* shorter values are not worth the time that Huffman codes take, when the next response has
                   others */
    STATUS_BYTES_MAX = 5,
    CONTENT_LENGTH_BYTES_MAX = 24
};

/* Forms of section 6: their first bits. */
enum { INDEXED = 0x80, INDEXED_NOW = 0x40, TABLE_SIZE = 0x20, NEVER_INDEXED = 0x10, NOT_INDEXED = 0x00 };

/* --- Which fields enter the table --- */

/* By token: those whose values come again on the same connection; what differs from URL to URL or from second
 * to second would only push them out. Not Accept-Ranges, which every stored file has: its seven bytes, coded
 * beforehand, cost less than to look for it in the table. */
static uint8_t forms[H2O_MAX_TOKENS];

__attribute__((constructor)) static void choose_forms(void)
{
    const h2o_token_t *again[] = {H2O_TOKEN_ACCESS_CONTROL_ALLOW_ORIGIN,
                                  H2O_TOKEN_CACHE_CONTROL,
                                  H2O_TOKEN_CONTENT_ENCODING,
                                  H2O_TOKEN_CONTENT_LANGUAGE,
                                  H2O_TOKEN_CONTENT_TYPE,
                                  H2O_TOKEN_SERVER,
                                  H2O_TOKEN_STRICT_TRANSPORT_SECURITY,
                                  H2O_TOKEN_VARY,
                                  H2O_TOKEN_VIA};
    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
        forms[again[i] - h2o__tokens] = INDEXED_NOW;
    forms[H2O_TOKEN_SET_COOKIE - h2o__tokens] = NEVER_INDEXED; /* section 7.1.3: may be guessed otherwise */
}

/* --- Primitives --- */

/* Section 5.1: `first` are the bits before the prefix. */
static uint8_t *put_int(uint8_t *out, unsigned first, unsigned prefix_bits, size_t number)
{
    unsigned most = (1u << prefix_bits) - 1;
    if (number < most) {
        *out++ = (uint8_t)(first | number);
        return out;
    }
    *out++ = (uint8_t)(first | most);
    for (number -= most; number >= 128; number >>= 7)
        *out++ = (uint8_t)(number | 128);
    *out++ = (uint8_t)number;
    return out;
}

static uint8_t *put_as_is(uint8_t *out, const char *bytes, size_t length)
{
    out = put_int(out, 0, 7, length);
    memcpy(out, bytes, length);
    return out + length;
}

static uint8_t *put_shortest(uint8_t *out, h2o_iovec_t text)
{
    return out + h2o_hpack_encode_string(out, text.base, text.len);
}

/* --- The table --- */

static h2o_hpack_header_table_entry_t *entry_at(const h2o_hpack_header_table_t *table, size_t age)
{
    return &table->entries[(table->newest + age) % table->entry_capacity];
}

static size_t entry_bytes(const h2o_iovec_t *name, const h2o_iovec_t *value)
{
    return name->len + value->len + ENTRY_OVERHEAD;
}

static void forget_oldest(h2o_hpack_header_table_t *table)
{
    h2o_hpack_header_table_entry_t *oldest = entry_at(table, --table->count);
    table->bytes -= entry_bytes(oldest->name, oldest->value);
    h2o_mem_release_shared(oldest->value);
    *oldest = (h2o_hpack_header_table_entry_t){NULL, NULL, NULL};
}

static void make_room(h2o_hpack_header_table_t *table, size_t bytes)
{
    while (table->count > 0 && table->bytes + bytes > table->capacity)
        forget_oldest(table);
}

/* Names are tokens. What is larger than the whole table empties it and is not entered (section 4.4). */
static void enter(h2o_hpack_header_table_t *table, h2o_iovec_t *name, const h2o_iovec_t *value)
{
    size_t bytes = entry_bytes(name, value);
    make_room(table, bytes);
    if (bytes > table->capacity)
        return;
    if (table->entries == NULL) {
        table->entries = must_calloc(ENTRIES_MAX, sizeof *table->entries);
        table->entry_capacity = ENTRIES_MAX;
    }
    if (table->count == ENTRIES_MAX)
        forget_oldest(table);
    h2o_iovec_t *copy = h2o_mem_alloc_shared(NULL, sizeof *copy + value->len + 1, NULL);
    *copy = (h2o_iovec_t){(char *)(copy + 1), value->len};
    memcpy(copy->base, value->base, value->len);
    copy->base[value->len] = '\0';
    table->newest = (table->newest + ENTRIES_MAX - 1) % ENTRIES_MAX;
    table->entries[table->newest] = (h2o_hpack_header_table_entry_t){name, copy, NULL};
    table->count++;
    table->bytes += bytes;
}

/* How many entries are newer; SIZE_MAX when there is none. Goes around the ring without entry_at(), whose
 * division takes longer than all else here. */
static size_t find(const h2o_hpack_header_table_t *table, const h2o_iovec_t *name, const h2o_iovec_t *value)
{
    size_t place = table->newest;
    for (size_t age = 0; age < table->count; age++) {
        const h2o_hpack_header_table_entry_t *entry = &table->entries[place];
        place = place + 1 == ENTRIES_MAX ? 0 : place + 1;
        if (entry->name == name && entry->value->len == value->len &&
            memcmp(entry->value->base, value->base, value->len) == 0)
            return age;
    }
    return SIZE_MAX;
}

void hpack_allow(h2o_hpack_header_table_t *table, size_t bytes)
{
    size_t capacity = bytes < HPACK_TABLE_BYTES ? bytes : HPACK_TABLE_BYTES;
    if (capacity == table->capacity)
        return;
    if (!table->size_to_say || capacity < table->smallest)
        table->smallest = (uint32_t)capacity;
    table->size_to_say = true;
    table->capacity = capacity;
    make_room(table, 0);
}

/* The smallest size since the last block, then the one in force (section 4.2). */
static uint8_t *put_table_size(h2o_hpack_header_table_t *table, uint8_t *out)
{
    if (table->smallest < table->capacity)
        out = put_int(out, TABLE_SIZE, 5, table->smallest);
    table->size_to_say = false;
    return put_int(out, TABLE_SIZE, 5, table->capacity);
}

/* --- Fields --- */

static uint8_t *put_status(uint8_t *out, int status)
{
    static const int indexed[] = {200, 204, 206, 304, 400, 404, 500}; /* from STATIC_STATUS on */
    for (size_t i = 0; i < sizeof(indexed) / sizeof(indexed[0]); i++)
        if (status == indexed[i])
            return put_int(out, INDEXED, 7, STATIC_STATUS + i);
    char digits[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10)};
    out = put_int(out, NOT_INDEXED, 4, STATIC_STATUS);
    return put_as_is(out, digits, sizeof digits);
}

static uint8_t *put_content_length(uint8_t *out, size_t length)
{
    char digits[20], *end = digits + sizeof digits, *at = end;
    do
        *--at = (char)('0' + length % 10);
    while ((length /= 10) > 0);
    out = put_int(out, NOT_INDEXED, 4, STATIC_CONTENT_LENGTH);
    return put_as_is(out, at, (size_t)(end - at));
}

static uint8_t *put_through_table(h2o_hpack_header_table_t *table, uint8_t *out, const h2o_token_t *token,
                                  const h2o_iovec_t *value)
{
    size_t age = find(table, &token->buf, value);
    if (age != SIZE_MAX)
        return put_int(out, INDEXED, 7, STATIC_ENTRIES + 1 + age);
    out = put_int(out, INDEXED_NOW, 6, (size_t)token->http2_static_table_name_index);
    out = put_shortest(out, *value);
    enter(table, (h2o_iovec_t *)&token->buf, value);
    return out;
}

/* Which form the field takes. token: NULL when the name is none. */
static unsigned form_of(const h2o_iovec_t *name, const h2o_token_t **token)
{
    *token = h2o_iovec_is_token(name) ? CONTAINER_OF(name, h2o_token_t, buf) : NULL;
    if (*token == NULL)
        return NOT_INDEXED;
    unsigned form = forms[*token - h2o__tokens];
    return form == INDEXED_NOW && (*token)->http2_static_table_name_index == 0 ? NOT_INDEXED : form;
}

static uint8_t *put_name(uint8_t *out, unsigned form, const h2o_token_t *token, const h2o_iovec_t *name)
{
    if (token != NULL && token->http2_static_table_name_index != 0)
        return put_int(out, form, 4, (size_t)token->http2_static_table_name_index);
    *out++ = (uint8_t)form;
    return put_as_is(out, name->base, name->len);
}

static uint8_t *put_field(h2o_hpack_header_table_t *table, uint8_t *out, const h2o_iovec_t *name,
                          h2o_iovec_t value)
{
    const h2o_token_t *token;
    unsigned form = form_of(name, &token);
    if (form == INDEXED_NOW)
        return put_through_table(table, out, token, &value);
    out = put_name(out, form, token, name);
    return value.len < SHORT ? put_as_is(out, value.base, value.len) : put_shortest(out, value);
}

const h2o_iovec_t hpack_coded = {(char *)"", 0};

bool hpack_codes_beforehand(const h2o_iovec_t *name)
{
    const h2o_token_t *token;
    return form_of(name, &token) != INDEXED_NOW;
}

uint8_t *hpack_encode_beforehand(uint8_t *out, const h2o_iovec_t *name, h2o_iovec_t value)
{
    const h2o_token_t *token;
    unsigned form = form_of(name, &token);
    return put_shortest(put_name(out, form, token, name), value);
}

size_t hpack_field_bound(const h2o_iovec_t *name, h2o_iovec_t value)
{
    return name->len + value.len + 3 * INT_BYTES_MAX;
}

size_t hpack_bound(const hpack_response_t *response)
{
    const h2o_headers_t *headers = &response->res->headers;
    size_t bytes = 2 * INT_BYTES_MAX + STATUS_BYTES_MAX + CONTENT_LENGTH_BYTES_MAX;
    bytes += hpack_field_bound(&H2O_TOKEN_DATE->buf, response->date);
    bytes += hpack_field_bound(&H2O_TOKEN_SERVER->buf, response->server);
    for (size_t i = 0; i < headers->size; i++)
        bytes += hpack_field_bound(headers->entries[i].name, headers->entries[i].value);
    return bytes;
}

static bool starts_coded(const h2o_headers_t *headers)
{
    return headers->size > 0 && headers->entries[0].name == &hpack_coded;
}

static uint8_t *put_coded(uint8_t *out, h2o_iovec_t code)
{
    memcpy(out, code.base, code.len);
    return out + code.len;
}

uint8_t *hpack_encode_continue(h2o_hpack_header_table_t *table, uint8_t *out)
{
    if (table->size_to_say)
        out = put_table_size(table, out);
    return put_status(out, 100);
}

uint8_t *hpack_encode(h2o_hpack_header_table_t *table, const hpack_response_t *response, uint8_t *out)
{
    const h2o_headers_t *headers = &response->res->headers;
    bool coded = starts_coded(headers);
    if (table->size_to_say)
        out = put_table_size(table, out);
    out = put_status(out, response->res->status);
    if (coded)
        out = put_coded(out, headers->entries[0].value);
    else
        out = put_field(table, out, &H2O_TOKEN_DATE->buf, response->date);
    if (response->server.len > 0)
        out = put_field(table, out, &H2O_TOKEN_SERVER->buf, response->server);
    for (size_t i = coded; i < headers->size; i++)
        out = put_field(table, out, headers->entries[i].name, headers->entries[i].value);
    if (response->content_length != SIZE_MAX)
        out = put_content_length(out, response->content_length);
    return out;
}
