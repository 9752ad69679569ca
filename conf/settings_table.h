/* The table of settings and what its types can do. For conf/ only: everybody else sees settings.h. */
#ifndef SELVEDGE_CONF_SETTINGS_TABLE_H
#define SELVEDGE_CONF_SETTINGS_TABLE_H

#include "conf/settings.h"

typedef enum {
    SETTING_LISTENERS, /* addresses to listen on, each its own option; field: listeners and listener_count */
    SETTING_LISTENER,  /* one such address; field: settings_listener_t */
    SETTING_ORIGIN,    /* fields: origin, origin_url */
    SETTING_HOST,      /* host, perhaps with a port; field: text_t */
    SETTING_SIZE,      /* field: uint64_t, bytes */
    SETTING_SECONDS,   /* field: int64_t, milliseconds */
    SETTING_COUNT,     /* field: unsigned */
    SETTING_CHOICE, /* one of two words; field: bool, true for the second. Of off and on, YAML's others, too
                     */
    SETTING_WORD,   /* one of up to three words; field: unsigned, its place among them */
    SETTING_FILE,   /* field: const char * */
    SETTING_DISK,   /* field: settings_disk_t.path; as an option PATH:SIZE, both of its fields */
    SETTING_FILE_OR_OFF, /* field: const char *, NULL for `off` */
    SETTING_TOKEN,       /* field: const char *, a bearer token */
    SETTING_NAME,        /* a site's; field: text_t */
    SETTING_NODE_NAME,   /* field: const char * */
    SETTING_HOST_NAMES,  /* a list of a site's host names; field: its hosts in settings_t */
    SETTING_REDIRECT,    /* field: int, see settings_site_t */
    SETTING_FIELDS,      /* names of fields, a comma between two; field: http_names_t, empty for `off` */
    SETTING_HSTS,        /* field: text_t, a policy as it is sent, empty for `off` */
    SETTING_PATTERN,     /* field: text_t, a pattern of paths in its normal form */
    SETTING_FIELD_LINES, /* a group of fields and values; field: text_t, a line for each, names in lower case
                          */
    SETTING_FIELD_NAMES, /* a list of names of fields; field: text_t, in lower case, a space between two */
    SETTING_ALLOWED_ORIGINS, /* one origin, or a list of them; field: text_t, a space between two; empty for
                                `off` */
    SETTING_LIFETIME,        /* field: http_lifetime_t; `off` says none */
    SETTING_TAGS,            /* a list of tags (edge/http/tags.h); field: text_t, a space between two */
    SETTING_PARAMETERS, /* a list of names of parameters; field: text_t, a space between each; absent: none
                           was given */
    SETTING_USER,       /* field: const char *, the name of a user */
    SETTING_TYPES
} setting_type_t;

enum { SETTING_CHOICES_MAX = 3 };

typedef struct {
    const char *name;        /* its path in the file: group.word; `[]` behind what is a list of such */
    const char *option;      /* with its two dashes; NULL: only the file has it */
    const char *placeholder; /* the value's name in the help */
    setting_type_t type;
    bool of_site;        /* one for each site; as an option it is for all of them */
    bool of_rule;        /* one for each of sites[].rules[]; what is not said there is the site's */
    bool of_listener;    /* one for each of listen[] */
    bool of_certificate; /* one for each certificate; as an option it is of the only one */
    bool of_disk;        /* one for each of disk[] */
    size_t offset;       /* of the field in settings_t, or in its site's, rule's, listener's, certificate's or
                            disk's */
    uint64_t minimum, maximum;                /* bytes, milliseconds or a number, by type */
    const char *choices[SETTING_CHOICES_MAX]; /* SETTING_CHOICE, SETTING_WORD */
    const char *standard[2];    /* the default as one would write it; several where several may be given */
    const char *standard_words; /* the default in words where it is no fixed value */
    bool required;              /* in the file: wherever its list has an item */
    const char *example;        /* for the sample, where there is no default to show */
    bool reload;                /* a running node takes a new value */
    bool content;               /* a path: what the file holds belongs to the configuration */
    const char *meaning;        /* documentation: a sentence or two */
} setting_t;

