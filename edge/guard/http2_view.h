/* What an HTTP/2 connection and its streams wait for, read off the library's structures for the sweep of
 * stalled clients. On the worker that owns them. */
#ifndef SELVEDGE_EDGE_GUARD_HTTP2_VIEW_H
#define SELVEDGE_EDGE_GUARD_HTTP2_VIEW_H

#include <h2o.h>

#include "edge/base.h"

typedef struct {
    h2o_socket_t *socket;
    uint32_t requests;      /* streams that the client has open */
    uint32_t last_opened;   /* the id of its latest stream */
    bool header_block_open; /* HEADERS has come, its last CONTINUATION has not */
    bool partial_frame;     /* and more of it is waited for */
    bool writing;           /* bytes are on their way to the socket */
} http2_view_t;

typedef enum {
    STREAM_WAITS, /* for its answer */
    STREAM_TAKES, /* bytes of its answer wait for a window or for the socket */
    STREAM_GIVES  /* its request's body is not whole */
} http2_stream_view_t;

/* Calls `see` for each HTTP/2 connection of this context; it may close none. */
void http2_view_each(h2o_context_t *context, void (*see)(const http2_view_t *view));
/* req: of an HTTP/2 stream. */
http2_stream_view_t http2_view_stream(const h2o_req_t *req);

/* Ends an idle connection in the library's own way, with GOAWAY. Nothing happens when it is not idle. The
 * connection may be gone afterwards. */
void http2_end_idle(h2o_context_t *context, const h2o_socket_t *socket);

#endif
