#include "purge/api_purge.h"

#include <sys/random.h>

#include "edge/http/tags.h"
#include "edge/http/url.h"
#include "edge/observe/counters.h"
#include "edge/sites/policy.h"

#define PURGE_MAGIC 0x9026e001u

enum { ID_BYTES = 16 };

struct api_purge {
    uint32_t magic;
    publisher_purge_t submitted;
    json_t *body; /* the rules' texts may point into it */
    char *normal; /* or in here: one block for all URLs that normalisation changes */
    char id[2 * ID_BYTES + 1];
    void (*answer)(void *context, api_answer_t *answer);
    void *context;
};

/* What a body says, before it is made into rules. */
typedef struct {
    json_t *urls, *tags, *site, *everything, *soft, *reason; /* borrowed; NULL when absent */
} wish_t;

static void purge_free(api_purge_t *purge)
{
    json_decref(purge->body);
    free(purge->normal);
    free(purge->submitted.rules);
    free(purge);
}

/* Takes the fields apart. False: there is one that is not known. */
static bool take_fields(json_t *body, wish_t *wish, api_answer_t *refusal)
{
    const struct {
        const char *name;
        json_t **field;
    } known[] = {{"urls", &wish->urls}, {"tags", &wish->tags},
                 {"site", &wish->site}, {"everything", &wish->everything},
                 {"soft", &wish->soft}, {"reason", &wish->reason}};
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i].name, name) != 0)
            i++;
        if (i == sizeof known / sizeof *known) {
            *refusal = api_answer_error(
                API_UNKNOWN_FIELD, name,
                "'%.80s' is not a field of a purge; the fields are urls, tags, site, everything, "
                "soft and reason",
                name);
            return false;
        }
        *known[i].field = value;
    }
    return true;
}

static bool check_types(const wish_t *wish, api_answer_t *refusal)
{
    const char *field = NULL, *allowed = NULL;
    if (wish->urls != NULL && !json_is_array(wish->urls))
        field = "urls", allowed = "an array of URLs, such as [\"https://example.com/a.css\"]";
    else if (wish->tags != NULL && !json_is_array(wish->tags))
        field = "tags", allowed = "an array of tags, such as [\"product-7\"]";
    else if (wish->site != NULL && !json_is_string(wish->site))
        field = "site", allowed = "the name of a site";
    else if (wish->everything != NULL && !json_is_boolean(wish->everything))
        field = "everything", allowed = "true or false";
    else if (wish->soft != NULL && !json_is_boolean(wish->soft))
        field = "soft", allowed = "true (mark as stale) or false (never use again)";
    else if (wish->reason != NULL &&
             (!json_is_string(wish->reason) || json_string_length(wish->reason) > API_REASON_MAX))
        field = "reason", allowed = "a text of at most 1024 bytes";
    if (field != NULL)
        *refusal = api_answer_error(API_BAD_VALUE, field, "%s must be %s", field, allowed);
    return field == NULL;
}

/* The site that is named, or none; false: there is no such site. */
static bool find_site(const wish_t *wish, const sites_t *sites, const site_t **site, api_answer_t *refusal)
{
    *site = NULL;
    if (wish->site == NULL)
        return true;
    text_t given = {json_string_value(wish->site), json_string_length(wish->site)};
    *site = sites_named(sites, given);
    if (*site != NULL)
        return true;
    char names[512];
    sites_describe(sites, names, sizeof names);
    *refusal = api_answer_error(API_UNKNOWN_SITE, "site", "there is no site '%.80s'; there is %s", given.data,
                                names);
    return false;
}

/* A tag of a path may have a comma in it; in a field commas stand between tags. So one with commas is purged
 * as itself, and as each of its parts. How many rules that makes; `rules` NULL: they are only counted. */
static size_t put_tag(ledger_rule_t *rules, text_t site, text_t tag, bool soft)
{
    ledger_rule_t rule = {.kind = RULE_TAG, .soft = soft, .site = site, .target = tag};
    size_t count = 0;
    if (rules != NULL)
        rules[count] = rule;
    count++;
    if (memchr(tag.data, ',', tag.length) == NULL)
        return count;
    text_t part;
    while (text_take(&tag, ',', &part)) {
        rule.target = part;
        if (rules != NULL && part.length > 0)
            rules[count] = rule;
        count += part.length > 0;
    }
    return count;
}

/* Of those that are tags. */
static size_t count_tag_rules(const wish_t *wish)
{
    size_t index, count = 0;
    json_t *tag;
    json_array_foreach(wish->tags, index, tag) if (json_is_string(tag)) count +=
        put_tag(NULL, (text_t){NULL, 0}, (text_t){json_string_value(tag), json_string_length(tag)}, false);
    return count;
}

