/* The line that a balancer sends before a client's bytes, to say who the client is: PROXY protocol, version 1
 * (HAProxy's proxy-protocol.txt, section 2.1). A plain function over bytes; any thread. */
#ifndef SELVEDGE_EDGE_LIMITS_PROXY_LINE_H
#define SELVEDGE_EDGE_LIMITS_PROXY_LINE_H

#include <netinet/in.h>

#include "edge/base.h"

enum { PROXY_LINE_MAX = 107 /* bytes, with its CRLF */ };

typedef enum {
    PROXY_LINE_WHOLE,
    PROXY_LINE_INCOMPLETE, /* a line could begin so */
    PROXY_LINE_WRONG
} proxy_line_state_t;

typedef struct {
    size_t length; /* of the line, with its CRLF: the client's own bytes begin behind it */
    union {        /* AF_UNSPEC: the balancer does not know, or speaks for itself (UNKNOWN) */
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } client;
} proxy_line_t;

/* *line is filled in only for PROXY_LINE_WHOLE. */
proxy_line_state_t proxy_line_parse(const char *bytes, size_t length, proxy_line_t *line);

#endif
