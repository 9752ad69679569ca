#include "edge/tls/attached.h"

static void free_with_context(void *context, void *value, CRYPTO_EX_DATA *data, int index, long number,
                              void *argument)
{
    (void)context;
    (void)data;
    (void)index;
    (void)number;
    const tls_attachment_t *kind = argument;
    if (value != NULL)
        kind->free(value);
}

bool tls_attach(SSL_CTX *context, tls_attachment_t *kind, void *value)
{
    if (!kind->known) {
        kind->place = SSL_CTX_get_ex_new_index(0, kind, NULL, NULL, free_with_context);
        kind->known = kind->place >= 0;
    }
    if (kind->known && SSL_CTX_set_ex_data(context, kind->place, value) == 1)
        return true;
    kind->free(value);
    return false;
}

void *tls_attached(const SSL_CTX *context, const tls_attachment_t *kind)
{
    return kind->known ? SSL_CTX_get_ex_data(context, kind->place) : NULL;
}
