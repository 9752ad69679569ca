/* What may be served, by the story alone: which bytes the origin made when, which purges were acknowledged
 * when. Times are moments (schedule_moment): each is later than what happened before it, whatever the clock
 * says. */
#include "edge/cache/head.h"
#include "tests/sim/referee_disk.h"
#include "tests/sim/world.h"

typedef unsigned long long number_t;

/* By what is known before there is a head. */
static bool matches_key(const ledger_rule_t *rule, unsigned url)
{
    if (rule->kind == RULE_EVERYTHING)
        return true;
    if (rule->kind == RULE_TAG || !text_equal(rule->site, site_name(world.urls[url].site)))
        return false;
    return rule->kind == RULE_SITE || text_equal(rule->target, url_target(url));
}

static bool matches_tag(const ledger_rule_t *rule, unsigned url, unsigned tags)
{
    char buffer[24];
    unsigned site = world.urls[url].site;
    if (rule->kind != RULE_TAG || !text_equal(rule->site, site_name(site)))
        return false;
    for (unsigned tag = 0; tag < TAGS; tag++)
        if ((tags & (1u << tag)) && text_equal(rule->target, tag_name(tag)))
            return true;
    return site == SITE_OF_PATH_TAGS && text_equal(rule->target, path_tag(url, buffer));
}

static bool matches(const ledger_rule_t *rule, const answer_t *answer)
{
    return matches_key(rule, answer->url) || matches_tag(rule, answer->url, answer->tags);
}

/* A purge acknowledged before this request came, or looked again, whose rule matches what is known of the
 * answer, and which came into force after `moment`; a hard one only, or any. answer NULL: nothing is. */
static const purge_t *purged_since(const exchange_t *exchange, uint64_t moment, const answer_t *answer,
                                   bool hard_only)
{
    uint64_t chosen = exchange->looked != 0 ? exchange->looked : exchange->arrived;
    for (size_t i = world.purges.count; i-- > 0;) {
        const purge_t *purge = world.purges.at[i];
        if (purge->acknowledged == 0 || purge->acknowledged > chosen || purge->published < moment ||
            purge->lost)
            continue;
        for (size_t j = 0; j < purge->super.rule_count; j++)
            if ((!hard_only || !purge->rules[j].soft) &&
                (matches_key(&purge->rules[j], exchange->url) ||
                 (answer != NULL && matches_tag(&purge->rules[j], exchange->url, answer->tags))))
                return purge;
    }
    return NULL;
}

/* --- The walk --- */

void referee_joined(const exchange_t *exchange, const object_t *object)
{
    const transfer_t *transfer = transfer_of(object);
    const purge_t *purge = purged_since(exchange, transfer->created, NULL, false);
    if (purge != NULL)
        note_violation(
            "request %d joined fill %d, which purge %llu had made unjoinable before the request came",
            exchange->id, transfer->id, (number_t)purge->sequence);
}

/* A rule that was in force before the walk began is within the fill's stamp; and whatever is within the stamp
 * counts as over when the fill began, so it must have been asked of what the fill is based on. */
void referee_base(const transfer_t *transfer)
{
    if (transfer->base == NULL)
        return;
    const answer_t *said = transfer->base_answer;
    uint64_t stamp = object_stamp(fill_object(transfer->fill));
    for (size_t i = world.purges.count; i-- > 0;) {
        const purge_t *purge = world.purges.at[i];
        bool before = purge->acknowledged < transfer->walk_began || purge->sequence <= stamp;
        if (purge->acknowledged == 0 || !before || purge->lost || purge->published < transfer->base->sent)
            continue;
        for (size_t j = 0; j < purge->super.rule_count; j++)
            if (!purge->rules[j].soft &&
                (matches_key(&purge->rules[j], said->url) ||
                 (purge->published >= said->sent && matches_tag(&purge->rules[j], said->url, said->tags))))
                note_violation("fill %d asks about answer %u, which purge %llu had hard-purged", transfer->id,
                               transfer->base->id, (number_t)purge->sequence);
    }
}

