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

enum { HOST_NAME_BYTES = 65 };

/* What this host is called, as the name of a node: what no name may hold becomes a `-`. Never empty. */
void host_name(char name[HOST_NAME_BYTES]);

#endif
