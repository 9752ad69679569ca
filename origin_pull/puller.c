#include "origin_pull/puller.h"

#include <pthread.h>

#include "edge/observe/counters.h"
#include "origin_pull/transfer.h"

enum { POLL_MS = HEARTBEAT_TICK_MS, HOST_CONNECTIONS_MAX = 256, IDLE_CONNECTIONS_MAX = 128 };

struct puller {
    puller_config_t config;
    CURLM *multi;
    pthread_t thread;
    /* The puller's thread. */
    transfer_t *running;
    /* Under the lock. */
    pthread_mutex_t lock;
    transfer_t *inbox, **inbox_end;
    bool stopping;
};

static const object_failure_t shutting_down = {503, "shutting_down"};

/* --- Any thread --- */

static void wake(puller_t *puller)
{
    MUST(curl_multi_wakeup(puller->multi) == CURLM_OK);
}

/* anew: for the first time, until which it is taken for queued. False: the puller is stopping, and takes no
 * more messages. */
static bool post(transfer_t *transfer, bool anew)
{
    puller_t *puller = transfer->puller;
    pthread_mutex_lock(&puller->lock);
    bool stopping = puller->stopping, first = puller->inbox == NULL;
    if (!stopping && (anew || !transfer->queued)) {
        transfer->queued = true;
        transfer->inbox_next = NULL;
        *puller->inbox_end = transfer;
        puller->inbox_end = &transfer->inbox_next;
    }
    pthread_mutex_unlock(&puller->lock);
    if (first && !stopping)
        wake(puller);
    return !stopping;
}

static void on_notify(object_filler_t *filler, unsigned events)
{
    transfer_t *transfer = CONTAINER_OF(filler, transfer_t, filler);
    atomic_fetch_or_explicit(&transfer->events, events, memory_order_relaxed);
    post(transfer, false);
}

static void finish(puller_t *puller, transfer_t *transfer);

static void count_resumed(fill_resumed_t what)
{
    static const resume_result_t results[] = {[FILL_RESUME_COMPLETED] = RESUME_COMPLETED,
                                              [FILL_RESUME_REFUSED] = RESUME_REFUSED,
                                              [FILL_RESUME_BROKEN] = RESUME_BROKEN};
    if (what != FILL_NOT_RESUMED)
        count_resume(results[what]);
}

void puller_submit(puller_t *puller, fill_t **fill, configuration_t *configuration,
                   const settings_site_t *site)
{
    transfer_t *transfer = transfer_new(puller, &puller->config, fill);
    transfer->configuration = configuration_ref(configuration);
    transfer->site = site;
    gauge_add(GAUGE_FILLS, 1);
    transfer->filler.notify = on_notify;
    /* Its first stay in the inbox is what starts it; a reader may already have left by then. One who leaves
     * from here on must not put it there first: it could be over before this is done with it. */
    transfer->queued = true;
    object_set_filler(fill_object(transfer->fill), &transfer->filler);
    if (object_unread(fill_object(transfer->fill)))
        atomic_fetch_or_explicit(&transfer->events, FILLER_ABANDONED, memory_order_relaxed);
    if (post(transfer, true))
        return;
    fill_fail(transfer->fill, shutting_down);
    finish(puller, transfer);
}

/* --- The puller's thread --- */

static void unlink_running(transfer_t *transfer)
{
    if (transfer->link == NULL)
        return;
    *transfer->link = transfer->next;
    if (transfer->next != NULL)
        transfer->next->link = transfer->link;
    transfer->link = NULL;
}

static void link_running(puller_t *puller, transfer_t *transfer)
{
    transfer->next = puller->running;
    transfer->link = &puller->running;
    if (puller->running != NULL)
        puller->running->link = &transfer->next;
    puller->running = transfer;
}

/* An ended object notifies no more, but a message of before may still wait. */
static void take_from_inbox(puller_t *puller, transfer_t *transfer)
{
    pthread_mutex_lock(&puller->lock);
    for (transfer_t **at = &puller->inbox; transfer->queued && *at != NULL; at = &(*at)->inbox_next)
        if (*at == transfer) {
            *at = transfer->inbox_next;
            if (puller->inbox_end == &transfer->inbox_next)
                puller->inbox_end = at;
            transfer->queued = false;
            break;
        }
    pthread_mutex_unlock(&puller->lock);
}

