/* Values: each type's text, checked and put into its field. */
#include "conf/settings_table.h"

#include "edge/http/pattern.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>

enum { NAME_MAX_LENGTH = 64 };

/* What is wrong with a value. Always false. */
__attribute__((format(printf, 3, 4))) static bool refuse(char *reason, size_t capacity, const char *format,
                                                         ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, capacity, format, arguments);
    va_end(arguments);
    return false;
}

void setting_complaint(const setting_t *setting, const char *called, const char *value, const char *reason,
                       char *text, size_t capacity)
{
    /* A token is a secret that belongs in no log. A value may be any length, and the reason must fit behind.
     */
    if (setting->type == SETTING_TOKEN)
        snprintf(text, capacity, "%s: %s", called, reason);
    else
        snprintf(text, capacity, "%s %.200s: %s", called, *value != 0 ? value : "''", reason);
}

const char *setting_type_text(setting_type_t type)
{
    static const char *const texts[SETTING_TYPES] = {
        [SETTING_LISTENERS] =
            "an address to listen on is http://ADDR:PORT or https://ADDR:PORT, with ADDR as 127.0.0.1, [::1] "
            "or localhost and port 0 for a free one",
        [SETTING_LISTENER] =
            "an address to listen on is http://ADDR:PORT or https://ADDR:PORT, with ADDR as 127.0.0.1, [::1] "
            "or localhost and port 0 for a free one",
        [SETTING_ORIGIN] = "an origin is http://HOST[:PORT] or https://HOST[:PORT], without a path, such as "
                           "http://127.0.0.1:8000",
        [SETTING_HOST] = "a host is a name or an address, with :PORT where it is not the usual one, such as "
                         "assets.example.com",
        [SETTING_SIZE] = "a size is a number with an optional K, M or G (powers of 1024), such as 512M",
        [SETTING_SECONDS] = "a time is a number of seconds with at most three decimals, such as 30 or 0.5",
        [SETTING_COUNT] = "a count is a whole number, such as 4",
        [SETTING_CHOICE] = "one of the words above",
        [SETTING_WORD] = "one of the words above",
        [SETTING_FILE] = "a path",
        [SETTING_DISK] =
            "a path; with its size, as PATH:SIZE, where both are one value, such as /var/cache/selvedge:500G",
        [SETTING_REDIRECT] = "on, off, or a port from 1 to 65535",
        [SETTING_FIELDS] = "off, or the names of up to eight fields, a comma between two",
        [SETTING_HSTS] =
            "off, a number of seconds, or max-age=SECONDS with `; includeSubDomains` and `; preload` behind "
            "it where wanted, such as max-age=31536000; includeSubDomains",
        [SETTING_PATTERN] =
            "a pattern is a path, such as /robots.txt, or has stars: /assets/* is all below, /img/*.png is "
            "of "
            "one segment, /a/**/b of any segments between, *.css of the last segment anywhere",
        [SETTING_PARAMETERS] = "the name of a parameter, as it is written in queries, in which a star stands "
                               "for any bytes, such as "
                               "utm_*",
        [SETTING_FIELD_LINES] =
            "a group of fields and their values, such as {X-Frame-Options: DENY}; fields that the node says "
            "itself, such "
            "as Date, ETag, Content-Length or Access-Control-Allow-Origin, are not among them",
        [SETTING_TAGS] =
            "a tag without spaces, in which {1} to {9} stand for a segment of the path, and {-1} "
            "to {-9} for one counted from its end",
        [SETTING_FIELD_NAMES] = "the name of a field, such as X-Powered-By; fields that the node says "
                                "itself, such as Date, ETag, "
                                "Content-Length or Access-Control-Allow-Origin, are not among them",
        [SETTING_ALLOWED_ORIGINS] =
            "off, * for all, or origins as browsers write them, such as https://www.example.com or "
            "https://*.example.com",
        [SETTING_LIFETIME] = "off, or a number of seconds with at most three decimals, such as 3600",
        [SETTING_USER] = "the name of a user of this machine",
        [SETTING_FILE_OR_OFF] = "a path, - for standard output, or off",
        [SETTING_TOKEN] =
            "a token is 1 to 512 letters, digits and - . _ ~ + / with = at the end only, as RFC 6750 has it",
        [SETTING_NAME] = "a name is 1 to 64 letters, digits, dots, - and _",
        [SETTING_NODE_NAME] = "a name is 1 to 64 letters, digits, dots, - and _",
        [SETTING_HOST_NAMES] =
            "a host name is a name or an address without a port, such as www.example.com or [::1]",
    };
    return texts[type];
}

