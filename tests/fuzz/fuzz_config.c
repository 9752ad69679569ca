/* The configuration file. The referee: what is wrong is told, each time with a place in the file, and what is
 * given back is all that was taken. */
#include "conf/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t lines_in(text_t bytes)
{
    size_t lines = 1;
    for (size_t i = 0; i < bytes.length; i++)
        lines += bytes.data[i] == '\n' || bytes.data[i] == '\r';
    return lines;
}

typedef struct {
    text_t bytes;
    size_t told;
} told_t;

static void take_mistake(void *context, config_place_t place, const char *text)
{
    told_t *told = context;
    told->told++;
    MUST(text[0] != '\0' && strchr(text, '\n') == NULL);
    MUST(place.line <= lines_in(told->bytes) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static settings_t settings;
    config_place_t places[SETTINGS_TABLE_MAX];
    char *bytes = malloc(size > 0 ? size : 1);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    told_t told = {{bytes, size}, 0};
    config_report_t report = {&told, take_mistake};
    memset(&settings, 0, sizeof settings);
    memset(places, 0, sizeof places);
    size_t mistakes = config_load(told.bytes, &settings, places, &report);
    MUST((mistakes == 0) == (told.told == 0) && told.told <= CONFIG_MISTAKES_MAX + 1);
    settings_free(&settings);
    free(bytes);
    return 0;
}
