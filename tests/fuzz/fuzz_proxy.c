/* The PROXY protocol's line. The referee: what is taken is one line, named in the one way that its address is
 * written; and a line that has not ended yet is not wrong for that. */
#include <arpa/inet.h>

#include "edge/limits/proxy_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Another parser reads the same client. */
static void check_client(const char *bytes, const proxy_line_t *line)
{
    char text[PROXY_LINE_MAX + 1], family[8], client[64], own[64], read_back[INET6_ADDRSTRLEN];
    unsigned port, own_port;
    unsigned char address[16];
    memcpy(text, bytes, line->length);
    text[line->length] = 0;
    MUST(sscanf(text, "PROXY %7s %63s %63s %5u %5u\r\n", family, client, own, &port, &own_port) == 5);
    bool v4 = line->client.any.sa_family == AF_INET;
    MUST(strcmp(family, v4 ? "TCP4" : "TCP6") == 0 && port <= UINT16_MAX && own_port <= UINT16_MAX);
    MUST(inet_pton(line->client.any.sa_family, client, address) == 1);
    const void *taken =
        v4 ? (const void *)&line->client.v4.sin_addr : (const void *)&line->client.v6.sin6_addr;
    MUST(memcmp(taken, address, v4 ? 4 : 16) == 0);
    MUST(ntohs(v4 ? line->client.v4.sin_port : line->client.v6.sin6_port) == port);
    MUST(inet_ntop(line->client.any.sa_family, taken, read_back, sizeof read_back) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = malloc(size > 0 ? size : 1); /* exactly as long */
    proxy_line_t line;
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    proxy_line_state_t state = proxy_line_parse(bytes, size, &line);
    MUST(state != PROXY_LINE_INCOMPLETE || size < PROXY_LINE_MAX);
    if (state == PROXY_LINE_WHOLE) {
        proxy_line_t again;
        MUST(line.length <= size && line.length <= PROXY_LINE_MAX);
        MUST(memcmp(bytes + line.length - 2, "\r\n", 2) == 0);
        MUST(memchr(bytes, '\n', size) == bytes + line.length - 1);
        MUST(proxy_line_parse(bytes, line.length - 1, &again) == PROXY_LINE_INCOMPLETE);
        MUST(proxy_line_parse(bytes, line.length, &again) == PROXY_LINE_WHOLE && again.length == line.length);
        if (line.client.any.sa_family != AF_UNSPEC)
            check_client(bytes, &line);
    }
    free(bytes);
    return 0;
}
