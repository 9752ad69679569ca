/* What the serving process gives up before it meets anything from outside: its user's rights, new ones for
 * ever, core dumps, and the system calls that no part of it makes.
 *
 * For the parent before its first fork, and for the serving process before its first thread. */
#ifndef SELVEDGE_EDGE_SUPERVISOR_SANDBOX_H
#define SELVEDGE_EDGE_SUPERVISOR_SANDBOX_H

#include <sys/types.h>

#include "edge/base.h"

enum { SANDBOX_ERROR_MAX = 256 };

typedef struct {
    const char *name; /* kept by the caller; NULL: nobody else, all below does nothing */
    uid_t uid;
    gid_t gid;
} sandbox_user_t;

/* All that can fail: false and a sentence in *error. */

/* Looks the user up, and checks that this process may become it. name NULL: stays who it is. */
bool sandbox_find_user(const char *name, sandbox_user_t *user, char error[SANDBOX_ERROR_MAX]);

/* Makes the directory the user's, and the files of these names in it. Only when nobody but us could have
 * written into it so far: else it stays as it is, as a link in there could lead anywhere. */
bool sandbox_give_directory(const sandbox_user_t *user, const char *path, const char *const names[],
                            size_t count, char error[SANDBOX_ERROR_MAX]);

/* The same for one that lies in a directory of the user's: it is never reached through a link. */
bool sandbox_give_inner_directory(const sandbox_user_t *user, const char *path, const char *const names[],
                                  size_t count, char error[SANDBOX_ERROR_MAX]);

/* Makes an empty file that the user may write, unless there is one. */
bool sandbox_give_file(const sandbox_user_t *user, const char *path, char error[SANDBOX_ERROR_MAX]);

/* Becomes the user, with its groups, and cannot come back. The kernel forgets over it what was asked by
 * supervisor_die_with_parent(). */
bool sandbox_become(const sandbox_user_t *user, char error[SANDBOX_ERROR_MAX]);

/* No new privileges by whatever is executed, no core dumps. For both processes. */
bool sandbox_restrict(char error[SANDBOX_ERROR_MAX]);

/* No memory that other processes may read. */
bool sandbox_hide_memory(char error[SANDBOX_ERROR_MAX]);

/* A filter of system calls: what would run another program, look into other processes or change the system
 * ends the process (SIGSYS); what a library might try and can do without fails. All threads, now and later.
 */
bool sandbox_filter_system_calls(char error[SANDBOX_ERROR_MAX]);

#endif
