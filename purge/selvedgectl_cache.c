/* selvedgectl cache: the command, and what it lists and counts. */
#include "purge/selvedgectl_cache.h"

#include "edge/http/date.h"

#include <inttypes.h>
#include <time.h>

const char ctl_cache_help[] =
    "Usage: selvedgectl cache ls --dir DIR...\n"
    "       selvedgectl cache stat --dir DIR...\n"
    "       selvedgectl cache verify --dir DIR...\n"
    "       selvedgectl cache dump KEY --dir DIR...\n"
    "Looks into directories in which a Selvedge node stores responses (disk). Nothing is changed, and no "
    "node "
    "is\n"
    "asked: a copy will do, or the directory of a node that is stopped, or of one that runs.\n"
    "\n"
    "  --dir DIR          The path of a disk; of a node with several disks, each of them.\n"
    "  --state-dir DIR    The node's state directory, whose journal says what was purged. Default: `state` "
    "in "
    "the\n"
    "                     first DIR, where there is one.\n"
    "  --json             Print JSON, for scripts: of ls a line for each.\n"
    "\n"
    "ls                   A line for each response that a node would find: status, bytes, age in seconds, "
    "how "
    "a node\n"
    "                     would treat it (fresh, stale, purged), stamp, kind, site and target. A kind is "
    "`whole`,\n"
    "                     `variant` (Vary), `sparse`, the head of what is kept in pieces, or `piece`.\n"
    "stat                 How many there are, of which kind, and how much room they take.\n"
    "verify               Reads all of it and compares checksums. Ends with 1 when something is damaged.\n"
    "dump KEY             One response as it would be served: status line, fields, an empty line, body. KEY "
    "is a\n"
    "                     URL, or SITE/PATH. What the node's configuration changes in fields is not shown.\n"
    "  --site NAME        Of a URL that several sites have: this one's.\n"
    "  --header FIELD     A field of the request, as 'Accept-Language: de', where the response varies; may "
    "be "
    "given\n"
    "                     several times.\n"
    "\n"
    "Exit codes: 0 done; 1 damaged, not there, or not to be read; 2 wrong usage.\n"
    "\n"
    "Examples:\n"
    "  selvedgectl cache stat --dir /var/cache/selvedge\n"
    "  selvedgectl cache verify --dir /mnt/a/selvedge --dir /mnt/b/selvedge\n"
    "  selvedgectl cache dump https://www.example.com/app.css --dir /var/cache/selvedge\n";

const char *ctl_cache_wrong(const ctl_options_t *options)
{
    static const char *const names[] = {"ls", "stat", "verify", "dump"};
    const char *what = options->url_count > 0 ? options->urls[0] : "";
    bool known = false, dump = strcmp(what, "dump") == 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        known = known || strcmp(what, names[i]) == 0;
    if (!known)
        return "cache is followed by one of ls, stat, verify and dump";
    if (options->url_count != (dump ? 2 : 1))
        return "cache dump takes one key, and ls, stat and verify take none";
    if (options->dir_count == 0)
        return "cache needs --dir DIR, the path of a disk";
    if (options->tag_count > 0 || options->everything || options->soft || options->reason != NULL)
        return "cache takes none of the options of purge";
    return dump || (options->site == NULL && options->header_count == 0)
               ? NULL
               : "--site and --header are for cache dump alone";
}

/* Records. ----------------------------------------------------------------------------------------------- */

int64_t cache_age_ms(const cache_t *cache, const disk_meta_t *meta)
{
    return http_current_age_ms(meta->storing.initial_age_ms, meta->response_time_ms, cache->now_ms);
}

cache_state_t cache_state(const cache_t *cache, const inspect_record_t *record)
{
    const disk_meta_t *meta = record->meta;
    bool stale = meta->storing.no_cache || cache_age_ms(cache, meta) >= meta->storing.lifetime_ms;
    if (cache->ledger == NULL)
        return stale ? CACHE_STALE : CACHE_FRESH;
    ledger_hash_t *tags = must_calloc(meta->tag_count + 1, sizeof *tags);
    disk_meta_tags(meta, tags);
    ledger_subject_t subject = ledger_subject(meta->site, meta->target);
    ledger_judgement_t judgement = ledger_judge_tagged(
        cache->ledger, &subject, (ledger_tags_t){tags, meta->tag_count}, record->record->stamp);
    free(tags);
    if (judgement.verdict == LEDGER_HARD)
        return CACHE_PURGED;
    return stale || judgement.verdict == LEDGER_SOFT ? CACHE_STALE : CACHE_FRESH;
}

