#include "edge/tls/names.h"

/* Sorted by name, without case. A wildcard is there without its star, as `.example.com`, which no host name
 * is. */
typedef struct {
    char *name;
    size_t length;
    unsigned certificate;
} entry_t;

struct tls_names {
    entry_t *entries;
    size_t count, capacity;
};

tls_names_t *tls_names_new(void)
{
    return must_calloc(1, sizeof(tls_names_t));
}

void tls_names_free(tls_names_t **pointer)
{
    tls_names_t *names = *pointer;
    *pointer = NULL;
    for (size_t i = 0; i < names->count; i++)
        free(names->entries[i].name);
    free(names->entries);
    free(names);
}

/* Where the name is, or belongs. */
static size_t place_of(const tls_names_t *names, text_t name, bool *found)
{
    size_t low = 0, high = names->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        const entry_t *entry = &names->entries[middle];
        size_t shared = entry->length < name.length ? entry->length : name.length;
        int order = memcmp(entry->name, name.data, shared);
        if (order == 0 && entry->length == name.length) {
            *found = true;
            low = middle;
        } else if (order < 0 || (order == 0 && entry->length < name.length)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_name_letter(char letter)
{
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' ||
           letter == '_';
}

/* In lower case, without the root's dot at its end: labels with a dot between. False: it is no host name. */
static bool normalize(text_t name, char buffer[TLS_NAME_MAX], text_t *normal)
{
    size_t length = name.length;
    if (length > 0 && name.data[length - 1] == '.')
        length--;
    if (length == 0 || length > TLS_NAME_MAX)
        return false;
    bool after_dot = true;
    for (size_t i = 0; i < length; i++) {
        buffer[i] = ascii_lower(name.data[i]);
        bool dot = buffer[i] == '.';
        if (dot ? after_dot : !is_name_letter(buffer[i]))
            return false;
        after_dot = dot;
    }
    *normal = (text_t){buffer, length};
    return !after_dot;
}

static void insert(tls_names_t *names, size_t at, text_t name, unsigned certificate)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity > 0 ? 2 * names->capacity : 8;
        names->entries = realloc(names->entries, names->capacity * sizeof *names->entries);
        MUST(names->entries != NULL);
    }
    memmove(&names->entries[at + 1], &names->entries[at], (names->count - at) * sizeof *names->entries);
    names->entries[at] = (entry_t){must_alloc(name.length), name.length, certificate};
    memcpy(names->entries[at].name, name.data, name.length);
    names->count++;
}

tls_name_t tls_names_add(tls_names_t *names, text_t name, unsigned certificate, unsigned *other)
{
    char buffer[1 + TLS_NAME_MAX];
    text_t normal;
    bool wild = name.length > 2 && name.data[0] == '*' && name.data[1] == '.', found;
    text_t rest = wild ? (text_t){name.data + 2, name.length - 2} : name;
    if (!normalize(rest, buffer + 1, &normal))
        return TLS_NAME_UNUSABLE;
    if (wild) {
        buffer[0] = '.';
        normal = (text_t){buffer, normal.length + 1};
    }
    size_t at = place_of(names, normal, &found);
    if (!found)
        insert(names, at, normal, certificate);
    *other = names->entries[at].certificate;
    return *other == certificate ? TLS_NAME_ADDED : TLS_NAME_TAKEN;
}

bool tls_names_find(const tls_names_t *names, text_t host, unsigned *certificate)
{
    char buffer[TLS_NAME_MAX];
    text_t name;
    bool found;
    if (!normalize(host, buffer, &name))
        return false;
    size_t at = place_of(names, name, &found);
    const char *dot = memchr(name.data, '.', name.length);
    if (!found && dot != NULL)
        at = place_of(names, (text_t){dot, name.length - (size_t)(dot - name.data)}, &found);
    if (found)
        *certificate = names->entries[at].certificate;
    return found;
}

/* --- The extension --- */

/* A vector of at most 65535 bytes, its length in two bytes before it. */
static bool take_vector(text_t *bytes, text_t *vector)
{
    if (bytes->length < 2)
        return false;
    size_t length = (size_t)(uint8_t)bytes->data[0] << 8 | (uint8_t)bytes->data[1];
    if (bytes->length - 2 < length)
        return false;
    *vector = (text_t){bytes->data + 2, length};
    *bytes = (text_t){bytes->data + 2 + length, bytes->length - 2 - length};
    return true;
}

/* Only one type of name was ever defined, of which a list may have one. */
bool tls_server_name(text_t extension, text_t *host)
{
    enum { HOST_NAME = 0 };
    text_t list;
    if (!take_vector(&extension, &list) || extension.length > 0 || list.length == 0 ||
        list.data[0] != HOST_NAME)
        return false;
    list = (text_t){list.data + 1, list.length - 1};
    return take_vector(&list, host) && list.length == 0 && host->length > 0;
}
