/* Rows of settings_table.c: what is said of paths. Each is a setting of a site, and one of each of its rules.
 * Included twice, with POLICY(word, field, type, what holds when nothing is said, example, meaning, more of
 * the row). */
/* clang-format off */
POLICY("default_lifetime", lifetimes.standard, SETTING_LIFETIME, .standard = {"off"}, "3600",
     "How long an answer that is no error (200, 203, 204, 300, 301, 308) is fresh where the origin says nothing "
     "of it. `off`: a tenth of the time since its Last-Modified, at most a day; without that it is not stored.",
     .maximum = 10 * YEAR_S * SECOND)
POLICY("lifetime", lifetimes.always, SETTING_LIFETIME, .standard = {"off"}, "31536000",
     "How long such an answer is fresh whatever the origin says of it (its Age counts); clients still see "
     "what the origin says. What it forbids to store is not stored, and what must be asked for each time is.",
     .maximum = 10 * YEAR_S * SECOND)
POLICY("negative_lifetime", lifetimes.negative, SETTING_LIFETIME, .standard = {"off"}, "10",
     "How long a 404 or 410 is fresh where the origin says nothing of it, so that it is not asked again and again "
     "for what is not there. `off`: as an answer of which default_lifetime says nothing.",
     .maximum = 10 * YEAR_S * SECOND)
POLICY("stale_while_revalidate", stale.while_revalidate_ms, SETTING_SECONDS, .standard = {"0"}, "60",
     "How long after its lifetime an answer may still be used while the origin is asked for a newer one in the "
     "background, where it does not say so itself (stale-while-revalidate in Cache-Control). What must be revalidated "
     "(must-revalidate, proxy-revalidate, s-maxage, no-cache) is never used stale.",
     .maximum = YEAR_S * SECOND)
POLICY("stale_if_error", stale.if_error_ms, SETTING_SECONDS, .standard = {"86400"}, "3600",
     "How long after its lifetime an answer may still be used when the origin cannot be reached, breaks off, takes too "
     "long, or answers 500, 502, 503 or 504, where it does not say so itself (stale-if-error in Cache-Control). What "
     "must be revalidated is never used stale.",
     .maximum = YEAR_S * SECOND)
POLICY("query.keep", query.keep, SETTING_PARAMETERS, .standard_words = "all of them", "[v, w]",
     "The parameters of queries that count: all others are as if they were not there, for what is stored and for "
     "what the origin is asked for. An empty list: none of them counts.")
POLICY("query.drop", query.drop, SETTING_PARAMETERS, .standard_words = "none", "[utm_*, fbclid, gclid]",
     "The parameters of queries that do not count, such as those that only tell where a visitor came from.")
POLICY("query.sort", query.sort, SETTING_CHOICE, .standard = {"off"}, "on",
     "Does it make no difference in which order parameters come? Then they are sorted by name, where they are 128 at "
     "most. A change of these three is a purge of the site.", .choices = {"off", "on"})
POLICY("response_fields.set", response.set, SETTING_FIELD_LINES, .standard_words = "none", "{X-Frame-Options: DENY}",
     "Fields that answers of the origin get, in place of those of the same name that they have.")
POLICY("response_fields.add", response.add, SETTING_FIELD_LINES, .standard_words = "none", "{Link: </a.css>; rel=preload}",
     "Fields that answers get beside those that they have.")
POLICY("response_fields.remove", response.remove, SETTING_FIELD_NAMES, .standard_words = "none", "[Server, X-Powered-By]",
     "Fields that go no further than to the node. Like the two above, they change what clients see, not how long "
     "an answer is stored, and hold at once for what is stored already.")
POLICY("cors", response.cors, SETTING_ALLOWED_ORIGINS, .standard = {"off"}, "'*'",
     "Which origins' pages may read answers (Access-Control-Allow-Origin): all alike, or each of a list, for which "
     "what is stored is the same. The node then says it in place of the origin server, which does not see Origin, "
     "and answers preflights for GET and HEAD. `off`: the origin server says it.")
POLICY("tags", tags, SETTING_TAGS, .standard_words = "none", "[images, 'product-{2}']",
     "What answers can be purged by together, beside the tags that the origin gives them (tag_fields). {2} is the second "
     "segment of the path, {-1} its last; a path that has no such segment does not get that tag. A change is a purge of "
     "the site.")
POLICY("bypass", bypass, SETTING_CHOICE, .standard = {"off"}, "on",
     "Is nothing stored? Then each request goes to the origin by itself, with its whole query.",
     .choices = {"off", "on"})
/* clang-format on */
