/* What selvedgectl prints, and the exit code that goes with it. JSON goes to standard output whatever
 * happened, so that a script reads one place; text about errors goes to standard error. */
#include "purge/selvedgectl.h"

#include <stdarg.h>
#include <time.h>

ctl_exit_t ctl_complain(bool json, ctl_exit_t exit_code, const char *code, const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!json) {
        fprintf(stderr, "selvedgectl: %s\n", message);
        return exit_code;
    }
    /* A command line may hold any bytes; JSON may not. */
    json_t *text = json_string(message);
    if (text == NULL)
        for (char *at = message; *at != 0; at++)
            *at = (unsigned char)*at < 0x80 ? *at : '?';
    json_decref(text);
    json_t *body = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);
    MUST(body != NULL);
    json_dumpf(body, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(body);
    return exit_code;
}

static ctl_exit_t report_silence(const ctl_options_t *options, const ctl_answer_t *answer)
{
    if (options->command == CTL_PURGE && answer->sent)
        return ctl_complain(
            options->json, CTL_NOT_ACKNOWLEDGED, "not_acknowledged",
            "%s: the purge was sent but not acknowledged (%s); it may or may not be in force: purge again",
            options->admin, answer->error);
    return ctl_complain(options->json, CTL_UNREACHABLE, "unreachable",
                        "%s cannot be reached: %s; is it the node's admin "
                        "listener (--admin or SELVEDGE_ADMIN)?",
                        options->admin, answer->error);
}

static json_int_t number(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void print_disks(json_t *disks)
{
    json_int_t recovering = number(disks, "recovering_segments"), failed = number(disks, "failed_devices");
    if (!json_is_object(disks))
        return;
    printf("disk      %.1f of %.1f MiB, %lld records", (double)number(disks, "bytes") / 1048576,
           (double)number(disks, "limit_bytes") / 1048576, number(disks, "records"));
    if (recovering > 0)
        printf("; %lld segments from before the start are not known yet", recovering);
    if (failed > 0)
        printf("; %lld out of use", failed);
    putchar('\n');
}

static void print_status(json_t *body)
{
    json_int_t used = json_integer_value(json_object_get(body, "memory_bytes"));
    json_int_t limit = json_integer_value(json_object_get(body, "memory_limit_bytes"));
    const char *version = json_string_value(json_object_get(body, "version"));
    const char *node = json_string_value(json_object_get(body, "node"));
    printf("node      %s\n", node != NULL ? node : "?");
    printf("version   %s\n", version != NULL ? version : "?");
    printf("pid       %lld\n", json_integer_value(json_object_get(body, "pid")));
    printf("uptime    %lld s\n", json_integer_value(json_object_get(body, "uptime_s")));
    printf("sequence  %lld\n", json_integer_value(json_object_get(body, "sequence")));
    printf("objects   %lld\n", json_integer_value(json_object_get(body, "objects")));
    printf("memory    %.1f of %.1f MiB\n", (double)used / 1048576, (double)limit / 1048576);
    print_disks(json_object_get(body, "disk"));
    json_t *configuration = json_object_get(body, "configuration");
    const char *loaded = json_string_value(json_object_get(configuration, "loaded"));
    const char *refused = json_string_value(json_object_get(configuration, "last_reload_refused"));
    printf("loaded    %s\n", loaded != NULL ? loaded : "?");
    if (refused != NULL)
        printf("refused   %s: the configuration of before is in force\n", refused);
}

static const char *word(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "?";
}

static const char *moment(json_t *object, const char *name, char text[32])
{
    time_t until = (time_t)number(object, name);
    struct tm utc;
    strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&until, &utc));
    return text;
}

/* Until when it may be used though it is stale. */
static void print_stale(json_t *stored)
{
    static const struct {
        const char *name, *when;
    } windows[] = {{"stale_while_revalidate_until_s", "while the origin is asked"},
                   {"stale_if_error_until_s", "when it fails"}};
    const char *before = "stale      ";
    char text[32];
    for (size_t i = 0; i < 2; i++)
        if (number(stored, windows[i].name) > 0) {
            printf("%s%s: until %s", before, windows[i].when, moment(stored, windows[i].name, text));
            before = "; ";
        }
    printf("%s\n", *before == ';' ? "" : "stale      never used");
}

static void print_tags(json_t *tags)
{
    size_t index;
    json_t *tag;
    json_array_foreach(tags, index, tag)
        printf("%s%s", index == 0 ? "tags       " : " ", json_string_value(tag));
    if (json_array_size(tags) > 0)
        putchar('\n');
}

