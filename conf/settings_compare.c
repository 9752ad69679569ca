/* What differs between settings: for a node that is to take new ones while it runs. */
#include "conf/settings_table.h"

enum { NAME_MAX_LENGTH = 256 };

typedef struct {
    void (*differs)(void *context, const char *name, bool needs_restart);
    void *context;
} report_t;

/* How many of it there are, but for sites. */
static size_t items_of(const setting_t *setting, const settings_t *settings)
{
    if (setting->of_listener || setting->type == SETTING_LISTENERS)
        return settings->listener_count;
    if (setting->of_disk)
        return settings->disk_count;
    return setting->of_certificate ? settings->certificate_count : 1;
}

static const void *field_of(const setting_t *setting, const settings_t *settings, size_t item)
{
    if (setting->type == SETTING_LISTENERS)
        return &settings->listeners[item];
    /* It is not written to: one function knows the fields for both. */
    return setting_field(setting, (settings_t *)(uintptr_t)settings, item);
}

void settings_gather(const settings_t *settings, files_t *files)
{
    text_t bytes; /* that it cannot be read is said by who needs it */
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        for (size_t item = 0; setting->content && item < items_of(setting, settings); item++) {
            const char *const *path = field_of(setting, settings, item);
            if (*path != NULL)
                files_get(files, *path, &bytes);
        }
    }
}

static bool same_path(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* An empty list is not none. */
static bool same_text(text_t a, text_t b)
{
    return text_equal(a, b) && (a.data == NULL) == (b.data == NULL);
}

static bool same_lifetime(const http_lifetime_t *a, const http_lifetime_t *b)
{
    return a->said == b->said && a->ms == b->ms;
}

/* The hosts of a site, in their order. */
static bool same_hosts(const settings_t *a, size_t site_a, const settings_t *b, size_t site_b)
{
    size_t i = 0, j = 0;
    for (;; i++, j++) {
        while (i < a->host_count && a->hosts[i].site != site_a)
            i++;
        while (j < b->host_count && b->hosts[j].site != site_b)
            j++;
        if (i == a->host_count || j == b->host_count)
            return i == a->host_count && j == b->host_count;
        if (!text_equal(a->hosts[i].name, b->hosts[j].name))
            return false;
    }
}

static bool same_names(const http_names_t *a, const http_names_t *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!text_equal(a->at[i], b->at[i]))
            return false;
    return a->count == b->count;
}

bool setting_same(const setting_t *setting, const void *a, const void *b)
{
    switch (setting->type) {
    case SETTING_LISTENERS:
    case SETTING_LISTENER:
        return strcmp(((const settings_listener_t *)a)->text, ((const settings_listener_t *)b)->text) == 0;
    case SETTING_ORIGIN: {
        const settings_site_t *x = (const void *)((const char *)a - setting->offset);
        const settings_site_t *y = (const void *)((const char *)b - setting->offset);
        return text_equal(x->origin_url, y->origin_url);
    }
    case SETTING_HOST:
    case SETTING_NAME:
    case SETTING_HSTS:
    case SETTING_PATTERN:
    case SETTING_PARAMETERS:
    case SETTING_TAGS:
    case SETTING_FIELD_LINES:
    case SETTING_FIELD_NAMES:
    case SETTING_ALLOWED_ORIGINS:
        return same_text(*(const text_t *)a, *(const text_t *)b);
    case SETTING_FIELDS:
        return same_names(a, b);
    case SETTING_SIZE:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case SETTING_SECONDS:
        return *(const int64_t *)a == *(const int64_t *)b;
    case SETTING_COUNT:
    case SETTING_WORD:
        return *(const unsigned *)a == *(const unsigned *)b;
    case SETTING_LIFETIME:
        return same_lifetime(a, b);
    case SETTING_REDIRECT:
        return *(const int *)a == *(const int *)b;
    case SETTING_CHOICE:
        return *(const bool *)a == *(const bool *)b;
    case SETTING_FILE:
    case SETTING_DISK:
    case SETTING_FILE_OR_OFF:
    case SETTING_USER:
    case SETTING_NODE_NAME:
    case SETTING_TOKEN:
        return same_path(*(const char *const *)a, *(const char *const *)b);
    case SETTING_HOST_NAMES: /* a list: compared by who knows both sites */
    case SETTING_TYPES:
        break;
    }
    MUST(false);
    return false;
}

size_t setting_size(setting_type_t type)
{
    switch (type) {
    case SETTING_LISTENER:
        return sizeof(settings_listener_t);
    case SETTING_SIZE:
    case SETTING_SECONDS:
        return sizeof(uint64_t);
    case SETTING_COUNT:
    case SETTING_WORD:
        return sizeof(unsigned);
    case SETTING_CHOICE:
        return sizeof(bool);
    case SETTING_FILE:
    case SETTING_DISK:
    case SETTING_FILE_OR_OFF:
    case SETTING_USER:
    case SETTING_NODE_NAME:
    case SETTING_TOKEN:
        return sizeof(const char *);
    case SETTING_LIFETIME:
        return sizeof(http_lifetime_t);
    case SETTING_REDIRECT:
        return sizeof(int);
    case SETTING_HOST:
    case SETTING_NAME:
    case SETTING_HSTS:
    case SETTING_PATTERN:
    case SETTING_PARAMETERS:
    case SETTING_TAGS:
    case SETTING_FIELD_LINES:
    case SETTING_FIELD_NAMES:
    case SETTING_ALLOWED_ORIGINS:
        return sizeof(text_t);
    case SETTING_FIELDS:
        return sizeof(http_names_t);
    case SETTING_ORIGIN:
    case SETTING_LISTENERS:
    case SETTING_HOST_NAMES:
    case SETTING_TYPES:
        break;
    }
    MUST(false);
    return 0;
}

