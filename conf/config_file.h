/* The bytes of the configuration file. */
#ifndef SELVEDGE_CONF_CONFIG_FILE_H
#define SELVEDGE_CONF_CONFIG_FILE_H

#include "edge/base.h"

/* Reads a file whole, or CONFIG_BYTES_MAX + 1 bytes of it: enough for config_load() to refuse it. NULL:
 * *bytes is the caller's to free. Else why it cannot be read. */
const char *config_read(const char *path, char **bytes, size_t *length);

#endif