static void detach(puller_t *puller, transfer_t *transfer)
{
    if (transfer->easy != NULL)
        curl_multi_remove_handle(puller->multi, transfer->easy);
}

/* The fill has ended. On the puller's thread, unless it never had the transfer. */
static void finish(puller_t *puller, transfer_t *transfer)
{
    MUST(fill_ended(transfer->fill));
    detach(puller, transfer);
    unlink_running(transfer);
    take_from_inbox(puller, transfer);
    if (fill_in_vain(transfer->fill))
        count_failed_revalidation(fill_site(transfer->fill));
    count_resumed(fill_resumed(transfer->fill));
    transfer_free(&transfer);
    gauge_add(GAUGE_FILLS, -1);
}

static void begin(puller_t *puller, transfer_t *transfer)
{
    const char *failure = transfer_prepare(transfer, monotonic_now_ms());
    if (failure == NULL && curl_multi_add_handle(puller->multi, transfer->easy) != CURLM_OK) {
        failure = "proxy_internal_error";
        transfer_reset(transfer);
    }
    if (failure != NULL) {
        fill_fail(transfer->fill, (object_failure_t){503, failure});
        finish(puller, transfer);
        return;
    }
    if (transfer->link == NULL)
        link_running(puller, transfer);
    count_origin_request(fill_site(transfer->fill));
}

/* Tells the fill how the transfer ended. */
static fill_action_t tell(puller_t *puller, transfer_t *transfer, CURLcode code)
{
    int64_t now_ms = puller->config.now_ms();
    if (transfer_cut_off(transfer, code))
        return fill_cut_off(transfer->fill, transfer_failure(transfer, code), now_ms);
    if (code == CURLE_OK)
        fill_complete(transfer->fill);
    else
        fill_broken(transfer->fill, transfer_failure(transfer, code), now_ms);
    return FILL_STOP;
}

static void handle_result(puller_t *puller, transfer_t *transfer, CURLcode code)
{
    curl_multi_remove_handle(puller->multi, transfer->easy);
    bool again = transfer->again && !fill_ended(transfer->fill);
    again = again || (code != CURLE_OK && transfer_may_try_again(transfer, code));
    if (again || tell(puller, transfer, code) == FILL_AGAIN) {
        begin(puller, transfer);
        return;
    }
    transfer_reset(transfer);
    finish(puller, transfer);
}

/* What was held back is offered again at once, within this call; that may end the transfer. */
static void resume(puller_t *puller, transfer_t *transfer)
{
    if (!transfer->paused)
        return;
    transfer->paused = false;
    transfer->deadline_ms = monotonic_now_ms() + transfer->site->between_bytes_timeout_ms;
    CURLcode code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK)
        handle_result(puller, transfer, code);
}

static void handle_events(puller_t *puller, transfer_t *transfer)
{
    unsigned events = atomic_exchange_explicit(&transfer->events, 0, memory_order_relaxed);
    fill_action_t action = events ? fill_notified(transfer->fill, events) : FILL_GO_ON;
    if (action == FILL_STOP)
        finish(puller, transfer);
    else if (transfer->easy == NULL)
        begin(puller, transfer);
    else if (action == FILL_RESUME)
        resume(puller, transfer);
}

/* True when the puller is to stop. */
static bool take_messages(puller_t *puller)
{
    for (;;) {
        pthread_mutex_lock(&puller->lock);
        transfer_t *transfer = puller->inbox;
        bool stopping = puller->stopping;
        if (transfer != NULL) {
            puller->inbox = transfer->inbox_next;
            if (puller->inbox == NULL)
                puller->inbox_end = &puller->inbox;
            transfer->queued = false;
        }
        pthread_mutex_unlock(&puller->lock);
        if (transfer == NULL)
            return stopping;
        handle_events(puller, transfer);
    }
}

static void take_results(puller_t *puller)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(puller->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        transfer_t *transfer;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        handle_result(puller, transfer, code);
    }
}