extern const setting_t settings_table[];
extern const size_t settings_table_count;

/* What a value of this type looks like, as the end of a sentence. */
const char *setting_type_text(setting_type_t type);
/* The range in the type's own units, or the choices; empty when there is none to speak of. */
void setting_range_text(const setting_t *setting, char *text, size_t capacity);
/* Puts a value into its field: that of settings->sites[item], rules[item], listeners[item],
 * certificates[item] or disks[item] where these have it. The value must live as long as the settings. False:
 * `reason` says what is wrong with it and what is allowed. */
bool setting_put(const setting_t *setting, const char *value, settings_t *settings, size_t item, char *reason,
                 size_t capacity);
/* The same for what says an item whole, an option or an item of the file's list that is one value: of a disk
 * PATH:SIZE.
 */
bool setting_put_whole(const setting_t *setting, const char *value, settings_t *settings, size_t item,
                       char *reason, size_t capacity);
/* setting_put() for a disk's path. */
bool setting_put_disk(const char *value, settings_t *settings, size_t item, char *reason, size_t capacity);
/* The same for a policy of HSTS (RFC 6797), which it writes as it is sent. */
bool setting_put_hsts(const setting_t *setting, const char *value, settings_t *settings, text_t *field,
                      char *reason, size_t capacity);
/* Of the setting's field in each of two. */
bool setting_same(const setting_t *setting, const void *a, const void *b);
/* The field's bytes. */
size_t setting_size(setting_type_t type);
/* Have two sites the same rules, in the same order? */
bool settings_same_rules(const settings_t *a, size_t site_a, const settings_t *b, size_t site_b);
/* The same for a list of fields. */
bool setting_put_fields(const char *value, settings_t *settings, http_names_t *names, char *reason,
                        size_t capacity);
/* Is it a list of values, each of which setting_put() adds? */
bool setting_is_list(setting_type_t type);
/* Puts one more behind those that the text has already. */
bool setting_put_item(const setting_t *setting, const char *value, settings_t *settings, text_t *list,
                      char *reason, size_t capacity);
/* Begins one that may be empty. */
void setting_begin_list(const setting_t *setting, settings_t *settings, size_t item);
/* The field itself. */
void *setting_field(const setting_t *setting, settings_t *settings, size_t item);
/* The whole sentence: what the setting is called there, the value unless it is a secret, and the reason. */
void setting_complaint(const setting_t *setting, const char *called, const char *value, const char *reason,
                       char *text, size_t capacity);
/* Two that cannot both be bound. */
bool setting_same_address(const settings_listener_t *a, const settings_listener_t *b);
/* The default in words, or as one would write it. */
void setting_default_text(const setting_t *setting, char *text, size_t capacity);
/* Bytes as one would write them: 16M. */
void setting_size_text(uint64_t bytes, char *text, size_t capacity);

/* The setting whose name or option this is; NULL when there is none. */
const setting_t *setting_find(const char *name_or_option);
/* The one with the most similar name or option; NULL when none is near. */
const setting_t *setting_nearest(const char *name_or_option);
/* The same among those that are options. */
const setting_t *setting_nearest_option(const char *option);

/* A copy that lives as long as the settings. */
const char *settings_keep(settings_t *settings, text_t text);
/* One site more, with what holds when nothing is said; its place. */
size_t settings_begin_site(settings_t *settings);
/* One rule more of a site; its place. */
size_t settings_begin_rule(settings_t *settings, size_t site);
/* Gives each rule what its site says and it does not, and signs what is made of both. */
void settings_put_inherited(settings_t *settings);
/* The same for a certificate, and for a disk. */
size_t settings_begin_certificate(settings_t *settings);
size_t settings_begin_disk(settings_t *settings);
/* The bytes of all disks. */
uint64_t settings_disk_bytes(const settings_t *settings);
/* Without a word about it, the state is on the first disk: what is stored there is of no use without it. */
void settings_put_state_dir(settings_t *settings);

/* How many letters must be changed, put in or left out to make one text of the other; SIZE_MAX: too long to
 * say. */
size_t setting_distance(const char *a, const char *b);

void settings_help(FILE *out);
void settings_explain(FILE *out, const setting_t *setting);

#endif