/* --- Of the node --- */

/* Does an item that only one of the two has say nothing of this setting? */
static bool is_absent(const setting_t *setting, const settings_t *settings, size_t item)
{
    return setting->type == SETTING_FILE && *(const char *const *)field_of(setting, settings, item) == NULL;
}

static bool same_setting(const setting_t *setting, const settings_t *a, const settings_t *b)
{
    size_t in_a = items_of(setting, a), in_b = items_of(setting, b);
    bool same = true;
    for (size_t i = 0; same && (i < in_a || i < in_b); i++)
        same = i < in_a && i < in_b ? setting_same(setting, field_of(setting, a, i), field_of(setting, b, i))
                                    : is_absent(setting, i < in_a ? a : b, i);
    return same;
}

/* Lists all at once, when everything about them has been compared. */
static void keep_lists(const settings_t *start, settings_t *settings)
{
    memcpy(settings->listeners, start->listeners, sizeof settings->listeners);
    settings->listener_count = start->listener_count;
    memcpy(settings->disks, start->disks, sizeof settings->disks);
    settings->disk_count = start->disk_count;
}

static bool is_in_list(const setting_t *setting)
{
    return setting->of_listener || setting->of_disk || setting->type == SETTING_LISTENERS;
}

static void compare_one(const setting_t *setting, const settings_t *start, const settings_t *before,
                        settings_t *settings, const report_t *report)
{
    if (same_setting(setting, setting->reload ? before : start, settings))
        return;
    report->differs(report->context, setting->name, !setting->reload);
    if (!setting->reload && !is_in_list(setting))
        memcpy(setting_field(setting, settings, 0), field_of(setting, start, 0), setting_size(setting->type));
}

/* An eighth of another memory, or more than half of the one there is: it goes with the memory. */
static void keep_what_fits(const settings_t *start, const settings_t *before, settings_t *settings,
                           const report_t *report)
{
    bool other_memory = settings->memory_bytes != start->memory_bytes;
    if (!other_memory || settings->max_object_bytes == before->max_object_bytes)
        return;
    settings->max_object_bytes = before->max_object_bytes;
    report->differs(report->context, "memory.max_object", true);
}

/* --- Of sites --- */

/* SIZE_MAX: there is none of this name. */
static size_t site_named(const settings_t *settings, text_t name)
{
    for (size_t i = 0; i < settings->site_count; i++)
        if (text_equal(settings->sites[i].name, name))
            return i;
    return SIZE_MAX;
}

static void report_site(const report_t *report, text_t site, const char *rest)
{
    char name[NAME_MAX_LENGTH];
    snprintf(name, sizeof name, "sites[%.*s]%s", (int)site.length, site.data, rest);
    report->differs(report->context, name, false);
}

/* As the origin's URL says it: then it goes with that. */
static bool has_own_host(const settings_site_t *site)
{
    return site->origin_host.data < site->origin_url.data ||
           site->origin_host.data > site->origin_url.data + site->origin_url.length;
}

static bool same_in_site(const setting_t *setting, const settings_site_t *a, const settings_site_t *b)
{
    if (setting->type == SETTING_HOST && !has_own_host(a) && !has_own_host(b))
        return true;
    return setting_same(setting, (const char *)a + setting->offset, (const char *)b + setting->offset);
}

static void compare_site(const settings_t *before, size_t was, const settings_t *settings, size_t is,
                         const report_t *report)
{
    const settings_site_t *a = &before->sites[was], *b = &settings->sites[is];
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        bool is_hosts = setting->type == SETTING_HOST_NAMES;
        if (!setting->of_site && !is_hosts)
            continue;
        bool same = is_hosts ? same_hosts(before, was, settings, is) : same_in_site(setting, a, b);
        if (!same)
            report_site(report, b->name, setting->name + strlen("sites[]"));
    }
    if (!settings_same_rules(before, was, settings, is))
        report_site(report, b->name, ".rules");
}

static void compare_sites(const settings_t *before, const settings_t *settings, const report_t *report)
{
    for (size_t i = 0; i < settings->site_count; i++) {
        size_t was = site_named(before, settings->sites[i].name);
        if (was == SIZE_MAX)
            report_site(report, settings->sites[i].name, " is new");
        else
            compare_site(before, was, settings, i, report);
    }
    for (size_t i = 0; i < before->site_count; i++)
        if (site_named(settings, before->sites[i].name) == SIZE_MAX)
            report_site(report, before->sites[i].name, " is removed");
}

void settings_compare(const settings_t *start, const settings_t *before, settings_t *settings,
                      void (*differs)(void *context, const char *name, bool needs_restart), void *context)
{
    report_t report = {differs, context};
    keep_what_fits(start, before, settings, &report);
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (!setting->of_site && !setting->of_rule && setting->type != SETTING_HOST_NAMES)
            compare_one(setting, start, before, settings, &report);
    }
    keep_lists(start, settings);
    compare_sites(before, settings, &report);
}