void setting_size_text(uint64_t bytes, char *text, size_t capacity)
{
    static const char units[] = {'\0', 'K', 'M', 'G'};
    size_t unit = 0;
    while (unit + 1 < sizeof units && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, capacity, "%" PRIu64 "%.1s", bytes, &units[unit]);
}

static void seconds_text(uint64_t ms, char *text, size_t capacity)
{
    if (ms % 1000 == 0)
        snprintf(text, capacity, "%" PRIu64, ms / 1000);
    else
        snprintf(text, capacity, "%" PRIu64 ".%03" PRIu64, ms / 1000, ms % 1000);
}

void setting_range_text(const setting_t *setting, char *text, size_t capacity)
{
    char low[32] = "", high[32] = "";
    *text = 0;
    if (setting->type == SETTING_CHOICE || setting->type == SETTING_WORD) {
        bool three = setting->choices[2] != NULL;
        snprintf(text, capacity, "%s%s%s or %s", setting->choices[0], three ? ", " : "",
                 three ? setting->choices[1] : "", setting->choices[three ? 2 : 1]);
        return;
    }
    if (setting->type == SETTING_SIZE) {
        setting_size_text(setting->minimum, low, sizeof low);
        setting_size_text(setting->maximum, high, sizeof high);
    } else if (setting->type == SETTING_SECONDS || setting->type == SETTING_LIFETIME) {
        seconds_text(setting->minimum, low, sizeof low);
        seconds_text(setting->maximum, high, sizeof high);
    } else if (setting->type == SETTING_COUNT) {
        snprintf(low, sizeof low, "%" PRIu64, setting->minimum);
        snprintf(high, sizeof high, "%" PRIu64, setting->maximum);
    } else {
        return;
    }
    snprintf(text, capacity, "%s to %s", low, high);
}

static bool check_range(const setting_t *setting, uint64_t number, char *reason, size_t capacity)
{
    if (number >= setting->minimum && number <= setting->maximum)
        return true;
    char range[80];
    setting_range_text(setting, range, sizeof range);
    return refuse(reason, capacity, "too %s; allowed is %s", number < setting->minimum ? "small" : "large",
                  range);
}

/* The digits at the start of a text; UINT64_MAX when there are too many for 64 bits, which no range allows.
 * Moves *text behind them; false when there are none. */
static bool take_number(const char **text, uint64_t *number)
{
    const char *start = *text;
    *number = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(**text - '0'), number)) {
            *number = UINT64_MAX;
            *text += strspn(*text, "0123456789");
            return true;
        }
    }
    return *text > start;
}

static bool put_size(const setting_t *setting, const char *value, uint64_t *field, char *reason,
                     size_t capacity)
{
    static const char letters[] = "KkMmGg";
    const char *rest = value;
    uint64_t number;
    if (!take_number(&rest, &number))
        return refuse(reason, capacity, "does not start with a number; %s", setting_type_text(SETTING_SIZE));
    const char *letter = *rest != 0 ? strchr(letters, *rest) : NULL;
    if (*rest != 0 && (letter == NULL || rest[1] != 0))
        return refuse(reason, capacity, "'%.40s' is not a unit; %s", rest, setting_type_text(SETTING_SIZE));
    int shift = letter != NULL ? 10 * (1 + (int)(letter - letters) / 2) : 0;
    number = number > UINT64_MAX >> shift ? UINT64_MAX : number << shift;
    if (!check_range(setting, number, reason, capacity))
        return false;
    *field = number;
    return true;
}