/* May another fill begin beside this one, which asks the origin about the same? When an unsafe method or a
 * purge came after its stamp was read; not all of them are known here yet, and one of anything may have
 * others folded. */
static bool is_overtaken(const transfer_t *transfer, unsigned url)
{
    for (size_t i = 0; i < world.purges.count; i++) {
        const purge_t *purge = world.purges.at[i];
        if (!purge->answered || purge->published >= transfer->walk_began)
            return true;
    }
    for (size_t i = 0; i < world.transfers.count; i++) {
        const transfer_t *other = world.transfers.at[i];
        const exchange_t *owner = world.exchanges.at[other->owner];
        if (owner->url == url && !owner->is_get &&
            (other->fill != NULL || other->ended > transfer->walk_began))
            return true;
    }
    return false;
}

/* Who is answered with something stale starts a fill only where none is asking. */
void referee_begun(const transfer_t *transfer)
{
    unsigned url = ((const exchange_t *)world.exchanges.at[transfer->owner])->url;
    /* By now another may have taken its place. */
    if (!transfer->background || is_overtaken(transfer, url))
        return;
    const void *home = object_home(fill_object(transfer->fill));
    for (size_t i = 0; i < world.transfers.count; i++) {
        const transfer_t *other = world.transfers.at[i];
        bool asks = other != transfer && other->fill != NULL && other->indexed && !other->answered &&
                    other->failed_ms == 0; /* while it fails, it may have left the index */
        if (!asks || object_home(fill_object(other->fill)) != home || is_overtaken(other, url))
            continue;
        note_violation("fill %d began in the background while fill %d was asking", transfer->id, other->id);
    }
}

/* It waited for a fill in which something went wrong. */
void referee_on_error(const exchange_t *exchange)
{
    const transfer_t *transfer = transfer_of(exchange->reader.object);
    bool answered = transfer->answer != NULL && transfer->answer->status >= 500;
    if (!transfer->faulted && transfer->failed_ms == 0 && !answered)
        note_violation("request %d takes fill %d for one that failed", exchange->id, transfer->id);
}

/* --- The head --- */

const answer_t *referee_answer_of(const head_t *head)
{
    const http_field_t *field = http_fields_find(head->fields, TEXT("x-answer"));
    if (field == NULL)
        note_violation("a head without the origin's own field");
    unsigned id = 0;
    for (size_t i = 0; i < field->value.length; i++)
        id = id * 10 + (unsigned)(field->value.data[i] - '0');
    MUST(id < world.answers.count);
    return world.answers.at[id];
}

/* An answer that was made before an unsafe method changed things, for a request that came after the node
 * knew; but what an end of the node's life left no time to bury may come back. */
static const answer_t *invalidated_since(const exchange_t *exchange, const answer_t *answer)
{
    for (size_t i = world.answers.count; i-- > 0;) {
        const answer_t *unsafe = world.answers.at[i];
        bool came_back = unsafe->life != world.lives && referee_came_back(answer->id);
        if (unsafe->invalidated != 0 && unsafe->invalidated < exchange->arrived &&
            unsafe->url == exchange->url && answer->made < unsafe->made && !came_back)
            return unsafe;
    }
    return NULL;
}

static void check_variant(const exchange_t *exchange, const answer_t *answer)
{
    if (answer->url != exchange->url)
        note_violation("request %d for URL %u got answer %u of URL %u", exchange->id, exchange->url,
                       answer->id, answer->url);
    if (!exchange->is_get)
        return;
    if (((answer->vary & VARY_LANGUAGE) && answer->language != exchange->language) ||
        ((answer->vary & VARY_ORIGIN) && answer->from != exchange->from))
        note_violation("request %d got answer %u, another variant", exchange->id, answer->id);
}