/* Readers have held it up for as long as they may; or what found no memory is to be tried again. */
static void pass_pause(puller_t *puller, transfer_t *transfer, int64_t now_ms)
{
    if (now_ms - transfer->paused_ms >= PAUSE_MS) {
        transfer->paused_ms = now_ms;
        for (unsigned cut = fill_stalled(transfer->fill); cut > 0; cut--)
            count_reader_cut_off();
    }
    transfer->deadline_ms = now_ms + PAUSE_MS;
    if (fill_ended(transfer->fill))
        finish(puller, transfer);
    else
        resume(puller, transfer);
}

static void pass_deadline(puller_t *puller, transfer_t *transfer, int64_t now_ms)
{
    if (transfer->paused) {
        pass_pause(puller, transfer, now_ms);
        return;
    }
    int64_t told_ms = puller->config.now_ms();
    if (!transfer->head_done)
        fill_broken(transfer->fill, transfer_timeout(transfer), told_ms);
    else if (fill_cut_off(transfer->fill, transfer_timeout(transfer), told_ms) == FILL_AGAIN) {
        transfer->fresh = true; /* over HTTP/2 the connection is still there */
        detach(puller, transfer);
        begin(puller, transfer);
        return;
    }
    finish(puller, transfer);
}

/* Ends what is past its deadline; how long until the next one. */
static int check_deadlines(puller_t *puller)
{
    int64_t now_ms = monotonic_now_ms(), wait_ms = POLL_MS;
    for (transfer_t *transfer = puller->running, *next; transfer != NULL; transfer = next) {
        next = transfer->next;
        bool starved = transfer->paused && fill_is_starved(transfer->fill);
        wait_ms = starved && wait_ms > STARVED_MS ? STARVED_MS : wait_ms;
        if (transfer->deadline_ms <= now_ms)
            pass_deadline(puller, transfer, now_ms);
        else if (transfer->deadline_ms - now_ms < wait_ms)
            wait_ms = transfer->deadline_ms - now_ms;
    }
    return (int)wait_ms;
}

static void stop_all(puller_t *puller)
{
    while (puller->running != NULL) {
        transfer_t *transfer = puller->running;
        fill_fail(transfer->fill, shutting_down);
        finish(puller, transfer);
    }
}

static void *run(void *context)
{
    puller_t *puller = context;
    pthread_setname_np(pthread_self(), "puller");
    memory_attach_thread();
    counters_attach();
    heart_begin(puller->config.heart, "puller");
    while (!take_messages(puller)) {
        int running;
        heart_tick(puller->config.heart);
        MUST(curl_multi_perform(puller->multi, &running) == CURLM_OK);
        take_results(puller);
        int wait_ms = check_deadlines(puller);
        MUST(curl_multi_poll(puller->multi, NULL, 0, wait_ms, NULL) == CURLM_OK);
    }
    heart_end(puller->config.heart);
    stop_all(puller);
    memory_detach_thread();
    return NULL;
}

puller_t *puller_start(const puller_config_t *config)
{
    MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    puller_t *puller = must_calloc(1, sizeof *puller);
    puller->config = *config;
    puller->inbox_end = &puller->inbox;
    MUST(pthread_mutex_init(&puller->lock, NULL) == 0);
    puller->multi = curl_multi_init();
    MUST(puller->multi != NULL);
    curl_multi_setopt(puller->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HOST_CONNECTIONS_MAX);
    curl_multi_setopt(puller->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    MUST(pthread_create(&puller->thread, NULL, run, puller) == 0);
    return puller;
}

void puller_stop(puller_t *puller)
{
    pthread_mutex_lock(&puller->lock);
    puller->stopping = true;
    pthread_mutex_unlock(&puller->lock);
    wake(puller);
    MUST(pthread_join(puller->thread, NULL) == 0);
}

void puller_free(puller_t **pointer)
{
    puller_t *puller = *pointer;
    *pointer = NULL;
    curl_multi_cleanup(puller->multi);
    pthread_mutex_destroy(&puller->lock);
    curl_global_cleanup();
    free(puller);
}
