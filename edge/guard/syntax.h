/* The byte classes of RFC 9110 section 5 and RFC 3986 section 3.2. Pure; used by the checks of both
 * protocols. */
#ifndef SELVEDGE_EDGE_GUARD_SYNTAX_H
#define SELVEDGE_EDGE_GUARD_SYNTAX_H

#include "edge/base.h"

bool syntax_is_digits(text_t text);      /* one or more */
bool syntax_is_token(text_t text);       /* one or more tchar (RFC 9110 section 5.6.2) */
bool syntax_is_lower_token(text_t text); /* the same without A to Z, as HTTP/2 wants field names */

/* No control byte but HTAB, as in a field value (RFC 9110 section 5.5). */
bool syntax_is_field_value(text_t text);

/* No control byte and no space: what may stand between the spaces of a request line. */
bool syntax_is_visible(text_t text);

/* Without the spaces and tabs at its ends. */
text_t syntax_trim(text_t text);

#endif