static void check_sharing(const exchange_t *exchange, const answer_t *answer)
{
    if (answer->owner_only && answer->owner != exchange->id)
        note_violation("request %d got answer %u, which is for request %d alone", exchange->id, answer->id,
                       answer->owner);
}

static bool is_used_stale(const exchange_t *exchange)
{
    return exchange->kind == WALK_HIT && exchange->use != HTTP_FRESH;
}

/* Since when the earliest soft purge has made it stale that was acknowledged before the request came. */
static int64_t since_purge_ms(const exchange_t *exchange, const answer_t *answer)
{
    int64_t since_ms = INT64_MIN;
    for (size_t i = 0; i < world.purges.count; i++) {
        const purge_t *purge = world.purges.at[i];
        if (purge->acknowledged == 0 || purge->acknowledged > exchange->arrived ||
            purge->published < answer->sent || purge->lost)
            continue;
        for (size_t j = 0; j < purge->super.rule_count; j++) {
            const ledger_rule_t *rule = &purge->rules[j];
            if (matches(rule, answer) && exchange->walk_ms - rule->time_ms > since_ms)
                since_ms = exchange->walk_ms - rule->time_ms;
        }
    }
    return since_ms;
}

/* With an error: that may be for what one request says, and is no reason for others not to ask. */
static bool is_answered_with_error(const transfer_t *transfer)
{
    return transfer->answered && transfer->answer->status >= 500;
}

/* Is the origin known to fail for this URL? A second's rest after the first failure since this answer, and
 * twice as long after each more, up to 30 s; for twice that it is known, if it did not answer. */
static bool is_known_to_fail(const exchange_t *exchange, const answer_t *answer)
{
    int64_t last_ms = 0, rest_ms = 500;
    for (size_t i = 0; i < world.transfers.count; i++) {
        const transfer_t *transfer = world.transfers.at[i];
        const exchange_t *owner = world.exchanges.at[transfer->owner];
        if (transfer->failed_ms == 0 || owner->url != exchange->url || transfer->failed_ms < answer->made_ms)
            continue;
        if (transfer->failed_ms > last_ms && !is_answered_with_error(transfer))
            last_ms = transfer->failed_ms;
        rest_ms = 2 * rest_ms < 30000 ? 2 * rest_ms : 30000;
    }
    return last_ms != 0 && exchange->walk_ms - last_ms < 2 * rest_ms;
}

/* Not at all, or not any more when it looked. */
static bool is_never_hit(const exchange_t *exchange, const answer_t *answer)
{
    return answer->never_hit || (answer->forbidden != 0 && exchange->walked > answer->forbidden);
}

/* RFC 5861, RFC 9111 section 4.2.4. */
static void check_stale(const exchange_t *exchange, const answer_t *answer, int64_t age_ms)
{
    int64_t stale_ms = age_ms - answer->lifetime_ms, since_ms = since_purge_ms(exchange, answer);
    bool if_error = exchange->use == HTTP_IF_ERROR;
    int64_t window_ms = if_error ? answer->stale.if_error_ms : answer->stale.while_revalidate_ms;
    stale_ms = since_ms > stale_ms ? since_ms : stale_ms;
    if (is_never_hit(exchange, answer) || stale_ms >= window_ms)
        note_violation("request %d got answer %u, stale for %lld ms of %lld ms", exchange->id, answer->id,
                       (long long)stale_ms, (long long)window_ms);
    if (if_error && !exchange->on_error && !is_known_to_fail(exchange, answer))
        note_violation("request %d got the stale answer %u, and the origin had not failed", exchange->id,
                       answer->id);
}

static void check_fresh(const exchange_t *exchange, const answer_t *answer)
{
    if (exchange->kind != WALK_HIT)
        return;
    int64_t age_ms = exchange->walk_ms - answer->made_ms + answer->age_s * 1000;
    if (exchange->use != HTTP_FRESH)
        check_stale(exchange, answer, age_ms);
    else if (is_never_hit(exchange, answer) || age_ms >= answer->lifetime_ms)
        note_violation("request %d hit answer %u at age %lld ms of %lld ms", exchange->id, answer->id,
                       (long long)age_ms, (long long)answer->lifetime_ms);
}

