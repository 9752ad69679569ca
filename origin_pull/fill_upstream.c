#include "origin_pull/fill_upstream.h"

#include "edge/http/form.h"
#include "edge/http/surrogate.h"

enum { JOINED_BYTES_MAX = 512 };

static bool is_one_of(text_t name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (text_equal(name, text_of(*names)))
            return true;
    return false;
}

static bool begins(text_t name, text_t prefix)
{
    return name.length >= prefix.length && memcmp(name.data, prefix.data, prefix.length) == 0;
}

static bool is_get(const upstream_request_t *request)
{
    return text_equal(request->method, TEXT("GET"));
}

static bool is_range(text_t name)
{
    return text_equal(name, TEXT("range")) || text_equal(name, TEXT("if-range"));
}

/* Written by the node itself, or never sent on. */
static bool is_ours(const upstream_request_t *request, text_t name)
{
    static const char *const ours[] = {
        "host",      "accept-encoding",      "via", "cdn-loop", "content-length", "expect", "cookie",
        "forwarded", "surrogate-capability", NULL};
    static const char *const conditions[] = {"if-match", "if-none-match", "if-modified-since",
                                             "if-unmodified-since", NULL};
    if (is_one_of(name, ours) || begins(name, TEXT("x-forwarded-")))
        return true;
    /* What the client has is its own matter; the node asks for what it has itself. */
    return is_get(request) && (is_one_of(name, conditions) || (!request->forward_range && is_range(name)));
}

static bool is_allowed(const upstream_request_t *request, text_t name)
{
    static const char *const always[] = {"accept", "accept-language", "user-agent",
                                         "origin", "authorization",   NULL};
    /* Other methods are never stored: what describes their body and their conditions belongs to them. */
    static const char *const others[] = {
        "content-type",  "content-encoding",  "content-language",    "if-match",
        "if-none-match", "if-modified-since", "if-unmodified-since", NULL};
    if (request->forward_all || is_one_of(name, always) || (request->forward_range && is_range(name)))
        return true;
    return !is_get(request) && is_one_of(name, others);
}

/* Adds one member to what a list field says already; members beyond a bound are left out. */
static void add_joined(const upstream_request_t *request, text_t name, text_t member,
                       void (*add)(void *, text_t, text_t), void *context)
{
    char joined[JOINED_BYTES_MAX + 32];
    size_t length = 0;
    for (size_t i = 0; i < request->fields.count; i++) {
        text_t value = request->fields.at[i].value;
        if (!text_equal(request->fields.at[i].name, name) || length + value.length + 2 > JOINED_BYTES_MAX)
            continue;
        memcpy(joined + length, value.data, value.length);
        memcpy(joined + length + value.length, ", ", 2);
        length += value.length + 2;
    }
    memcpy(joined + length, member.data, member.length);
    add(context, name, (text_t){joined, length + member.length});
}

/* Upstream is told what variants are selected by: one spelling for all who share an answer. */
static void add_form(const upstream_request_t *request, text_t name, void (*add)(void *, text_t, text_t),
                     void *context)
{
    size_t length = http_form(request->fields, name, HTTP_FORM_VALUE, NULL, 0);
    char *value = must_alloc(length + 1);
    http_form(request->fields, name, HTTP_FORM_VALUE, value, length);
    add(context, name, (text_t){value, length});
    free(value);
}

void upstream_fields(const upstream_request_t *request, void (*add)(void *context, text_t name, text_t value),
                     void *context)
{
    add(context, TEXT("Host"), request->host);
    for (size_t i = 0; i < request->fields.count; i++) {
        const http_field_t *field = &request->fields.at[i];
        /* Whatever the client's Connection field says: it is not the client's. */
        bool tells_client =
            request->client_field.length > 0 && text_equal(field->name, request->client_field);
        bool passes = !is_ours(request, field->name) && is_allowed(request, field->name) &&
                      !http_fields_hop_by_hop(request->fields, field->name);
        if (!tells_client && !passes)
            continue;
        if (!is_get(request) || !http_has_form(field->name))
            add(context, field->name, field->value);
        else if (http_fields_find(request->fields, field->name) == field)
            add_form(request, field->name, add, context);
    }
    for (size_t i = 0; i < request->conditions.count; i++)
        add(context, request->conditions.at[i].name, request->conditions.at[i].value);
    /* One fixed value: a content-coding is a representation of the node's own making, never a variant. */
    add(context, TEXT("Accept-Encoding"), TEXT("identity"));
    add(context, TEXT("X-Forwarded-Proto"), request->forwarded_https ? TEXT("https") : TEXT("http"));
    if (request->tells_surrogate)
        add(context, TEXT("surrogate-capability"), TEXT(HTTP_SURROGATE_CAPABILITY));
    /* Who came before is said where everything is passed on; the loop must be seen in any case. */
    if (request->forward_all)
        add_joined(request, TEXT("via"), TEXT("1.1 selvedge"), add, context);
    else
        add(context, TEXT("via"), TEXT("1.1 selvedge"));
    add_joined(request, TEXT("cdn-loop"), request->cdn_loop, add, context);
}

bool upstream_is_loop(http_fields_t fields, text_t own)
{
    const http_field_t *field = http_fields_find(fields, TEXT("cdn-loop"));
    for (; field != NULL; field = http_fields_next(fields, field, TEXT("cdn-loop"))) {
        text_t rest = field->value, member;
        while (http_list_next(&rest, &member))
            if (text_equal(member, own))
                return true;
    }
    return false;
}
