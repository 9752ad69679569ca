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
    SETTING_CHOICE,    /* one of two words; field: bool, true for the second */
    SETTING_FILE,      /* field: const char * */
    SETTING_FILE_OR_OFF, /* field: const char *, NULL for `off` */
    SETTING_TOKEN,       /* field: const char *, a bearer token */
    SETTING_TYPES
} setting_type_t;

typedef struct {
    const char *name;        /* as a configuration file will write it: group.word */
    const char *option;      /* with its two dashes */
    const char *placeholder; /* the value's name in the help */
    setting_type_t type;
    size_t offset;              /* of the field in settings_t */
    uint64_t minimum, maximum;  /* bytes, milliseconds or a number, by type */
    const char *choices[2];     /* SETTING_CHOICE */
    const char *standard[2];    /* the default as one would write it; several where several may be given */
    const char *standard_words; /* the default in words where it is no fixed value; neither: the setting is
                                   required */
    bool reload;         /* may a running node take a new value? For the reload to come; not shown yet */
    const char *meaning; /* documentation: a sentence or two */
} setting_t;

extern const setting_t settings_table[];
extern const size_t settings_table_count;

/* What a value of this type looks like, as the end of a sentence. */
const char *setting_type_text(setting_type_t type);
/* The range in the type's own units, or the choices; empty when there is none to speak of. */
void setting_range_text(const setting_t *setting, char *text, size_t capacity);
/* Puts a value into its field. False: `error` says what is wrong with it and what is allowed. */
bool setting_put(const setting_t *setting, const char *value, settings_t *settings, char *error,
                 size_t capacity);
/* Bytes as one would write them: 16M. */
void setting_size_text(uint64_t bytes, char *text, size_t capacity);

/* The setting whose name or option this is; NULL when there is none. */
const setting_t *setting_find(const char *name_or_option);
/* The one with the most similar name or option; NULL when none is near. */
const setting_t *setting_nearest(const char *name_or_option);

void settings_help(FILE *out);
void settings_explain(FILE *out, const setting_t *setting);

#endif