static void check_rules(const exchange_t *exchange, const answer_t *answer)
{
    const purge_t *purge = purged_since(exchange, answer->sent, answer, is_used_stale(exchange));
    if (purge != NULL)
        note_violation(
            "request %d got answer %u, asked for before purge %llu, acknowledged before the request",
            exchange->id, answer->id, (number_t)purge->sequence);
    const answer_t *unsafe = invalidated_since(exchange, answer);
    if (unsafe != NULL && unsafe != answer)
        note_violation("request %d got answer %u, which answer %u to an unsafe method had invalidated",
                       exchange->id, answer->id, unsafe->id);
}

void referee_head(exchange_t *exchange)
{
    const head_t *head = object_head(exchange->reader.object);
    const answer_t *answer = referee_answer_of(head);
    exchange->answer = answer;
    check_variant(exchange, answer);
    check_sharing(exchange, answer);
    check_fresh(exchange, answer);
    check_rules(exchange, answer);
    int status = answer->partial ? 200 : answer->status; /* a 206 speaks of a 200 */
    if (head->status != status)
        note_violation("request %d got status %d instead of %d", exchange->id, head->status, status);
    if (head->content_length >= 0 && (uint64_t)head->content_length != answer->whole)
        note_violation("request %d got length %lld instead of %llu", exchange->id,
                       (long long)head->content_length, (number_t)answer->whole);
}

/* --- The body --- */

/* What had a tag when that was purged is not brought back by an answer that takes the tag away: that was made
 * after the purge. */
static void check_tags_before(const exchange_t *exchange, const answer_t *answer)
{
    for (; answer->before != NULL; answer = answer->before) {
        const answer_t *before = answer->before;
        const purge_t *purge = purged_since(exchange, before->sent, before, true);
        if (purge != NULL && purge->acknowledged < answer->made)
            note_violation("request %d got what purge %llu had hard-purged by a tag of answer %u, confirmed "
                           "by answer %u",
                           exchange->id, (number_t)purge->sequence, before->id, answer->id);
    }
}

/* What a 304 confirmed must be the same representation, and not hard-purged since it was made. */
static void check_confirmed(const exchange_t *exchange, const answer_t *content)
{
    const answer_t *answer = exchange->answer;
    bool same = exchange->in_pieces && strcmp(content->etag, answer->etag) == 0;
    if (!answer->not_modified && !same)
        note_violation("request %d got the head of answer %u and bytes of answer %u", exchange->id,
                       answer->id, content->id);
    if (content->generation != answer->generation ||
        (answer->etag[0] != 0 && content->etag[0] != 0 && strcmp(content->etag, answer->etag) != 0 &&
         content->vary == answer->vary))
        note_violation("request %d got bytes of answer %u, which answer %u had not confirmed", exchange->id,
                       content->id, answer->id);
    const purge_t *purge = purged_since(exchange, content->sent, exchange->in_pieces ? content : NULL, true);
    if (purge != NULL)
        note_violation(
            "request %d got bytes of answer %u, hard-purged by purge %llu and confirmed again by %u",
            exchange->id, content->id, (number_t)purge->sequence, answer->id);
    check_tags_before(exchange, answer);
}

static void find_content(exchange_t *exchange)
{
    const body_span_t *span = &exchange->span;
    exchange->content = content_of(exchange->url, exchange->span_offset, span->bytes, span->length);
    if (exchange->content == NULL)
        note_violation("request %d got bytes that the origin never sent for this URL", exchange->id);
    if (exchange->content != exchange->answer) {
        check_confirmed(exchange, exchange->content);
        check_variant(exchange, exchange->content);
    }
}

