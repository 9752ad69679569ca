#include "edge/limits/watch.h"

static void enter_phase(watch_t *watch, const client_look_t *look, int64_t now_ms)
{
    /* Between two looks a connection may have been busy, and be at rest, or within a head, again. */
    bool alike = watch->request == look->request || look->phase == CLIENT_WORKING;
    bool same = watch->begun && watch->phase == look->phase && alike;
    bool carried = watch->begun && watch->phase == CLIENT_NEW && look->phase == CLIENT_HEAD;
    if (!same && !carried)
        watch->since_ms = now_ms;
    watch->begun = true;
    watch->phase = look->phase;
    watch->request = look->request;
}

/* Each span that begins ends with enough bytes, or with the connection. */
static bool falls_short(pace_t *pace, bool owed, uint64_t bytes, int64_t span_ms, int64_t now_ms)
{
    uint64_t enough = (uint64_t)span_ms * WATCH_BYTES_PER_SECOND / 1000;
    if (!owed || !pace->owed || bytes - pace->bytes >= enough)
        *pace = (pace_t){owed, now_ms, bytes};
    return owed && now_ms - pace->since_ms >= span_ms;
}

static cut_t judge_phase(const watch_t *watch, const watch_limits_t *limits, int64_t now_ms)
{
    int64_t lasted_ms = now_ms - watch->since_ms;
    switch (watch->phase) {
    case CLIENT_NEW:
    case CLIENT_HEAD:
        return lasted_ms >= limits->header_ms ? CUT_HEADER : CUTS;
    case CLIENT_IDLE:
        return lasted_ms >= limits->idle_ms ? CUT_IDLE : CUTS;
    case CLIENT_CLOSING:
        return lasted_ms >= limits->stall_ms ? CUT_STALL : CUTS;
    case CLIENT_WORKING:
        break;
    }
    return CUTS;
}

cut_t watch_judge(watch_t *watch, const client_look_t *look, const watch_limits_t *limits, int64_t now_ms)
{
    enter_phase(watch, look, now_ms);
    bool takes_too_little =
        falls_short(&watch->taking, look->owes_taking, look->taken_bytes, limits->stall_ms, now_ms);
    bool gives_too_little =
        falls_short(&watch->giving, look->owes_giving, look->given_bytes, limits->stall_ms, now_ms);
    cut_t cut = judge_phase(watch, limits, now_ms);
    return cut == CUTS && (takes_too_little || gives_too_little) ? CUT_STALL : cut;
}
