/* HTTP dates: RFC 9110 section 5.6.7. Pure. Times are milliseconds since the epoch, without leap seconds. */
#ifndef SELVEDGE_EDGE_HTTP_DATE_H
#define SELVEDGE_EDGE_HTTP_DATE_H

#include "edge/base.h"

/* Takes the IMF-fixdate, RFC 850 and asctime forms, names in any case (RFC 9111 section 4.2), GMT only; false
 * for all else. now_ms: RFC 850 years of two digits are the latest that are not more than 50 years after it.
 */
bool http_date_parse(text_t value, int64_t now_ms, int64_t *time_ms);

/* Writes an IMF-fixdate and a terminating zero. The year is held within 0 to 9999. */
enum { HTTP_DATE_LENGTH = 29 };
void http_date_format(int64_t time_ms, char out[HTTP_DATE_LENGTH + 1]);

#endif