static void print_trace(json_t *body)
{
    json_t *stored = json_object_get(body, "stored"), *growing = json_object_get(body, "growing");
    json_t *purge = json_object_get(body, "purge"), *pieces = json_object_get(body, "pieces");
    printf("site       %s\nkey        %s\n", word(body, "site"), word(body, "key"));
    if (json_is_string(json_object_get(body, "rule")))
        printf("rule       %s\n", word(body, "rule"));
    printf("treatment  %s: %s\n", word(body, "treatment"), word(body, "why"));
    if (json_is_object(stored)) {
        char text[32];
        printf("stored     status %lld, %lld bytes, %lld s old, fresh until %s (%lld s), purged: %s\n",
               number(stored, "status"), number(stored, "bytes"), number(stored, "age_s"),
               moment(stored, "fresh_until_s", text), number(stored, "fresh_for_s"), word(stored, "purged"));
        print_stale(stored);
    } else {
        printf("stored     no\n");
    }
    if (json_is_true(json_object_get(body, "disk")))
        printf("disk       yes\n");
    if (json_is_object(pieces))
        printf("pieces     %lld of %lld, of %lld bytes in all, fresh for %lld s, purged: %s\n",
               number(pieces, "stored"), number(pieces, "of"), number(pieces, "length"),
               number(pieces, "fresh_for_s"), word(pieces, "purged"));
    if (json_is_object(growing))
        printf("fetching   %lld bytes so far\n", number(growing, "bytes"));
    printf("variants   %lld\n", number(body, "variants"));
    if (number(body, "hit_for_miss_s") > 0)
        printf("marked     not to be shared, for %lld s more\n", number(body, "hit_for_miss_s"));
    print_tags(json_object_get(body, "tags"));
    if (json_is_object(purge)) {
        const char *tag = json_string_value(json_object_get(purge, "tag"));
        printf("purge      %s%s%s, %s, sequence %lld\n", word(purge, "rule"), tag != NULL ? " " : "",
               tag != NULL ? tag : "", word(purge, "mode"), number(purge, "sequence"));
    }
}

static void print_list(FILE *out, const char *label, json_t *list)
{
    size_t index;
    json_t *text;
    json_array_foreach(list, index, text)
        fprintf(out, "%s%s\n", label, json_is_string(text) ? json_string_value(text) : "?");
}

static ctl_exit_t report_reload(const ctl_options_t *options, json_t *body)
{
    bool in_force = json_is_true(json_object_get(body, "in_force"));
    if (options->json) {
        json_dumpf(body, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (in_force) {
        puts("reloaded: the new configuration is in force");
        print_list(stdout, "changed          ", json_object_get(body, "changed"));
        print_list(stdout, "needs a restart  ", json_object_get(body, "needs_restart"));
    } else {
        print_list(stderr, "selvedgectl: ", json_object_get(body, "mistakes"));
        fputs("selvedgectl: not reloaded: the configuration before stays in force\n", stderr);
    }
    return in_force ? CTL_DONE : CTL_FAILED;
}

static ctl_exit_t report_success(const ctl_options_t *options, const ctl_answer_t *answer, json_t *body)
{
    bool applied = json_is_true(json_object_get(body, "applied_here"));
    if (options->command == CTL_PURGE && (answer->status == 202 || !applied))
        return ctl_complain(options->json, CTL_NOT_ACKNOWLEDGED, "not_acknowledged",
                            "the node took the purge but does not say that it is in force");
    if (options->json) {
        json_dumpf(body, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (options->command == CTL_STATUS) {
        print_status(body);
    } else if (options->command == CTL_TRACE) {
        print_trace(body);
    } else {
        const char *id = json_string_value(json_object_get(body, "id"));
        printf("purged: sequence %lld, id %s\n", json_integer_value(json_object_get(body, "sequence")),
               id != NULL ? id : "?");
    }
    return CTL_DONE;
}

static ctl_exit_t report_error(const ctl_options_t *options, const ctl_answer_t *answer, json_t *error)
{
    ctl_exit_t code = answer->status >= 400 && answer->status < 500 ? CTL_REFUSED : CTL_FAILED;
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *field = json_string_value(json_object_get(error, "field"));
    if (options->json) {
        json_t *body = json_pack("{s:O}", "error", error);
        json_dumpf(body, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(body);
        return code;
    }
    fprintf(stderr, "selvedgectl: %s: %s", code == CTL_REFUSED ? "refused" : "failed",
            message != NULL ? message : "no reason");
    if (field != NULL && (message == NULL || strstr(message, field) == NULL))
        fprintf(stderr, " (%s)", field);
    fprintf(stderr, " [%ld]\n", answer->status);
    return code;
}

/* Anything may listen at a wrong address and say 200. */
static bool is_success(const ctl_options_t *options, const ctl_answer_t *answer, json_t *body)
{
    static const char *const told[] = {
        [CTL_PURGE] = "id", [CTL_STATUS] = "version", [CTL_TRACE] = "treatment", [CTL_RELOAD] = "in_force"};
    return answer->status >= 200 && answer->status < 300 &&
           json_is_string(json_object_get(body, told[options->command]));
}

ctl_exit_t ctl_report(const ctl_options_t *options, const ctl_answer_t *answer)
{
    if (!answer->answered)
        return report_silence(options, answer);
    json_t *body = json_loads(answer->body, JSON_REJECT_DUPLICATES, NULL);
    json_t *error = json_object_get(body, "error");
    ctl_exit_t code;
    if (options->command == CTL_RELOAD && json_is_boolean(json_object_get(body, "in_force")))
        code = report_reload(options, body);
    else if (is_success(options, answer, body))
        code = report_success(options, answer, body);
    else if (json_is_object(error))
        code = report_error(options, answer, error);
    else
        code = ctl_complain(
            options->json, CTL_FAILED, "bad_answer",
            "%s answers with status %ld, but not as a Selvedge node does; is it the admin listener?",
            options->admin, answer->status);
    json_decref(body);
    return code;
}
