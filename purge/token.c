#include "purge/token.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANDOM_BYTES = 32 };

bool token_is_valid(text_t token)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/";
    size_t padding = 0, length = token.length;
    if (length > TOKEN_LENGTH_MAX)
        return false;
    while (length > 0 && token.data[length - 1] == '=') {
        length--;
        padding++;
    }
    for (size_t i = 0; i < length; i++)
        if (token.data[i] == 0 || strchr(allowed, token.data[i]) == NULL)
            return false;
    return length > 0;
}

bool token_in(const char *path, text_t bytes, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX])
{
    const char *text = bytes.data;
    size_t length = bytes.length;
    static const char blank[] = " \t\r\n";
    size_t start = 0;
    while (start < length && text[start] != 0 && strchr(blank, text[start]) != NULL)
        start++;
    size_t end = start;
    while (end < length && text[end] != '\n')
        end++;
    while (end > start && text[end - 1] != 0 && strchr(blank, text[end - 1]) != NULL)
        end--;
    if (!token_is_valid((text_t){text + start, end - start})) {
        snprintf(error, TOKEN_ERROR_MAX, "%.300s %s; %s", path,
                 end == start ? "is empty" : "holds no token on its first line",
                 "a token is 1 to 512 letters, digits and - . _ ~ + / with = at the end only");
        return false;
    }
    memcpy(token, text + start, end - start);
    token[end - start] = 0;
    return true;
}

bool token_read(const char *path, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX])
{
    char text[2 * TOKEN_LENGTH_MAX];
    /* Non-blocking: a FIFO named by mistake must not hang the start. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (length < 0)
        snprintf(error, TOKEN_ERROR_MAX, "%.300s cannot be read: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return length >= 0 && token_in(path, (text_t){text, (size_t)length}, token, error);
}

static void make(char token[TOKEN_LENGTH_MAX + 1])
{
    unsigned char bytes[RANDOM_BYTES];
    MUST(getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

/* Written beside its place first: who sees the file sees a whole token. */
static bool write_new(const char *path, const char *token, char error[TOKEN_ERROR_MAX])
{
    char beside[PATH_MAX];
    int fd = -1;
    int written = snprintf(beside, sizeof beside, "%s.XXXXXX", path);
    if (written > 0 && (size_t)written < sizeof beside)
        fd = mkostemp(beside, O_CLOEXEC); /* mode 0600 */
    else
        errno = ENAMETOOLONG;
    bool good = fd >= 0 && dprintf(fd, "%s\n", token) == (int)strlen(token) + 1 && rename(beside, path) == 0;
    if (!good)
        snprintf(error, TOKEN_ERROR_MAX, "%.300s cannot be written: %s", path, strerror(errno));
    if (!good && fd >= 0)
        unlink(beside);
    if (fd >= 0)
        close(fd);
    return good;
}

bool token_read_or_make(const char *path, char token[TOKEN_LENGTH_MAX + 1], char error[TOKEN_ERROR_MAX])
{
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return token_read(path, token, error);
    make(token);
    return write_new(path, token, error);
}

bool token_equal(text_t a, text_t b)
{
    if (a.length != b.length)
        return false;
    volatile unsigned char difference = 0;
    for (size_t i = 0; i < a.length; i++)
        difference = (unsigned char)(difference | (a.data[i] ^ b.data[i]));
    return difference == 0;
}
