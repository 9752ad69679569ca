/* selvedgectl cache verify: everything is read, and every checksum compared. */
#include "purge/selvedgectl_cache.h"

#include <inttypes.h>
#include <unistd.h>

enum { BAR_WIDTH = 40, FAULTS_KEPT = 1000 };

typedef struct {
    const cache_t *cache;
    const char *path; /* of the directory that is read */
    uint64_t records, bytes, faults;
    json_t *told; /* with --json: the first faults */
    int permille; /* that the bar shows; -1: there is none */
    bool has_bar; /* somebody looks on */
} verify_t;

/* --- The bar --- */

static void hide_bar(verify_t *verify)
{
    if (verify->permille >= 0)
        fprintf(stderr, "\r\033[K");
    verify->permille = -1;
}

static void show_progress(void *context, uint64_t bytes, uint64_t all)
{
    verify_t *verify = context;
    int permille = all > 0 ? (int)(bytes * 1000 / all) : 1000;
    if (!verify->has_bar || permille == verify->permille)
        return;
    char bar[BAR_WIDTH + 1];
    int filled = permille * BAR_WIDTH / 1000;
    memset(bar, '#', (size_t)filled);
    memset(bar + filled, ' ', (size_t)(BAR_WIDTH - filled));
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3d %%  %.1f of %.1f MiB", bar, permille / 10, (double)bytes / 1048576,
            (double)all / 1048576);
    verify->permille = permille;
}

/* --- Faults --- */

static json_t *text_or_null(text_t text)
{
    json_t *value = json_stringn(text.data, text.length);
    return value != NULL ? value : json_null();
}

static void keep_fault(verify_t *verify, const inspect_fault_t *fault)
{
    if (json_array_size(verify->told) >= FAULTS_KEPT)
        return;
    json_t *line = json_pack("{s:s,s:i,s:I,s:s}", "directory", verify->path, "segment", (int)fault->segment,
                             "offset", (json_int_t)fault->offset, "what", fault->what);
    MUST(line != NULL);
    if (fault->meta != NULL) {
        json_object_set_new(line, "site", text_or_null(fault->meta->site));
        json_object_set_new(line, "target", text_or_null(fault->meta->target));
    }
    json_array_append_new(verify->told, line);
}

static void on_fault(void *context, const inspect_fault_t *fault)
{
    verify_t *verify = context;
    verify->faults++;
    if (verify->told != NULL) {
        keep_fault(verify, fault);
        return;
    }
    hide_bar(verify);
    printf("%s/segment-%05u at %" PRIu64 ": %s", verify->path, fault->segment, fault->offset, fault->what);
    if (fault->meta != NULL) {
        fputs(": ", stdout);
        cache_print(stdout, fault->meta->site);
        putchar(' ');
        cache_print(stdout, fault->meta->target);
    }
    putchar('\n');
}

static bool on_record(void *context, const inspect_record_t *record)
{
    verify_t *verify = context;
    verify->records++;
    verify->bytes += record->record->body_bytes;
    return true;
}

/* --- The result --- */

static void print_result(const verify_t *verify)
{
    printf("%" PRIu64 " records with %" PRIu64 " bytes of bodies are whole", verify->records, verify->bytes);
    if (verify->faults > 0)
        printf("; %" PRIu64 " fault%s", verify->faults, verify->faults == 1 ? "" : "s");
    putchar('\n');
}

static void print_json_result(verify_t *verify)
{
    json_t *body =
        json_pack("{s:I,s:I,s:I,s:o}", "records", (json_int_t)verify->records, "bytes",
                  (json_int_t)verify->bytes, "faults", (json_int_t)verify->faults, "told", verify->told);
    MUST(body != NULL);
    json_dumpf(body, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(body);
}

ctl_exit_t cache_verify(const cache_t *cache)
{
    bool json = cache->options->json;
    verify_t verify = {.cache = cache,
                       .told = json ? json_array() : NULL,
                       .permille = -1,
                       .has_bar = !json && isatty(STDERR_FILENO) == 1};
    const inspect_visitor_t visitor = {.context = &verify,
                                       .bodies = true,
                                       .record = on_record,
                                       .fault = on_fault,
                                       .progress = show_progress};
    for (int i = 0; i < cache->dir_count; i++) {
        verify.path = cache->options->dirs[i];
        inspection_walk(cache->dirs[i], &visitor);
        hide_bar(&verify);
    }
    if (json)
        print_json_result(&verify);
    else
        print_result(&verify);
    return verify.faults == 0 ? CTL_DONE : CTL_FAILED;
}
