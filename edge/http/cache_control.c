#include "edge/http/cache_control.h"

#include "edge/http/structured.h"

bool http_seconds_parse(text_t value, int64_t *seconds)
{
    int64_t number = 0;
    for (size_t i = 0; i < value.length; i++) {
        char byte = value.data[i];
        if (byte < '0' || byte > '9')
            return false;
        number = number * 10 + (byte - '0');
        if (number > HTTP_SECONDS_MAX)
            number = HTTP_SECONDS_MAX;
    }
    *seconds = number;
    return value.length > 0;
}

/* One quoted-string and nothing else (RFC 9110 section 5.6.4)? */
static bool is_quoted_string(text_t text)
{
    if (text.length < 2 || text.data[0] != '"')
        return false;
    size_t at = 1;
    while (at < text.length && text.data[at] != '"')
        at += text.data[at] == '\\' ? 2 : 1;
    return at == text.length - 1;
}

bool http_seconds_argument(text_t value, int64_t *seconds)
{
    if (is_quoted_string(value))
        value = (text_t){value.data + 1, value.length - 2};
    return http_seconds_parse(value, seconds);
}

typedef enum {
    FLAG,        /* has no value */
    RESTRICTION, /* may have one, which is passed over: the directive then forbids more than it says */
    SECONDS,
    PASSED_OVER_FLAG /* understood, and of no consequence here */
} form_t;

typedef struct {
    text_t name;
    form_t form;
    size_t offset; /* of the flag or the seconds */
} directive_t;

#define DIRECTIVE(literal, form, member)                                                                     \
    {                                                                                                        \
        {literal, sizeof(literal) - 1}, form, offsetof(http_cache_control_t, member)                         \
    }
#define PASSED_OVER(literal, form)                                                                           \
    {                                                                                                        \
        {literal, sizeof(literal) - 1}, form, 0                                                              \
    }

/* no-transform: nothing is transformed. immutable (RFC 8246): for clients. */
static const directive_t directives[] = {
    DIRECTIVE("public", FLAG, is_public),
    DIRECTIVE("private", RESTRICTION, is_private),
    DIRECTIVE("no-store", RESTRICTION, no_store),
    DIRECTIVE("no-cache", RESTRICTION, no_cache),
    DIRECTIVE("max-age", SECONDS, max_age),
    DIRECTIVE("s-maxage", SECONDS, s_maxage),
    DIRECTIVE("must-revalidate", FLAG, must_revalidate),
    DIRECTIVE("proxy-revalidate", FLAG, proxy_revalidate),
    DIRECTIVE("must-understand", FLAG, must_understand),
    PASSED_OVER("no-transform", PASSED_OVER_FLAG),
    PASSED_OVER("immutable", PASSED_OVER_FLAG),
    DIRECTIVE("stale-while-revalidate", SECONDS, stale_while_revalidate),
    DIRECTIVE("stale-if-error", SECONDS, stale_if_error),
};

static const directive_t *find(text_t name)
{
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (text_equal_nocase(name, directives[i].name))
            return &directives[i];
    }
    return NULL;
}

/* Several values for one directive must agree: else it is not known which is meant (section 4.2.1). */
static void set_seconds(http_cache_control_t *control, const directive_t *directive, int64_t seconds)
{
    int64_t *member = (int64_t *)(void *)((char *)control + directive->offset);
    if (*member != HTTP_SECONDS_ABSENT && *member != seconds)
        control->bad_value = true;
    *member = seconds;
}

/* `value` is absent without an equals sign. */
static void apply(http_cache_control_t *control, const directive_t *directive, text_t value)
{
    bool *flag = (bool *)((char *)control + directive->offset);
    int64_t seconds = 0;
    bool is_flag = directive->form == FLAG || directive->form == PASSED_OVER_FLAG;
    bool is_seconds = directive->form == SECONDS;
    if ((is_flag && value.data != NULL) || (is_seconds && !http_seconds_argument(value, &seconds)))
        control->bad_value = true;
    else if (is_seconds)
        set_seconds(control, directive, seconds);
    else if (directive->form == FLAG || directive->form == RESTRICTION)
        *flag = true;
}

static void read_directive(http_cache_control_t *control, text_t member)
{
    const char *equals = memchr(member.data, '=', member.length);
    text_t name = {member.data, equals == NULL ? member.length : (size_t)(equals - member.data)};
    text_t value = {NULL, 0};
    if (equals != NULL)
        value = (text_t){equals + 1, member.length - name.length - 1};
    if (!http_is_token(name) || (equals != NULL && !http_is_token(value) && !is_quoted_string(value)))
        control->bad_syntax = true;
    const directive_t *directive = find(name);
    if (directive != NULL)
        apply(control, directive, value);
}

http_cache_control_t http_cache_control_none(void)
{
    return (http_cache_control_t){.max_age = HTTP_SECONDS_ABSENT,
                                  .s_maxage = HTTP_SECONDS_ABSENT,
                                  .stale_while_revalidate = HTTP_SECONDS_ABSENT,
                                  .stale_if_error = HTTP_SECONDS_ABSENT};
}

http_cache_control_t http_cache_control(http_fields_t response)
{
    const text_t name = TEXT("cache-control");
    http_cache_control_t control = http_cache_control_none();
    for (const http_field_t *line = http_fields_find(response, name); line != NULL;
         line = http_fields_next(response, line, name)) {
        text_t rest = line->value, member;
        while (http_list_next(&rest, &member))
            read_directive(&control, member);
    }
    return control;
}

/* --- As a structured field --- */

typedef struct {
    http_cache_control_t *control;
    unsigned wrong; /* bits by directive: it has a type that it cannot have */
} targeted_t;

/* Seconds before now are none left. */
static int64_t clamp_seconds(int64_t number)
{
    return number < 0 ? 0 : number > HTTP_SECONDS_MAX ? HTTP_SECONDS_MAX : number;
}

static bool can_be(form_t form, structured_kind_t kind)
{
    switch (form) {
    case FLAG:
    case PASSED_OVER_FLAG:
        return kind == STRUCTURED_BOOLEAN;
    case RESTRICTION: /* a string names fields */
        return kind == STRUCTURED_BOOLEAN || kind == STRUCTURED_STRING;
    case SECONDS:
        return kind == STRUCTURED_INTEGER;
    }
    return false;
}

/* Of a key that comes again only the last counts (RFC 8941 section 4.2.2), for its type, too. */
static void take_member(void *context, text_t key, structured_value_t value)
{
    targeted_t *targeted = context;
    const directive_t *directive = find(key);
    if (directive == NULL)
        return;
    unsigned bit = 1u << (directive - directives);
    targeted->wrong = can_be(directive->form, value.kind) ? targeted->wrong & ~bit : targeted->wrong | bit;
    void *field = (char *)targeted->control + directive->offset;
    if (directive->form == SECONDS)
        *(int64_t *)field = clamp_seconds(value.number);
    else if (directive->form != PASSED_OVER_FLAG)
        *(bool *)field = value.kind != STRUCTURED_BOOLEAN || value.number == 1;
}

bool http_cache_control_targeted(http_fields_t response, text_t name, http_cache_control_t *control)
{
    targeted_t targeted = {.control = control};
    *control = http_cache_control_none();
    return structured_dictionary(response, name, take_member, &targeted) && targeted.wrong == 0;
}
