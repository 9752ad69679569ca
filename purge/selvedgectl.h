/* selvedgectl: the admin API from the command line. For purge/selvedgectl*.c only. */
#ifndef SELVEDGE_PURGE_SELVEDGECTL_H
#define SELVEDGE_PURGE_SELVEDGECTL_H

#include <jansson.h>

#include "edge/base.h"
#include "purge/token.h"

/* What scripts go by. */
typedef enum {
    CTL_DONE = 0,
    CTL_FAILED = 1,          /* the node could not do it, or what answers is no node */
    CTL_USAGE = 2,           /* the command line is wrong, or the token cannot be read */
    CTL_UNREACHABLE = 3,     /* nobody answers: nothing was purged */
    CTL_REFUSED = 4,         /* the node does not take this request, or this token */
    CTL_NOT_ACKNOWLEDGED = 5 /* sent, perhaps in force, but not acknowledged in time: purge again */
} ctl_exit_t;

typedef enum {
    CTL_NO_COMMAND,
    CTL_PURGE,
    CTL_STATUS,
    CTL_TRACE,
    CTL_RELOAD,
    CTL_CHECK,
    CTL_CACHE
} ctl_command_t;

enum { CTL_TAGS_MAX = 1000, CTL_DIRS_MAX = 16, CTL_HEADERS_MAX = 64 };

typedef struct {
    const char *admin; /* the admin listener's URL */
    const char *token_file;
    bool json;
    long timeout_ms;
    ctl_command_t command;
    /* Of a purge; one URL of a trace; one file of a check; what to do with a cache, and its key. */
    char *const *urls;
    int url_count;
    const char *site, *reason;
    const char *tags[CTL_TAGS_MAX];
    int tag_count;
    bool everything, soft;
    /* Of a cache. */
    const char *dirs[CTL_DIRS_MAX]; /* of its disks */
    int dir_count;
    const char *state;                    /* NULL: on the first of them */
    const char *headers[CTL_HEADERS_MAX]; /* of the request that is dumped for */
    int header_count;
} ctl_options_t;

/* The options, or the exit code of a command line that is wrong or asked for help (*done). argv is reordered.
 */
bool ctl_options(int argc, char **argv, ctl_options_t *options, ctl_exit_t *code);

/* One HTTP exchange. */
typedef struct {
    bool answered; /* with the two below */
    long status;
    char *body; /* malloc'd, terminated */
    bool sent;  /* not answered: the request may have arrived all the same */
    bool timed_out;
    char error[256]; /* not answered: why */
} ctl_answer_t;

/* body NULL: GET, else POST of JSON, or of nothing when it is empty. */
void ctl_exchange(const ctl_options_t *options, const char *path, const char *token, const char *body,
                  ctl_answer_t *answer);

/* ls, stat, verify or dump, of directories on this machine; no node is asked. */
ctl_exit_t ctl_cache(const ctl_options_t *options);
/* What is wrong with the command line of that; NULL: nothing. */
const char *ctl_cache_wrong(const ctl_options_t *options);
extern const char ctl_cache_help[];

/* Says how it went, as text for people or JSON for scripts. */
ctl_exit_t ctl_report(const ctl_options_t *options, const ctl_answer_t *answer);
/* The same for what went wrong on this side. */
__attribute__((format(printf, 4, 5))) ctl_exit_t ctl_complain(bool json, ctl_exit_t exit_code,
                                                              const char *code, const char *format, ...);

#endif