/* Up to three digits behind the point, as thousandths. False for none, or for more. */
static bool take_thousandths(const char **text, uint64_t *thousandths)
{
    const char *start = *text;
    if (!take_number(text, thousandths) || *text - start > 3)
        return false;
    for (long digits = *text - start; digits < 3; digits++)
        *thousandths *= 10;
    return true;
}

static bool put_seconds(const setting_t *setting, const char *value, int64_t *field, char *reason,
                        size_t capacity)
{
    const char *rest = value;
    uint64_t seconds, thousandths = 0;
    bool good = take_number(&rest, &seconds);
    if (good && *rest == '.') {
        rest++;
        good = take_thousandths(&rest, &thousandths);
    }
    if (!good || *rest != 0)
        return refuse(reason, capacity, "not a time; %s", setting_type_text(setting->type));
    uint64_t ms = seconds > UINT64_MAX / 2000 ? UINT64_MAX : seconds * 1000 + thousandths;
    if (!check_range(setting, ms, reason, capacity))
        return false;
    *field = (int64_t)ms;
    return true;
}

static bool put_lifetime(const setting_t *setting, const char *value, http_lifetime_t *field, char *reason,
                         size_t capacity)
{
    *field = (http_lifetime_t){.said = strcmp(value, "off") != 0};
    return !field->said || put_seconds(setting, value, &field->ms, reason, capacity);
}

static bool put_pattern(const char *value, settings_t *settings, text_t *field, char *reason, size_t capacity)
{
    char buffer[HTTP_PATTERN_ROOM];
    text_t normal;
    const char *wrong = http_pattern_check(text_of(value), buffer, &normal);
    if (wrong != NULL)
        return refuse(reason, capacity, "%s; %s", wrong, setting_type_text(SETTING_PATTERN));
    *field = (text_t){settings_keep(settings, normal), normal.length};
    return true;
}

static bool put_count(const setting_t *setting, const char *value, unsigned *field, char *reason,
                      size_t capacity)
{
    const char *rest = value;
    uint64_t number;
    if (!take_number(&rest, &number) || *rest != 0)
        return refuse(reason, capacity, "not a number; %s", setting_type_text(SETTING_COUNT));
    if (!check_range(setting, number, reason, capacity))
        return false;
    *field = (unsigned)number;
    return true;
}

/* The word that was meant, where one is near. */
static const char *meant(const setting_t *setting, const char *value)
{
    for (int i = 0; i < SETTING_CHOICES_MAX && setting->choices[i] != NULL; i++)
        if (setting_distance(value, setting->choices[i]) <= strlen(setting->choices[i]) / 3)
            return setting->choices[i];
    return NULL;
}

/* YAML 1.1 has several words for on and off. */
static const char *plain_word(const setting_t *setting, const char *value)
{
    if (strcmp(setting->choices[0], "off") != 0 || strcmp(setting->choices[1], "on") != 0)
        return value;
    if (strcmp(value, "true") == 0 || strcmp(value, "yes") == 0)
        return "on";
    return strcmp(value, "false") == 0 || strcmp(value, "no") == 0 ? "off" : value;
}