const char *cache_kind(const disk_meta_t *meta)
{
    uint64_t first;
    version_id_t whole;
    if (meta->flags & OBJECT_SPARSE)
        return "sparse";
    if (inspect_is_piece(meta, &whole, &first))
        return "piece";
    return meta->has_node ? "variant" : "whole";
}

void cache_print(FILE *out, text_t text)
{
    for (size_t i = 0; i < text.length; i++)
        fputc((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f ? '?' : text.data[i], out);
}

/* ls. ---------------------------------------------------------------------------------------------------- */

static const char *const state_names[] = {
    [CACHE_FRESH] = "fresh", [CACHE_STALE] = "stale", [CACHE_PURGED] = "purged"};

static uint64_t bytes_of(const inspect_record_t *record)
{
    bool sparse = (record->meta->flags & OBJECT_SPARSE) != 0;
    return sparse ? (uint64_t)record->meta->content_length : record->record->body_bytes;
}

static void print_json(json_t *body)
{
    MUST(body != NULL);
    json_dumpf(body, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(body);
}

static json_t *text_or_null(text_t text)
{
    json_t *value = json_stringn(text.data != NULL ? text.data : "", text.length);
    return value != NULL ? value : json_null();
}

static void list_json(const cache_t *cache, const inspect_record_t *record)
{
    const disk_meta_t *meta = record->meta;
    uint64_t first;
    version_id_t whole;
    json_t *line =
        json_pack("{s:o,s:o,s:s,s:i,s:I,s:I,s:I,s:s,s:I,s:i,s:I}", "site", text_or_null(meta->site), "target",
                  text_or_null(meta->target), "kind", cache_kind(meta), "status", meta->status, "bytes",
                  (json_int_t)bytes_of(record), "age_s", (json_int_t)(cache_age_ms(cache, meta) / 1000),
                  "lifetime_s", (json_int_t)(meta->storing.lifetime_ms / 1000), "state",
                  state_names[cache_state(cache, record)], "stamp", (json_int_t)record->record->stamp,
                  "segment", (int)record->segment, "offset", (json_int_t)record->offset);
    MUST(line != NULL);
    if (meta->has_node)
        json_object_set_new(line, "selector", text_or_null(meta->selector));
    if (inspect_is_piece(meta, &whole, &first))
        json_object_set_new(line, "first_byte", json_integer((json_int_t)first));
    print_json(line);
}

static bool list_record(void *context, const inspect_record_t *record)
{
    const cache_t *cache = context;
    const disk_meta_t *meta = record->meta;
    uint64_t first;
    version_id_t whole;
    if (!record->live || record->record->kind != RECORD_OBJECT)
        return true;
    if (cache->options->json) {
        list_json(cache, record);
        return true;
    }
    printf("%6d %12" PRIu64 " %9" PRId64 "  %-6s %10" PRIu64 "  %-7s  ", meta->status, bytes_of(record),
           cache_age_ms(cache, meta) / 1000, state_names[cache_state(cache, record)], record->record->stamp,
           cache_kind(meta));
    cache_print(stdout, meta->site);
    printf("%*s", meta->site.length < 16 ? 16 - (int)meta->site.length : 1, "");
    cache_print(stdout, meta->target);
    if (inspect_is_piece(meta, &whole, &first))
        printf(" from byte %" PRIu64, first);
    putchar('\n');
    return true;
}

static bool warn_of_fault(void *context, const inspect_fault_t *fault)
{
    const cache_t *cache = context;
    if (!cache->options->json)
        fprintf(stderr, "selvedgectl: segment-%05u at %" PRIu64 ": %s\n", fault->segment, fault->offset,
                fault->what);
    return true;
}

static void on_fault(void *context, const inspect_fault_t *fault)
{
    warn_of_fault(context, fault);
}

static ctl_exit_t list(cache_t *cache)
{
    const inspect_visitor_t visitor = {.context = cache, .record = list_record, .fault = on_fault};
    if (!cache->options->json)
        printf("%6s %12s %9s  %-6s %10s  %-7s  %-16s%s\n", "STATUS", "BYTES", "AGE", "STATE", "STAMP", "KIND",
               "SITE", "TARGET");
    for (int i = 0; i < cache->dir_count; i++)
        inspection_walk(cache->dirs[i], &visitor);
    return CTL_DONE;
}

/* stat. -------------------------------------------------------------------------------------------------- */

enum { WHOLE, VARIANT, SPARSE, PIECE, NODE, KINDS };

typedef struct {
    const cache_t *cache;
    uint64_t records[KINDS], bytes[KINDS], states[3];
    uint64_t replaced, buried, faults;
    int64_t oldest_ms, newest_ms; /* of responses; INT64_MAX: there is none */
} census_t;

static int kind_of(const inspect_record_t *record)
{
    const char *name = cache_kind(record->meta);
    if (record->record->kind == RECORD_VARIANTS)
        return NODE;
    return *name == 'w' ? WHOLE : *name == 'v' ? VARIANT : *name == 's' ? SPARSE : PIECE;
}

static bool count_record(void *context, const inspect_record_t *record)
{
    census_t *census = context;
    if (!record->live) {
        census->replaced++;
        return true;
    }
    int kind = kind_of(record);
    census->records[kind]++;
    census->bytes[kind] += record->record->body_bytes;
    if (kind == NODE)
        return true;
    census->states[cache_state(census->cache, record)]++;
    int64_t time_ms = record->meta->response_time_ms;
    if (census->oldest_ms == INT64_MAX || time_ms < census->oldest_ms)
        census->oldest_ms = time_ms;
    if (census->newest_ms == INT64_MAX || time_ms > census->newest_ms)
        census->newest_ms = time_ms;
    return true;
}

static void count_buried(void *context, uint64_t names)
{
    ((census_t *)context)->buried += names;
}

static void count_fault(void *context, const inspect_fault_t *fault)
{
    (void)fault;
    ((census_t *)context)->faults++;
}

static census_t take_census(const cache_t *cache, const inspection_t *inspection)
{
    census_t census = {.cache = cache, .oldest_ms = INT64_MAX, .newest_ms = INT64_MAX};
    const inspect_visitor_t visitor = {
        .context = &census, .record = count_record, .fault = count_fault, .buried = count_buried};
    inspection_walk(inspection, &visitor);
    return census;
}

static const char *const kind_names[KINDS] = {"whole", "variants", "sparse", "pieces", "nodes"};

static void print_moment(const char *label, int64_t time_ms)
{
    char date[HTTP_DATE_LENGTH + 1] = "none";
    if (time_ms != INT64_MAX)
        http_date_format(time_ms, date);
    printf("%-10s %s\n", label, date);
}

static void print_census(const char *path, const inspect_summary_t *summary, const census_t *census)
{
    const directory_t *directory = &summary->directory;
    uint64_t live = 0, bytes = 0;
    for (int i = 0; i < KINDS; i++) {
        live += census->records[i];
        bytes += census->bytes[i];
    }
    printf("directory  %s%s\n", path, summary->in_use ? " (in use)" : "");
    printf("node       %016" PRIx64 "%016" PRIx64 "\n", directory->node[0], directory->node[1]);
    printf("segments   %u of %u, %u sealed, %" PRIu64 " MiB each\n", summary->segments, directory->segments,
           summary->sealed, directory->segment_bytes >> 20);
    printf("files      %" PRIu64 " bytes\n", summary->file_bytes);
    printf("records    %" PRIu64 ", of bodies %" PRIu64 " bytes\n", live, bytes);
    for (int i = 0; i < KINDS; i++)
        printf("  %-8s %" PRIu64 ", %" PRIu64 " bytes\n", kind_names[i], census->records[i],
               census->bytes[i]);
    printf("states     %" PRIu64 " fresh, %" PRIu64 " stale, %" PRIu64 " purged\n",
           census->states[CACHE_FRESH], census->states[CACHE_STALE], census->states[CACHE_PURGED]);
    printf("outdated   %" PRIu64 " records, %" PRIu64 " names taken back\n", census->replaced,
           census->buried);
    printf("damaged    %" PRIu64 "\n", census->faults);
    print_moment("oldest", census->oldest_ms);
    print_moment("newest", census->newest_ms);
}

static json_t *moment_or_null(int64_t time_ms)
{
    return time_ms != INT64_MAX ? json_integer((json_int_t)(time_ms / 1000)) : json_null();
}

static json_t *census_json(const char *path, const inspect_summary_t *summary, const census_t *census)
{
    const directory_t *directory = &summary->directory;
    char node[33];
    snprintf(node, sizeof node, "%016" PRIx64 "%016" PRIx64, directory->node[0], directory->node[1]);
    json_t *kinds = json_object();
    for (int i = 0; i < KINDS; i++)
        json_object_set_new(kinds, kind_names[i],
                            json_pack("{s:I,s:I}", "records", (json_int_t)census->records[i], "bytes",
                                      (json_int_t)census->bytes[i]));
    return json_pack(
        "{s:o,s:b,s:s,s:i,s:i,s:i,s:I,s:I,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "directory",
        text_or_null(text_of(path)), "in_use", (int)summary->in_use, "node", node, "segments",
        (int)summary->segments, "segments_max", (int)directory->segments, "sealed", (int)summary->sealed,
        "segment_bytes", (json_int_t)directory->segment_bytes, "file_bytes", (json_int_t)summary->file_bytes,
        "kinds", kinds, "fresh", (json_int_t)census->states[CACHE_FRESH], "stale",
        (json_int_t)census->states[CACHE_STALE], "purged", (json_int_t)census->states[CACHE_PURGED],
        "outdated", (json_int_t)census->replaced, "taken_back", (json_int_t)census->buried, "damaged",
        (json_int_t)census->faults, "oldest", moment_or_null(census->oldest_ms), "newest",
        moment_or_null(census->newest_ms));
}

static ctl_exit_t count(const cache_t *cache)
{
    for (int i = 0; i < cache->dir_count; i++) {
        inspect_summary_t summary = inspection_summary(cache->dirs[i]);
        census_t census = take_census(cache, cache->dirs[i]);
        if (cache->options->json)
            print_json(census_json(cache->options->dirs[i], &summary, &census));
        else
            print_census(cache->options->dirs[i], &summary, &census);
    }
    return CTL_DONE;
}

/* The command. ------------------------------------------------------------------------------------------- */

/* A node that keeps its state elsewhere has none on its disk: that is no mistake, but has to be said. */
static bool open_state(cache_t *cache, ctl_exit_t *code)
{
    char path[4096], why[INSPECT_ERROR_MAX];
    const ctl_options_t *options = cache->options;
    snprintf(path, sizeof path, "%s/state", options->dirs[0]);
    const char *state = options->state != NULL ? options->state : path;
    cache->ledger = cache_read_ledger(state, why);
    if (cache->ledger != NULL)
        return true;
    if (options->state != NULL) {
        *code = ctl_complain(options->json, CTL_FAILED, "no_journal", "--state-dir %s: %s", state, why);
        return false;
    }
    if (!options->json)
        fprintf(stderr,
                "selvedgectl: %s: %s; what was purged is not known: --state-dir names the node's state "
                "directory\n",
                state, why);
    return true;
}

static bool open_dirs(cache_t *cache, ctl_exit_t *code)
{
    char error[INSPECT_ERROR_MAX];
    const ctl_options_t *options = cache->options;
    for (int i = 0; i < options->dir_count; i++) {
        const char *path = options->dirs[i];
        cache->dirs[i] = inspection_open(path, error);
        if (cache->dirs[i] == NULL) {
            *code = ctl_complain(options->json, CTL_FAILED, "no_directory", "%s %s", path, error);
            return false;
        }
        cache->dir_count++;
        if (inspection_summary(cache->dirs[i]).in_use && !options->json)
            fprintf(stderr, "selvedgectl: %s is in use by a node: what it writes meanwhile may be missing\n",
                    path);
    }
    return true;
}

static ctl_exit_t act(cache_t *cache, const char *what)
{
    ctl_exit_t code;
    if (!open_dirs(cache, &code))
        return code;
    if (strcmp(what, "verify") == 0)
        return cache_verify(cache);
    if (!open_state(cache, &code))
        return code;
    if (strcmp(what, "dump") == 0)
        return cache_dump(cache, cache->options->urls[1]);
    return strcmp(what, "ls") == 0 ? list(cache) : count(cache);
}

ctl_exit_t ctl_cache(const ctl_options_t *options)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    cache_t cache = {.options = options, .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000};
    ctl_exit_t code = act(&cache, options->urls[0]);
    for (int i = 0; i < cache.dir_count; i++)
        inspection_free(&cache.dirs[i]);
    if (cache.ledger != NULL)
        ledger_free(&cache.ledger);
    return code;
}
