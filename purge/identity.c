#include "purge/identity.h"

#include "purge/state_file.h"

#include <inttypes.h>

enum { HALF_DIGITS = 16 };

void identity_put(char text[IDENTITY_BYTES], const uint64_t identity[2])
{
    char line[IDENTITY_BYTES + 1];
    snprintf(line, sizeof line, "%016" PRIx64 "%016" PRIx64 "\n", identity[0], identity[1]);
    memcpy(text, line, IDENTITY_BYTES);
}

static bool parse_half(const uint8_t *digits, uint64_t *half)
{
    *half = 0;
    for (int i = 0; i < HALF_DIGITS; i++) {
        uint8_t digit = digits[i];
        bool decimal = digit >= '0' && digit <= '9';
        if (!decimal && (digit < 'a' || digit > 'f'))
            return false;
        *half = *half << 4 | (uint64_t)(decimal ? digit - '0' : digit - 'a' + 10);
    }
    return true;
}

bool identity_parse(const uint8_t *data, size_t length, uint64_t identity[2])
{
    return length == IDENTITY_BYTES && data[IDENTITY_BYTES - 1] == '\n' && parse_half(data, &identity[0]) &&
           parse_half(data + HALF_DIGITS, &identity[1]);
}

bool identity_make(const journal_io_t *io, const uint64_t identity[2], journal_error_t *error)
{
    char text[IDENTITY_BYTES];
    identity_put(text, identity);
    return state_file_replace(io, "identity", "identity.new", (const uint8_t *)text, sizeof text, NULL,
                              error);
}

bool identity_read(const journal_io_t *io, uint64_t found[2], bool *good, journal_error_t *error)
{
    bytes_t bytes = {0};
    bool read = state_file_read(io, "identity", &bytes, error);
    *good = read && identity_parse(bytes.data, bytes.length, found);
    bytes_free(&bytes);
    return read;
}
