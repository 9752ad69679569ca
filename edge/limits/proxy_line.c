#include "edge/limits/proxy_line.h"

#include <arpa/inet.h>

static const char opening[] = "PROXY ";
enum { OPENING_LENGTH = sizeof opening - 1, PORT_DIGITS_MAX = 5 };

static bool is_printable(text_t text)
{
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return true;
}

/* What stands before the next space, which is taken away with it. Two spaces in a row make an empty word,
 * which nothing takes. */
static text_t take_word(text_t *rest)
{
    const char *space = memchr(rest->data, ' ', rest->length);
    text_t word = {rest->data, space != NULL ? (size_t)(space - rest->data) : rest->length};
    size_t taken = word.length + (space != NULL ? 1 : 0);
    *rest = (text_t){rest->data + taken, rest->length - taken};
    return word;
}

static bool read_address(int family, text_t word, void *bytes)
{
    char text[INET6_ADDRSTRLEN];
    if (word.length >= sizeof text)
        return false;
    memcpy(text, word.data, word.length);
    text[word.length] = 0;
    return inet_pton(family, text, bytes) == 1;
}

/* Decimal, at most 65535, without zeroes before it. */
static bool read_port(text_t word, in_port_t *port)
{
    unsigned number = 0;
    if (word.length == 0 || word.length > PORT_DIGITS_MAX || (word.length > 1 && word.data[0] == '0'))
        return false;
    for (size_t i = 0; i < word.length; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        number = number * 10 + (unsigned)(word.data[i] - '0');
    }
    *port = htons((uint16_t)number);
    return number <= UINT16_MAX;
}

/* The two addresses and their ports; only the client's is kept, but all must be right. A space at the line's
 * end would be there for a fifth word. */
static bool read_tcp(int family, text_t rest, proxy_line_t *line)
{
    struct in6_addr own;
    in_port_t own_port, *port = family == AF_INET ? &line->client.v4.sin_port : &line->client.v6.sin6_port;
    void *address =
        family == AF_INET ? (void *)&line->client.v4.sin_addr : (void *)&line->client.v6.sin6_addr;
    bool ends_in_space = rest.length > 0 && rest.data[rest.length - 1] == ' ';
    line->client.any.sa_family = (sa_family_t)family;
    return !ends_in_space && read_address(family, take_word(&rest), address) &&
           read_address(family, take_word(&rest), &own) && read_port(take_word(&rest), port) &&
           read_port(take_word(&rest), &own_port) && rest.length == 0;
}

static bool read_line(text_t rest, proxy_line_t *line)
{
    memset(&line->client, 0, sizeof line->client);
    line->client.any.sa_family = AF_UNSPEC;
    if (!is_printable(rest))
        return false;
    text_t protocol = take_word(&rest);
    if (text_equal(protocol, TEXT("UNKNOWN")))
        return true; /* whatever follows is to be ignored */
    if (text_equal(protocol, TEXT("TCP4")))
        return read_tcp(AF_INET, rest, line);
    return text_equal(protocol, TEXT("TCP6")) && read_tcp(AF_INET6, rest, line);
}

proxy_line_state_t proxy_line_parse(const char *bytes, size_t length, proxy_line_t *line)
{
    size_t most = length < PROXY_LINE_MAX ? length : PROXY_LINE_MAX;
    if (memcmp(bytes, opening, most < OPENING_LENGTH ? most : OPENING_LENGTH) != 0)
        return PROXY_LINE_WRONG;
    const char *end = memchr(bytes, '\n', most);
    if (end == NULL)
        return most == PROXY_LINE_MAX ? PROXY_LINE_WRONG : PROXY_LINE_INCOMPLETE;
    /* At least the space before it is there. */
    if (end[-1] != '\r')
        return PROXY_LINE_WRONG;
    line->length = (size_t)(end + 1 - bytes);
    text_t rest = {bytes + OPENING_LENGTH, (size_t)(end - 1 - bytes - OPENING_LENGTH)};
    return read_line(rest, line) ? PROXY_LINE_WHOLE : PROXY_LINE_WRONG;
}
