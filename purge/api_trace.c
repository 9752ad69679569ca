#include "purge/api_trace.h"

#include "edge/http/url.h"
#include "edge/sites/policy.h"

/* -1: not a hexadecimal digit. */
static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    char small = (char)(digit | 0x20);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* Percent-decodes the value into `room` of its length. False: it is not one value. */
static bool decode(text_t value, char *room, text_t *url)
{
    *url = (text_t){room, 0};
    for (size_t i = 0; i < value.length; i++) {
        char byte = value.data[i];
        if (byte == '&')
            return false;
        if (byte == '%') {
            int high = i + 2 < value.length ? hex(value.data[i + 1]) : -1;
            int low = i + 2 < value.length ? hex(value.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high * 16 + low);
            i += 2;
        }
        room[url->length++] = byte;
    }
    return true;
}

static bool read_url(text_t query, char *room, text_t *url)
{
    const text_t name = TEXT("url=");
    return query.length >= name.length && memcmp(query.data, name.data, name.length) == 0 &&
           decode((text_t){query.data + name.length, query.length - name.length}, room, url);
}

/* The site and the target that the key of a request for the URL would have. */
static bool find(text_t url, const sites_t *sites, char *room, api_trace_t *trace, api_answer_t *refusal)
{
    url_parts_t parts;
    url_error_t wrong = url_split(url, &parts);
    if (wrong == URL_OK)
        wrong = url_normalize(parts.target, room, URL_NORMAL_MAX(parts.target.length), &trace->target);
    if (wrong != URL_OK) {
        *refusal = api_answer_error(API_BAD_URL, "url", "the URL %s", url_error_text(wrong));
        return false;
    }
    trace->site = sites_of_url(sites, &parts);
    if (trace->site != NULL)
        trace->target =
            site_key_target(trace->site, trace->target, room + URL_NORMAL_MAX(parts.target.length));
    else
        *refusal = api_answer_error(API_UNKNOWN_SITE, "url", "the URL has a host that no site here has");
    return trace->site != NULL;
}

/* The room is for the URL, decoded, for its target, normalised, which may be a part of the former, and for
 * what the key has of that. */
bool api_trace_read(text_t query, const sites_t *sites, api_trace_t *trace, api_answer_t *refusal)
{
    text_t url;
    bool good = false;
    *trace = (api_trace_t){.room = must_alloc(query.length + 2 * URL_NORMAL_MAX(query.length))};
    if (!read_url(query, trace->room, &url))
        *refusal =
            api_answer_error(API_BAD_VALUE, "url", "say which URL: /v1/trace?url=URL, percent-encoded");
    else
        good = find(url, sites, trace->room + query.length, trace, refusal);
    if (!good)
        api_trace_free(trace);
    return good;
}

void api_trace_free(api_trace_t *trace)
{
    free(trace->room);
    *trace = (api_trace_t){.room = NULL};
}
