/* The configuration file: YAML 1.1 over the table of settings, whose names are the keys' paths.
 *
 * A plain function over bytes; libyaml's types appear in config.c only. */
#ifndef SELVEDGE_CONF_CONFIG_H
#define SELVEDGE_CONF_CONFIG_H

#include "conf/settings_table.h"

enum { CONFIG_BYTES_MAX = 1 << 20, CONFIG_MISTAKES_MAX = 100 };

/* Where in the file, from 1; line 0: not from the file. */
typedef struct {
    size_t line, column;
} config_place_t;

typedef struct {
    void *context;
    void (*mistake)(void *context, config_place_t place, const char *text);
} config_report_t;

/* Puts what the file says over what *settings holds, and where each setting was last said into `places` (by
 * its place in the table, SETTINGS_TABLE_MAX of them). Each mistake is reported, in the order of the file, up
 * to CONFIG_MISTAKES_MAX; how many there were is returned, and with any *settings is of no use but for
 * settings_free. The bytes may go once it returns. */
size_t config_load(text_t bytes, settings_t *settings, config_place_t *places, const config_report_t *report);

/* A file with every setting in it: the required ones with an example, the others behind a `#` with what holds
 * without them. */
void config_sample(FILE *out);

/* Does the setting lie below this path? 0: no. Else the length of its next word there: of "origin" for
 * sites[].origin.url below "sites[].". */
size_t config_word(const setting_t *setting, const char *path);

#endif
