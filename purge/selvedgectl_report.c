/* What selvedgectl prints, and the exit code that goes with it. JSON goes to standard output whatever
 * happened, so that a script reads one place; text about errors goes to standard error. */
#include "purge/selvedgectl.h"

#include <stdarg.h>

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

static void print_status(json_t *body)
{
    json_int_t used = json_integer_value(json_object_get(body, "memory_bytes"));
    json_int_t limit = json_integer_value(json_object_get(body, "memory_limit_bytes"));
    const char *version = json_string_value(json_object_get(body, "version"));
    printf("version   %s\n", version != NULL ? version : "?");
    printf("pid       %lld\n", json_integer_value(json_object_get(body, "pid")));
    printf("uptime    %lld s\n", json_integer_value(json_object_get(body, "uptime_s")));
    printf("sequence  %lld\n", json_integer_value(json_object_get(body, "sequence")));
    printf("objects   %lld\n", json_integer_value(json_object_get(body, "objects")));
    printf("memory    %.1f of %.1f MiB\n", (double)used / 1048576, (double)limit / 1048576);
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
    return answer->status >= 200 && answer->status < 300 &&
           json_is_string(json_object_get(body, options->command == CTL_STATUS ? "version" : "id"));
}

ctl_exit_t ctl_report(const ctl_options_t *options, const ctl_answer_t *answer)
{
    if (!answer->answered)
        return report_silence(options, answer);
    json_t *body = json_loads(answer->body, JSON_REJECT_DUPLICATES, NULL);
    json_t *error = json_object_get(body, "error");
    ctl_exit_t code;
    if (is_success(options, answer, body))
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