static bool put_word(const setting_t *setting, const char *value, unsigned *field, char *reason,
                     size_t capacity)
{
    const char *word = plain_word(setting, value);
    for (unsigned i = 0; i < SETTING_CHOICES_MAX && setting->choices[i] != NULL; i++) {
        if (strcmp(word, setting->choices[i]) == 0) {
            *field = i;
            return true;
        }
    }
    char allowed[80];
    const char *near = meant(setting, value);
    setting_range_text(setting, allowed, sizeof allowed);
    return refuse(reason, capacity, "not a word that it knows; allowed is %s%s%s%s", allowed,
                  near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
}

static bool put_choice(const setting_t *setting, const char *value, bool *field, char *reason,
                       size_t capacity)
{
    unsigned place;
    bool good = put_word(setting, value, &place, reason, capacity);
    if (good)
        *field = place == 1;
    return good;
}

static bool put_file(const setting_t *setting, const char *value, const char **field, char *reason,
                     size_t capacity)
{
    if (*value == 0)
        return refuse(reason, capacity, "is empty; give %s", setting_type_text(setting->type));
    *field = setting->type == SETTING_FILE_OR_OFF && strcmp(value, "off") == 0 ? NULL : value;
    return true;
}

static bool put_token(const setting_t *setting, const char *value, const char **field, char *reason,
                      size_t capacity)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/";
    size_t length = strspn(value, allowed);
    size_t whole = length + strspn(value + length, "=");
    if (length < 1 || value[whole] != 0 || whole > setting->maximum)
        return refuse(reason, capacity, "the token given is not one; %s", setting_type_text(SETTING_TOKEN));
    *field = value;
    return true;
}

/* Takes a URL that names a server and nothing on it apart. */
static bool split_server(const setting_t *setting, const char *value, url_parts_t *parts, char *reason,
                         size_t capacity)
{
    const char *form = setting_type_text(setting->type);
    url_error_t wrong = url_split(text_of(value), parts);
    if (wrong != URL_OK)
        return refuse(reason, capacity, "%s; %s", url_error_text(wrong), form);
    if (parts->target.length > 1 || (parts->target.length == 1 && parts->target.data[0] != '/'))
        return refuse(reason, capacity, "'%.*s' is more than a server; %s",
                      (int)(parts->target.length > 80 ? 80 : parts->target.length), parts->target.data, form);
    return true;
}

/* The literal address of a listener, ready to bind. */
static bool fill_address(const url_parts_t *parts, settings_listener_t *listener)
{
    text_t host = text_equal_nocase(parts->host, TEXT("localhost")) ? TEXT("127.0.0.1") : parts->host;
    if (host.length >= sizeof listener->host)
        return false;
    memcpy(listener->host, host.data, host.length);
    listener->host[host.length] = 0;
    if (parts->ipv6) {
        listener->address.v6 =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(parts->port)};
        listener->address_length = sizeof listener->address.v6;
        return inet_pton(AF_INET6, listener->host, &listener->address.v6.sin6_addr) == 1;
    }
    listener->address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(parts->port)};
    listener->address_length = sizeof listener->address.v4;
    return inet_pton(AF_INET, listener->host, &listener->address.v4.sin_addr) == 1;
}

static bool put_listener(const setting_t *setting, const char *value, settings_listener_t *field,
                         char *reason, size_t capacity)
{
    url_parts_t parts;
    if (!split_server(setting, value, &parts, reason, capacity))
        return false;
    if (!parts.port_given)
        return refuse(reason, capacity, "the port is missing; %s", setting_type_text(setting->type));
    settings_listener_t listener = {.text = value,
                                    .https = parts.https,
                                    .ipv6 = parts.ipv6,
                                    .proxy_protocol = field->proxy_protocol,
                                    .port = parts.port};
    if (!fill_address(&parts, &listener))
        return refuse(reason, capacity, "'%.*s' is not an address; %s",
                      (int)(parts.host.length > 80 ? 80 : parts.host.length), parts.host.data,
                      setting_type_text(setting->type));
    *field = listener;
    return true;
}

/* SO_REUSEPORT would let one address be bound twice in silence, half of the clients going to the wrong place.
 */
bool setting_same_address(const settings_listener_t *a, const settings_listener_t *b)
{
    return a->port != 0 && a->address_length == b->address_length &&
           memcmp(&a->address, &b->address, a->address_length) == 0;
}