void referee_bytes(exchange_t *exchange)
{
    const body_span_t *span = &exchange->span;
    if (span->length < 8 && exchange->content == NULL)
        return; /* too few to tell whose they are */
    if (exchange->content == NULL)
        find_content(exchange);
    size_t right = content_check(exchange->content, exchange->span_offset, span->bytes, span->length);
    if (right != span->length)
        note_violation("request %d: byte %llu is not that of answer %u", exchange->id,
                       (number_t)(exchange->span_offset + right), exchange->content->id);
    if (exchange->span_offset + span->length > exchange->answer->whole)
        note_violation("request %d got more bytes than answer %u has", exchange->id, exchange->answer->id);
}

void referee_end(const exchange_t *exchange)
{
    note_count(NOTE_COMPLETE);
    uint64_t at = exchange->in_pieces ? exchange->at : exchange->reader.offset;
    uint64_t end = exchange->end != UINT64_MAX ? exchange->end : exchange->answer->whole;
    if (at != end)
        note_violation("request %d: %llu of %llu bytes passed as complete", exchange->id, (number_t)at,
                       (number_t)end);
}

static bool says(const answer_t *answer, const char *name, const char *value)
{
    const http_field_t *field =
        http_fields_find((http_fields_t){answer->fields, answer->field_count}, text_of(name));
    return field != NULL && text_equal(field->value, text_of(value));
}

/* RFC 9110 section 13.1.5: only of what has a strong validator, of one who takes ranges. Twice at most, and
 * not again when nothing came of it. */
void referee_asks_on(const transfer_t *transfer)
{
    const answer_t *answer = transfer->answer;
    bool strong = answer->etag[0] == '"' && says(answer, "etag", answer->etag);
    bool whole =
        answer->status == 200 && says(answer, "accept-ranges", "bytes") && answer->framing == FRAMING_LENGTH;
    if (!strong || !(whole || transfer->for_piece))
        note_violation("fill %d asks for the rest of answer %u, which has none", transfer->id, answer->id);
    bool fruitless = transfer->rests > 0 && transfer->offset == transfer->rest_at;
    if (transfer->rests >= 2 || fruitless)
        note_violation("fill %d asks for the rest once more, after %u times", transfer->id, transfer->rests);
}

/* It has to be the very bytes that are missing, and is to be taken then. */
void referee_rest(const transfer_t *transfer, bool taken)
{
    const answer_t *answer = transfer->answer, *rest = transfer->rest;
    uint64_t end = answer->first + (transfer->rest_end > 0 ? transfer->rest_end : answer->length);
    bool right = rest->partial && rest->bytes_of == answer->bytes_of && rest->whole == answer->whole &&
                 says(rest, "etag", answer->etag) && rest->first == answer->first + transfer->offset &&
                 rest->first + rest->length == end && rest->framing != FRAMING_CLOSE;
    if (taken != right)
        note_violation("fill %d %s answer %u for the rest of answer %u", transfer->id,
                       taken ? "takes" : "does not take", rest->id, answer->id);
}

/* A part of the very version was sent: then there is something that forbids to store it by now. */
void referee_refused(const transfer_t *transfer)
{
    const answer_t *answer = transfer->answer;
    note_count(NOTE_VERSION_ENDED);
    bool same = says(answer, "etag", transfer->base_answer->etag);
    bool may = !answer->partial || !same || answer->owner_only || answer->never_hit || answer->vary != 0 ||
               says(answer, "set-cookie", "a=b");
    for (size_t i = 0; i < world.answers.count && !may; i++) {
        const answer_t *unsafe = world.answers.at[i];
        may = unsafe->url == answer->url && unsafe->invalidated >= transfer->created;
    }
    object_failure_t failure = object_failure(fill_object(transfer->fill));
    if (!may && !text_equal(text_of(failure.detail), TEXT("memory")))
        note_violation("fill %d refused a piece for no reason", transfer->id);
}

