/* What a client asks with. */
#include "tests/sim/world.h"

static random_t *chance(void)
{
    return &world.random;
}

static void add_field(exchange_t *exchange, text_t name, text_t value)
{
    exchange->fields[exchange->field_count++] = (http_field_t){name, value};
}

static void choose_fields(exchange_t *exchange)
{
    static const text_t languages[LANGUAGES] = {{NULL, 0}, {"l1", 2}, {"l2", 2}};
    static const text_t origins[ORIGINS] = {{NULL, 0}, {"https://o1", 10}};
    exchange->language = random_below(chance(), LANGUAGES);
    exchange->from = random_chance(chance(), 200);
    if (exchange->language > 0)
        add_field(exchange, TEXT("accept-language"), languages[exchange->language]);
    if (exchange->from > 0)
        add_field(exchange, TEXT("origin"), origins[exchange->from]);
    if (random_chance(chance(), 30))
        add_field(exchange, TEXT("authorization"), TEXT("Bearer a"));
}

static void choose_method(exchange_t *exchange)
{
    static const text_t unsafe[] = {{"POST", 4}, {"PUT", 3}, {"DELETE", 6}};
    exchange->method = TEXT("GET");
    if (random_chance(chance(), 40))
        exchange->method = RANDOM_PICK(chance(), unsafe);
    exchange->is_head = random_chance(chance(), 50);
    exchange->is_get = text_equal(exchange->method, TEXT("GET"));
}

/* Of a body that may have any length: near its start, far into it, its end, several pieces, or nothing at
 * all. */
static void choose_range(exchange_t *exchange)
{
    uint64_t length = world.urls[exchange->url].length;
    unsigned first = random_below(chance(), (unsigned)length + 1), kind = random_below(chance(), 10);
    unsigned more = kind < 5   ? random_below(chance(), 100000)
                    : kind < 8 ? random_below(chance(), 3 << 20)
                               : (unsigned)length;
    snprintf(exchange->range, sizeof exchange->range, "bytes=%u-%u", first / 2 * 2, first + 16 + more);
    add_field(exchange, TEXT("range"), text_of(exchange->range));
    note_count(NOTE_RANGES);
}

void request_choose(exchange_t *exchange)
{
    choose_fields(exchange);
    choose_method(exchange);
    if (world.in_pieces && random_chance(chance(), 800))
        choose_range(exchange);
}