static bool put_further_listener(const setting_t *setting, const char *value, settings_t *settings,
                                 char *reason, size_t capacity)
{
    if (settings->listener_count == SETTINGS_LISTENERS_MAX)
        return refuse(reason, capacity, "one too many; at most %d addresses can be listened on",
                      SETTINGS_LISTENERS_MAX);
    settings_listener_t *listener = &settings->listeners[settings->listener_count];
    if (!put_listener(setting, value, listener, reason, capacity))
        return false;
    for (size_t i = 0; i < settings->listener_count; i++)
        if (setting_same_address(listener, &settings->listeners[i]))
            return refuse(reason, capacity, "the address is already that of %.200s; each can be given once",
                          settings->listeners[i].text);
    settings->listener_count++;
    return true;
}

static bool put_origin(const setting_t *setting, const char *value, settings_site_t *site, char *reason,
                       size_t capacity)
{
    url_parts_t parts;
    if (!split_server(setting, value, &parts, reason, capacity))
        return false;
    if (parts.port == 0)
        return refuse(reason, capacity, "no server has port 0; %s", setting_type_text(SETTING_ORIGIN));
    site->origin = parts;
    site->origin_url = (text_t){value, strlen(value) - parts.target.length};
    return true;
}

/* A name becomes a label of metrics, a word of purges, and stands in log lines. */
static bool is_name(const char *value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strspn(value, allowed);
    return length > 0 && length <= NAME_MAX_LENGTH && value[length] == 0;
}

static bool put_node_name(const char *value, const char **field, char *reason, size_t capacity)
{
    if (!is_name(value))
        return refuse(reason, capacity, "not a name; %s", setting_type_text(SETTING_NODE_NAME));
    *field = value;
    return true;
}

static bool put_name(const char *value, settings_t *settings, size_t site, char *reason, size_t capacity)
{
    if (!is_name(value))
        return refuse(reason, capacity, "not a name; %s", setting_type_text(SETTING_NAME));
    for (size_t i = 0; i < settings->site_count; i++)
        if (i != site && text_equal(settings->sites[i].name, text_of(value)))
            return refuse(reason, capacity, "another site has this name; each needs one of its own");
    settings->sites[site].name = text_of(value);
    return true;
}

static bool put_host_name(const char *value, settings_t *settings, size_t site, char *reason, size_t capacity)
{
    char buffer[URL_HOST_MAX];
    text_t host;
    bool has_port;
    if (!url_host(text_of(value), buffer, &host, &has_port) || has_port)
        return refuse(reason, capacity, "not a host name; %s", setting_type_text(SETTING_HOST_NAMES));
    if (settings->host_count == SETTINGS_HOSTS_MAX)
        return refuse(reason, capacity, "one too many; at most %d host names are allowed in all",
                      SETTINGS_HOSTS_MAX);
    for (size_t i = 0; i < settings->host_count; i++)
        if (text_equal(settings->hosts[i].name, host))
            return refuse(
                reason, capacity,
                "the host is already that of sites[%zu]; each belongs to one site, and is given once",
                settings->hosts[i].site);
    settings->hosts[settings->host_count++] =
        (settings_host_t){{settings_keep(settings, host), host.length}, site};
    return true;
}

/* A host is right when it makes a right URL. */
static bool put_host(const char *value, text_t *field, char *reason, size_t capacity)
{
    char url[512];
    url_parts_t parts;
    int written = snprintf(url, sizeof url, "http://%s", value);
    bool good = written > 0 && (size_t)written < sizeof url && url_split(text_of(url), &parts) == URL_OK;
    if (!good || parts.target.length > 0)
        return refuse(reason, capacity, "not a host; %s", setting_type_text(SETTING_HOST));
    *field = text_of(value);
    return true;
}

