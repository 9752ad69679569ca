/* The directories of the disk tier, before any process uses them: made where there are none, and the user's.
 *
 * For the parent before its first fork. What is in them is the volumes' (edge/cache/disk/). */
#ifndef SELVEDGE_EDGE_SUPERVISOR_DISK_DIRECTORIES_H
#define SELVEDGE_EDGE_SUPERVISOR_DISK_DIRECTORIES_H

#include "conf/settings.h"
#include "edge/supervisor/sandbox.h"

/* Makes those that are not there, mode 0700; their parents must be. False and a sentence in *error. */
bool disk_directories_make(const settings_t *settings, char error[SANDBOX_ERROR_MAX]);

/* Is this path, as it is written, within one of them? */
bool disk_directories_hold(const settings_t *settings, const char *path);

/* Gives them to the user with the tier's files in them, as sandbox_give_directory() does. One with nothing
 * but files of others stays as it is: nothing will be stored there. False and a sentence in *error. */
bool disk_directories_give(const settings_t *settings, const sandbox_user_t *user,
                           char error[SANDBOX_ERROR_MAX]);

#endif