static bool check_amount(const wish_t *wish, api_answer_t *refusal)
{
    if (json_array_size(wish->urls) > API_URLS_MAX) {
        *refusal = api_answer_error(API_BAD_VALUE, "urls",
                                    "%zu URLs are too many for one purge; at most %d are allowed",
                                    json_array_size(wish->urls), API_URLS_MAX);
        return false;
    }
    if (count_tag_rules(wish) > API_TAGS_MAX) {
        *refusal = api_answer_error(API_BAD_VALUE, "tags",
                                    "%zu tags are too many for one purge; at most %d are allowed",
                                    count_tag_rules(wish), API_TAGS_MAX);
        return false;
    }
    bool whole_site = wish->site != NULL && wish->tags == NULL;
    if (json_array_size(wish->urls) > 0 || json_array_size(wish->tags) > 0 || whole_site ||
        json_is_true(wish->everything))
        return true;
    *refusal = api_answer_error(
        API_NOTHING_TO_PURGE, NULL,
        "nothing is named that could be purged; give urls, or tags, or site, or everything: true");
    return false;
}

/* Whose tags they are: of the site that is named, or of the only one. */
static bool find_site_of_tags(const wish_t *wish, const sites_t *sites, const site_t **site,
                              api_answer_t *refusal)
{
    if (*site == NULL && sites_count(sites) == 1)
        *site = sites_at(sites, 0);
    if (*site != NULL || json_array_size(wish->tags) == 0)
        return true;
    char names[512];
    sites_describe(sites, names, sizeof names);
    *refusal = api_answer_error(
        API_BAD_VALUE, "site",
        "tags are those of one site: say of which, as in \"site\": \"NAME\"; there is %s", names);
    return false;
}

/* The site and the target that the key of a request for this URL would have. Writes at most twice
 * URL_NORMAL_MAX bytes of *room and moves it on. */
static bool read_url(json_t *url, size_t index, const sites_t *sites, char **room, ledger_rule_t *rule,
                     api_answer_t *refusal)
{
    char field[32];
    snprintf(field, sizeof field, "urls[%zu]", index);
    if (!json_is_string(url)) {
        *refusal = api_answer_error(API_BAD_VALUE, field, "%s must be a URL in quotes", field);
        return false;
    }
    text_t text = {json_string_value(url), json_string_length(url)};
    url_parts_t parts;
    url_error_t wrong = url_split(text, &parts);
    if (wrong == URL_OK) {
        size_t capacity = URL_NORMAL_MAX(parts.target.length);
        wrong = url_normalize(parts.target, *room, capacity, &rule->target);
        *room += capacity;
    }
    const site_t *site = wrong == URL_OK ? sites_of_url(sites, &parts) : NULL;
    if (site != NULL) {
        rule->site = site->cache.name;
        size_t length = rule->target.length;
        rule->target = site_key_target(site, rule->target, *room);
        *room += length;
        return true;
    }
    *refusal = api_answer_error(wrong == URL_OK ? API_UNKNOWN_SITE : API_BAD_URL, field, "%s: '%.300s%s' %s",
                                field, text.data, text.length > 300 ? "..." : "",
                                wrong == URL_OK ? "has a host that no site here has" : url_error_text(wrong));
    return false;
}

static bool read_urls(api_purge_t *purge, const wish_t *wish, const sites_t *sites, bool soft,
                      api_answer_t *refusal)
{
    size_t index, room_needed = 0;
    json_t *url;
    json_array_foreach(wish->urls, index, url) room_needed += 2 * URL_NORMAL_MAX(json_string_length(url));
    char *room = purge->normal = must_alloc(room_needed + 1);
    json_array_foreach(wish->urls, index, url)
    {
        ledger_rule_t rule = {.kind = RULE_URL, .soft = soft};
        if (!read_url(url, index, sites, &room, &rule, refusal))
            return false;
        purge->submitted.rules[purge->submitted.rule_count++] = rule;
    }
    return true;
}

static bool read_tags(api_purge_t *purge, const wish_t *wish, const site_t *site, bool soft,
                      api_answer_t *refusal)
{
    size_t index;
    json_t *tag;
    json_array_foreach(wish->tags, index, tag)
    {
        char field[32];
        snprintf(field, sizeof field, "tags[%zu]", index);
        text_t text = {json_string_value(tag), json_string_length(tag)};
        if (!json_is_string(tag) || !http_is_tag(text)) {
            *refusal =
                api_answer_error(API_BAD_VALUE, field, "%s must be a tag: 1 to %d bytes without spaces",
                                 field, HTTP_TAG_BYTES_MAX);
            return false;
        }
        ledger_rule_t *rules = purge->submitted.rules + purge->submitted.rule_count;
        purge->submitted.rule_count += put_tag(rules, site->cache.name, text, soft);
    }
    return true;
}