void *setting_field(const setting_t *setting, settings_t *settings, size_t item)
{
    char *base = (char *)settings;
    if (setting->of_site)
        base = (char *)&settings->sites[item];
    else if (setting->of_rule)
        base = (char *)&settings->rules[item];
    else if (setting->of_listener)
        base = (char *)&settings->listeners[item];
    else if (setting->of_certificate)
        base = (char *)&settings->certificates[item];
    else if (setting->of_disk)
        base = (char *)&settings->disks[item];
    return base + setting->offset;
}

static bool put_redirect(const setting_t *setting, const char *value, int *field, char *reason,
                         size_t capacity)
{
    unsigned port;
    const setting_t number = {
        .minimum = setting->minimum, .maximum = setting->maximum, .type = SETTING_COUNT};
    if (strcmp(value, "off") == 0 || strcmp(value, "on") == 0) {
        *field = value[1] == 'f' ? REDIRECT_OFF : REDIRECT_TO_LISTENER;
        return true;
    }
    if (*value < '0' || *value > '9')
        return refuse(reason, capacity, "not a word that it knows; allowed is %s",
                      setting_type_text(SETTING_REDIRECT));
    if (!put_count(&number, value, &port, reason, capacity))
        return false;
    *field = (int)port;
    return true;
}

bool setting_put(const setting_t *setting, const char *value, settings_t *settings, size_t item, char *reason,
                 size_t capacity)
{
    void *field = setting_field(setting, settings, item);
    if (setting->of_rule)
        settings->rules[item].said[setting - settings_table] = true;
    switch (setting->type) {
    case SETTING_LISTENERS:
        return put_further_listener(setting, value, settings, reason, capacity);
    case SETTING_LISTENER:
        return put_listener(setting, value, field, reason, capacity);
    case SETTING_ORIGIN:
        return put_origin(setting, value, &settings->sites[item], reason, capacity);
    case SETTING_HOST:
        return put_host(value, field, reason, capacity);
    case SETTING_SIZE:
        return put_size(setting, value, field, reason, capacity);
    case SETTING_SECONDS:
        return put_seconds(setting, value, field, reason, capacity);
    case SETTING_COUNT:
        return put_count(setting, value, field, reason, capacity);
    case SETTING_WORD:
        return put_word(setting, value, field, reason, capacity);
    case SETTING_CHOICE:
        return put_choice(setting, value, field, reason, capacity);
    case SETTING_REDIRECT:
        return put_redirect(setting, value, field, reason, capacity);
    case SETTING_LIFETIME:
        return put_lifetime(setting, value, field, reason, capacity);
    case SETTING_PARAMETERS:
    case SETTING_TAGS:
    case SETTING_FIELD_LINES:
    case SETTING_FIELD_NAMES:
    case SETTING_ALLOWED_ORIGINS:
        return setting_put_item(setting, value, settings, field, reason, capacity);
    case SETTING_PATTERN:
        return put_pattern(value, settings, field, reason, capacity);
    case SETTING_FIELDS:
        return setting_put_fields(value, settings, field, reason, capacity);
    case SETTING_HSTS:
        return setting_put_hsts(setting, value, settings, field, reason, capacity);
    case SETTING_USER:
    case SETTING_FILE:
    case SETTING_FILE_OR_OFF:
        return put_file(setting, value, field, reason, capacity);
    case SETTING_DISK:
        return setting_put_disk(value, settings, item, reason, capacity);
    case SETTING_TOKEN:
        return put_token(setting, value, field, reason, capacity);
    case SETTING_NAME:
        return put_name(value, settings, item, reason, capacity);
    case SETTING_NODE_NAME:
        return put_node_name(value, field, reason, capacity);
    case SETTING_HOST_NAMES:
        return put_host_name(value, settings, item, reason, capacity);
    case SETTING_TYPES:
        break;
    }
    MUST(setting->type < SETTING_TYPES);
    return false;
}