void referee_failed(const exchange_t *exchange, const object_t *object)
{
    const transfer_t *transfer = transfer_filling(object);
    object_failure_t failure = object_failure(object);
    bool no_memory = text_equal(text_of(failure.detail), TEXT("memory"));
    if (no_memory)
        note_count(NOTE_NO_MEMORY);
    bool refused =
        transfer->for_piece && (text_equal(text_of(failure.detail), text_of(fill_version_ended.detail)) ||
                                text_equal(text_of(failure.detail), text_of(fill_no_ranges.detail)));
    bool in_trouble = transfer->for_piece && transfer->answer != NULL && transfer->answer->status >= 500;
    if (!transfer->faulted && !no_memory && !refused && !in_trouble)
        note_violation("request %d failed with fill %d, which had no cause to", exchange->id, transfer->id);
}

/* Bodies take nothing that was not reserved within the limit. What may be over it is what each request that
 * is under way brings with it: an object, its home, its head. */
void referee_memory(void)
{
    enum { OF_EACH = 4096 };
    uint64_t under_way = 1;
    for (size_t i = 0; i < world.transfers.count; i++)
        under_way += ((const transfer_t *)world.transfers.at[i])->fill != NULL;
    for (size_t i = 0; i < world.exchanges.count; i++) {
        const exchange_t *exchange = world.exchanges.at[i];
        under_way += exchange->reader.object != NULL;
        under_way += exchange->piece.object != NULL;
    }
    uint64_t bytes = memory_bytes(world.node.memory), most = world.memory_limit + under_way * OF_EACH;
    if (bytes > most)
        note_violation("%llu bytes are held, and %llu allowed", (number_t)bytes, (number_t)most);
}

/* --- The ledger --- */

/* Each is new, also after those of rules that failed or were cut off with a torn tail. */
void referee_handed_out(uint64_t sequence)
{
    if (sequence <= world.highest_handed_out)
        note_violation("sequence %llu was handed out again", (number_t)sequence);
    world.highest_handed_out = sequence;
}

void referee_acknowledged(purge_t *purge)
{
    uint64_t first = purge->rules[0].sequence;
    for (size_t i = 0; i < purge->super.rule_count; i++)
        if (purge->rules[i].sequence != first + i)
            note_violation("the sequences of purge %llu have a gap", (number_t)purge->sequence);
    if (ledger_sequence(world.node.ledger) < purge->sequence)
        note_violation("purge %llu was acknowledged before its sequence was published",
                       (number_t)purge->sequence);
}

/* Whatever was stamped before an acknowledged rule is judged by it, through restarts and folding. */
static void check_rule(const ledger_rule_t *rule)
{
    text_t site = rule->kind == RULE_EVERYTHING ? site_name(0) : rule->site;
    text_t target = rule->kind == RULE_URL ? rule->target : TEXT("/any");
    ledger_subject_t subject = ledger_subject(site, target);
    ledger_hash_t tag = ledger_tag(site, rule->target);
    ledger_tags_t tags = {&tag, rule->kind == RULE_TAG};
    ledger_judgement_t judgement = ledger_judge_tagged(world.node.ledger, &subject, tags, rule->sequence - 1);
    bool late = judgement.verdict == LEDGER_SOFT && judgement.stale_since_ms > rule->time_ms;
    if (judgement.verdict == LEDGER_VALID || late || (!rule->soft && judgement.verdict != LEDGER_HARD))
        note_violation("rule %llu was acknowledged and is not in force", (number_t)rule->sequence);
}

void referee_rules_in_force(void)
{
    for (size_t i = 0; i < world.purges.count; i++) {
        const purge_t *purge = world.purges.at[i];
        for (size_t j = 0; purge->acknowledged != 0 && !purge->lost && j < purge->super.rule_count; j++)
            check_rule(&purge->rules[j]);
    }
}
