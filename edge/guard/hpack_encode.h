/* The fields of a response as an HPACK block (RFC 7541). Pure but for the table, which is the connection's.
 *
 * The library's encoder is not used: it enters every field into its table, so that with each URL's own ETag
 * and each second's Age the table is made anew all the time, and is searched through for each field; and it
 * does not ask how large a table the client allows, which ends the connection of one that allows less than
 * 4096 bytes. */
#ifndef SELVEDGE_EDGE_GUARD_HPACK_ENCODE_H
#define SELVEDGE_EDGE_GUARD_HPACK_ENCODE_H

#include "edge/guard/libh2o.h"

/* So many bytes a table has at most, whatever the client allows; what it has before the client says anything.
 */
enum { HPACK_TABLE_BYTES = 4096 };

/* The client allows this many bytes from now on (SETTINGS_HEADER_TABLE_SIZE). The next block says so to it.
 */
void hpack_allow(h2o_hpack_header_table_t *table, size_t bytes);

/* Fields that never enter the table have the same code in every block: who answers with them again and again
 * codes them once. Then the first of a response's fields has this name and the code as its value, and the
 * Date must be among them. For HTTP/2 only. */
extern const h2o_iovec_t hpack_coded;

/* May the field be coded beforehand? name: a token's, or any other. */
bool hpack_codes_beforehand(const h2o_iovec_t *name);
/* Room that the code of one field needs, in bytes. */
size_t hpack_field_bound(const h2o_iovec_t *name, h2o_iovec_t value);
/* Codes a field of which hpack_codes_beforehand() is true, as short as it gets. Returns the code's end. */
uint8_t *hpack_encode_beforehand(uint8_t *out, const h2o_iovec_t *name, h2o_iovec_t value);

/* The block of 100 (Continue), of so many bytes at most. Returns its end. */
enum { HPACK_CONTINUE_BOUND = 24 };
uint8_t *hpack_encode_continue(h2o_hpack_header_table_t *table, uint8_t *out);

/* What a block is made of. */
typedef struct {
    const h2o_res_t *res;
    h2o_iovec_t date, server; /* server: empty for none */
    size_t content_length;    /* SIZE_MAX when not known */
} hpack_response_t;

/* Room that hpack_encode() needs, in bytes. */
size_t hpack_bound(const hpack_response_t *response);

/* Returns the block's end. */
uint8_t *hpack_encode(h2o_hpack_header_table_t *table, const hpack_response_t *response, uint8_t *out);

#endif
