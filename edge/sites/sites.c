#include "edge/sites/sites.h"

#include "edge/sites/names.h"

#include <xxhash.h>

/* Host names in a table of open addresses, at most half full, so that a look takes a probe or two. */
struct sites {
    const settings_t *settings;
    site_t *sites;
    size_t mask;                    /* slots - 1; slots are a power of two */
    const settings_host_t *slots[]; /* NULL: empty */
};

static size_t slot_of(const sites_t *sites, text_t host)
{
    size_t slot = XXH3_64bits(host.data, host.length) & sites->mask;
    while (sites->slots[slot] != NULL && !text_equal(sites->slots[slot]->name, host))
        slot = (slot + 1) & sites->mask;
    return slot;
}

/* Those of a site follow each other in the settings. */
static void put_rules(sites_t *sites)
{
    const settings_t *settings = sites->settings;
    for (size_t i = 0; i < settings->rule_count; i++) {
        site_t *site = &sites->sites[settings->rules[i].site];
        if (site->rule_count++ == 0)
            site->rules = &settings->rules[i];
    }
}

sites_t *sites_new(const settings_t *settings)
{
    size_t slots = 2;
    while (slots < 2 * settings->host_count)
        slots *= 2;
    sites_t *sites = must_calloc(1, sizeof *sites + slots * sizeof sites->slots[0]);
    sites->settings = settings;
    sites->mask = slots - 1;
    sites->sites = must_calloc(settings->site_count, sizeof *sites->sites);
    for (size_t i = 0; i < settings->site_count; i++) {
        const site_name_t *name = site_name(settings->sites[i].name);
        sites->sites[i] = (site_t){&settings->sites[i], name->number, cache_site(name->text), NULL, 0};
    }
    put_rules(sites);
    for (size_t i = 0; i < settings->host_count; i++)
        sites->slots[slot_of(sites, settings->hosts[i].name)] = &settings->hosts[i];
    return sites;
}

void sites_free(sites_t **sites)
{
    free((*sites)->sites);
    free(*sites);
    *sites = NULL;
}

const site_t *sites_only(const sites_t *sites)
{
    return sites->settings->host_count == 0 ? &sites->sites[0] : NULL;
}

const site_t *sites_find(const sites_t *sites, text_t authority)
{
    char buffer[URL_HOST_MAX];
    text_t host;
    if (sites->settings->host_count == 0)
        return &sites->sites[0];
    if (!url_host(authority, buffer, &host, NULL))
        return NULL;
    const settings_host_t *found = sites->slots[slot_of(sites, host)];
    return found != NULL ? &sites->sites[found->site] : NULL;
}

/* The authority is what stands between `//` and the target. */
const site_t *sites_of_url(const sites_t *sites, const url_parts_t *parts)
{
    const char *host = parts->host.data - (parts->ipv6 ? 1 : 0);
    return sites_find(sites, (text_t){host, (size_t)(parts->target.data - host)});
}

const site_t *sites_named(const sites_t *sites, text_t name)
{
    for (size_t i = 0; i < sites->settings->site_count; i++)
        if (text_equal(sites->sites[i].settings->name, name))
            return &sites->sites[i];
    return NULL;
}

size_t sites_count(const sites_t *sites)
{
    return sites->settings->site_count;
}

const site_t *sites_at(const sites_t *sites, size_t place)
{
    return &sites->sites[place];
}

text_t site_client_field(const settings_site_t *site)
{
    switch ((client_address_t)site->client_address) {
    case CLIENT_ADDRESS_OFF:
        break;
    case CLIENT_ADDRESS_X_FORWARDED_FOR:
        return TEXT("x-forwarded-for");
    case CLIENT_ADDRESS_FORWARDED:
        return TEXT("forwarded");
    }
    return (text_t){NULL, 0};
}

void sites_describe(const sites_t *sites, char *text, size_t capacity)
{
    size_t used = 0;
    *text = 0;
    for (size_t i = 0; i < sites->settings->site_count && used < capacity; i++) {
        text_t name = sites->sites[i].settings->name;
        int wrote =
            snprintf(text + used, capacity - used, "%s%.*s", i > 0 ? ", " : "", (int)name.length, name.data);
        used += (size_t)wrote;
    }
}
