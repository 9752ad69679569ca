#include "edge/redirect.h"

enum { HTTPS_PORT = 443, PORT_TEXT = 12 };

/* An authority without its port; the guard has seen that it is one. */
static text_t without_port(text_t authority)
{
    const char *from = memchr(authority.data, ']', authority.length);
    size_t skip = from != NULL ? (size_t)(from - authority.data) : 0;
    const char *colon = memchr(authority.data + skip, ':', authority.length - skip);
    return (text_t){authority.data, colon != NULL ? (size_t)(colon - authority.data) : authority.length};
}

/* Where the client shall go, in the request's pool. The target as it was asked for: what it means is the
 * same, and the client's history shows what it knows. */
static text_t location(h2o_req_t *req, unsigned port)
{
    static const text_t scheme = {"https://", 8};
    char digits[PORT_TEXT] = "";
    if (port != HTTPS_PORT)
        snprintf(digits, sizeof digits, ":%u", port);
    text_t pieces[] = {scheme, without_port(text_from(req->input.authority)), text_of(digits),
                       text_from(req->path)};
    size_t count = sizeof pieces / sizeof *pieces, length = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    char *text = h2o_mem_alloc_pool(&req->pool, length), *at = text;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, pieces[i].data, pieces[i].length);
        at += pieces[i].length;
    }
    return (text_t){text, length};
}

/* To a request of HTTP/1.0 without Host the library gives the name of its own first host. */
static bool names_host(const h2o_req_t *req)
{
    return req->input.authority.base != req->conn->hosts[0]->authority.hostport.base;
}

bool redirect_to_https(exchange_t *exchange)
{
    h2o_req_t *req = exchange->req;
    int port = exchange->site->settings->redirect_https;
    if (port == REDIRECT_OFF || exchange_is_secure(exchange))
        return false;
    if (!names_host(req)) {
        respond_refusal(exchange, 400, "no_host", "The request names no host.\n");
        return true;
    }
    if (port == REDIRECT_TO_LISTENER)
        port = worker_node(exchange->worker)->https_port;
    text_t where = location(req, (unsigned)port);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_LOCATION, NULL, where.data, where.length);
    exchange->outcome = OUTCOME_REDIRECT;
    respond_refusal(exchange, exchange->is_get ? 301 : 308, "https", "This is answered over https.\n");
    return true;
}