static bool read_rules(api_purge_t *purge, const sites_t *sites, api_answer_t *refusal)
{
    wish_t wish = {NULL, NULL, NULL, NULL, NULL, NULL};
    const site_t *site;
    if (!take_fields(purge->body, &wish, refusal) || !check_types(&wish, refusal) ||
        !find_site(&wish, sites, &site, refusal) || !check_amount(&wish, refusal))
        return false;
    const site_t *tagged = site;
    if (!find_site_of_tags(&wish, sites, &tagged, refusal))
        return false;
    bool soft = json_is_true(wish.soft);
    publisher_purge_t *submitted = &purge->submitted;
    submitted->rules =
        must_calloc(json_array_size(wish.urls) + count_tag_rules(&wish) + 2, sizeof *submitted->rules);
    if (!read_urls(purge, &wish, sites, soft, refusal) || !read_tags(purge, &wish, tagged, soft, refusal))
        return false;
    if (site != NULL && wish.tags == NULL)
        submitted->rules[submitted->rule_count++] =
            (ledger_rule_t){.kind = RULE_SITE, .soft = soft, .site = site->cache.name};
    if (json_is_true(wish.everything))
        submitted->rules[submitted->rule_count++] = (ledger_rule_t){.kind = RULE_EVERYTHING, .soft = soft};
    return true;
}

static json_t *parse(text_t body, api_answer_t *refusal)
{
    json_error_t error;
    json_t *parsed = json_loadb(body.length > 0 ? body.data : "", body.length,
                                JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (parsed == NULL) {
        /* The parser quotes what it saw behind " near ": the place says as much. */
        char *near = strstr(error.text, " near ");
        if (near != NULL)
            *near = 0;
        *refusal = api_answer_error(API_BAD_JSON, NULL, "the body is not JSON: %s (line %d, column %d)",
                                    error.text, error.line, error.column);
    } else if (!json_is_object(parsed)) {
        json_decref(parsed);
        parsed = NULL;
        *refusal = api_answer_error(
            API_BAD_JSON, NULL,
            "the body must be an object, such as {\"urls\":[\"https://example.com/a.css\"]}");
    }
    return parsed;
}

static void make_id(char id[2 * ID_BYTES + 1])
{
    unsigned char bytes[ID_BYTES];
    MUST(getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

api_purge_t *api_purge_read(text_t body, const sites_t *sites, api_answer_t *refusal)
{
    json_t *parsed = parse(body, refusal);
    if (parsed == NULL)
        return NULL;
    api_purge_t *purge = must_calloc(1, sizeof *purge);
    purge->magic = PURGE_MAGIC;
    purge->body = parsed;
    if (!read_rules(purge, sites, refusal)) {
        purge_free(purge);
        return NULL;
    }
    make_id(purge->id);
    return purge;
}

api_purge_t *api_purge_of(text_t site, text_t target)
{
    api_purge_t *purge = must_calloc(1, sizeof *purge);
    purge->magic = PURGE_MAGIC;
    purge->normal = must_alloc(target.length);
    memcpy(purge->normal, target.data, target.length);
    purge->submitted.rules = must_calloc(1, sizeof *purge->submitted.rules);
    purge->submitted.rules[0] =
        (ledger_rule_t){.kind = RULE_URL, .site = site, .target = {purge->normal, target.length}};
    purge->submitted.rule_count = 1;
    make_id(purge->id);
    return purge;
}

static void count_rules(const publisher_purge_t *submitted)
{
    for (size_t i = 0; i < submitted->rule_count; i++)
        count_purge(submitted->rules[i].kind, submitted->rules[i].soft);
}

/* On the publisher's thread. */
static void done(publisher_purge_t *submitted, uint64_t sequence, const char *error)
{
    api_purge_t *purge = CONTAINER_OF(submitted, api_purge_t, submitted);
    MUST_BE(purge, PURGE_MAGIC);
    api_answer_t answer;
    if (error == NULL) {
        count_rules(submitted);
        json_t *body =
            json_pack("{s:s,s:I,s:b}", "id", purge->id, "sequence", (json_int_t)sequence, "applied_here", 1);
        answer = api_answer_json(200, &body);
    } else {
        answer = api_answer_error(
            API_JOURNAL_FAILED, NULL,
            "the purge could not be kept, so it is not acknowledged: %s; see to it and purge again", error);
    }
    void (*call)(void *, api_answer_t *) = purge->answer;
    void *context = purge->context;
    purge_free(purge);
    call(context, &answer);
}

void api_purge_submit(api_purge_t **handle, publisher_t *publisher,
                      void (*answer)(void *context, api_answer_t *answer), void *context)
{
    api_purge_t *purge = *handle;
    MUST_BE(purge, PURGE_MAGIC);
    *handle = NULL;
    purge->submitted.done = done;
    purge->answer = answer;
    purge->context = context;
    publisher_submit(publisher, &purge->submitted);
}
