/* What this machine offers: memory and processors. Reads /proc and /sys; knows nobody. */
#ifndef SELVEDGE_CONF_HOST_H
#define SELVEDGE_CONF_HOST_H

#include "edge/base.h"

/* Bytes of RAM this process may use: the machine's, or less where its control group (version 1 or 2) has a
 * limit. root: "" for this machine; tests give a directory that holds proc/ and sys/. 0 when /proc/meminfo
 * cannot be read. */
uint64_t host_memory_bytes(const char *root);

/* Processors this process may run on, at least 1. */
unsigned host_processors(void);

#endif
