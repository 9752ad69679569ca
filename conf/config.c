/* From the file's bytes to settings: a walk through the document along the table. It goes no deeper than the
 * table's paths do, so that aliases cannot make it go round or multiply what is read. */
#include "conf/config.h"

#include <stdarg.h>
#include <yaml.h>

enum { PATH_MAX_LENGTH = 128, WORD_MAX = 64, DEPTH_MAX = 64, TEXT_MAX = SETTINGS_ERROR_MAX - 256 };

typedef struct {
    yaml_document_t document;
    settings_t *settings;
    config_place_t *places;
    const config_report_t *report;
    size_t mistakes;
    size_t item;                   /* the site, rule, listener, certificate or disk being read */
    bool seen[SETTINGS_TABLE_MAX]; /* in the item being read */
    bool whole;                    /* one value says all of the item */
} loading_t;

static config_place_t place_of(yaml_mark_t mark)
{
    return (config_place_t){mark.line + 1, mark.column + 1};
}

/* Values are quoted in messages, and may hold anything. */
static void make_one_line(char *text)
{
    for (; *text != 0; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

__attribute__((format(printf, 3, 4))) static void mistake(loading_t *loading, config_place_t place,
                                                          const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    make_one_line(text);
    if (loading->mistakes++ < CONFIG_MISTAKES_MAX)
        loading->report->mistake(loading->report->context, place, text);
}

static bool is_enough(const loading_t *loading)
{
    return loading->mistakes >= CONFIG_MISTAKES_MAX;
}

static const char *kind_of(const yaml_node_t *node)
{
    if (node->type == YAML_MAPPING_NODE)
        return "a group of keys";
    return node->type == YAML_SEQUENCE_NODE ? "a list" : "a single value";
}

/* Nothing written, or a word for nothing. */
static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *text = (const char *)node->data.scalar.value;
    return *text == 0 || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

size_t config_word(const setting_t *setting, const char *path)
{
    size_t length = strlen(path);
    return strncmp(setting->name, path, length) == 0 ? strcspn(setting->name + length, ".[") : 0;
}

/* The first setting at or below path + key; NULL: there is no such key. */
static const setting_t *find_child(const char *path, const char *key)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        size_t word = config_word(&settings_table[i], path);
        if (word > 0 && strlen(key) == word && strncmp(settings_table[i].name + strlen(path), key, word) == 0)
            return &settings_table[i];
    }
    return NULL;
}

/* --- Unknown keys --- */

static bool is_first_of_word(size_t index, const char *path, size_t word)
{
    const char *name = settings_table[index].name + strlen(path);
    for (size_t i = 0; i < index; i++)
        if (config_word(&settings_table[i], path) == word &&
            strncmp(settings_table[i].name + strlen(path), name, word) == 0)
            return false;
    return true;
}

/* The keys that are allowed here, and of these the nearest to `key`, or else a setting of another place. */
static void describe_keys(const char *path, const char *key, char *allowed, size_t capacity,
                          char nearest[PATH_MAX_LENGTH])
{
    size_t used = 0, smallest = strlen(key) / 3 + 1;
    *allowed = *nearest = 0;
    for (size_t i = 0; i < settings_table_count; i++) {
        size_t word = config_word(&settings_table[i], path);
        if (word == 0 || word >= WORD_MAX || !is_first_of_word(i, path, word))
            continue;
        char name[WORD_MAX];
        snprintf(name, sizeof name, "%.*s", (int)word, settings_table[i].name + strlen(path));
        int wrote =
            used < capacity ? snprintf(allowed + used, capacity - used, "%s%s", used ? ", " : "", name) : 0;
        used += (size_t)wrote;
        size_t far = setting_distance(key, name);
        if (far < smallest || (far == smallest && *nearest == 0)) {
            smallest = far;
            snprintf(nearest, PATH_MAX_LENGTH, "%s", name);
        }
    }
    const setting_t *elsewhere = *nearest == 0 ? setting_nearest(key) : NULL;
    if (elsewhere != NULL)
        snprintf(nearest, PATH_MAX_LENGTH, "%s", elsewhere->name);
}

static void unknown_key(loading_t *loading, const char *path, const char *key, config_place_t place)
{
    char allowed[TEXT_MAX / 2], nearest[PATH_MAX_LENGTH];
    describe_keys(path, key, allowed, sizeof allowed, nearest);
    int length = (int)strlen(path) - 1;
    mistake(loading, place, "'%.80s' is not a key%s%.*s; allowed are %s%s%s%s", key, length > 0 ? " of " : "",
            length > 0 ? length : 0, path, allowed, *nearest ? "; did you mean " : "", nearest,
            *nearest ? "?" : "");
}

/* --- Values --- */

/* The node's text, kept for as long as the settings; NULL after a mistake. */
static const char *take_text(loading_t *loading, const setting_t *setting, const yaml_node_t *node)
{
    config_place_t place = place_of(node->start_mark);
    bool has_words = setting->type == SETTING_CHOICE || setting->type == SETTING_WORD;
    const char *form = has_words ? "one of its words" : setting_type_text(setting->type);
    if (node->type != YAML_SCALAR_NODE) {
        mistake(loading, place, "%s is %s; allowed is a single value: %s", setting->name, kind_of(node),
                form);
        return NULL;
    }
    if (is_null(node)) {
        mistake(loading, place, "%s has no value; allowed is a single value: %s", setting->name, form);
        return NULL;
    }
    const char *text = (const char *)node->data.scalar.value;
    size_t length = node->data.scalar.length;
    if (strlen(text) != length) {
        mistake(loading, place, "%s holds a zero byte; allowed is a single value: %s", setting->name, form);
        return NULL;
    }
    return settings_keep(loading->settings, (text_t){text, length});
}

static void keep_place(settings_file_t *file, config_place_t place)
{
    file->line = place.line;
    file->column = place.column;
}

static void put_value(loading_t *loading, const setting_t *setting, const char *value, config_place_t place)
{
    char reason[SETTINGS_ERROR_MAX], text[TEXT_MAX];
    bool put =
        loading->whole
            ? setting_put_whole(setting, value, loading->settings, loading->item, reason, sizeof reason)
            : setting_put(setting, value, loading->settings, loading->item, reason, sizeof reason);
    if (put)
        return;
    setting_complaint(setting, setting->name, value, reason, text, sizeof text);
    mistake(loading, place, "%s", text);
}

static void read_value(loading_t *loading, const setting_t *setting, const yaml_node_t *node)
{
    const char *value = take_text(loading, setting, node);
    loading->places[setting - settings_table] = place_of(node->start_mark);
    if (setting->of_certificate)
        keep_place(setting_field(setting, loading->settings, loading->item), place_of(node->start_mark));
    if (value != NULL)
        put_value(loading, setting, value, place_of(node->start_mark));
}

/* What is a list of values. */
static void read_values(loading_t *loading, const setting_t *setting, const yaml_node_t *node)
{
    bool list = node->type == YAML_SEQUENCE_NODE, needed = setting->required;
    bool alone = setting->type == SETTING_ALLOWED_ORIGINS && node->type == YAML_SCALAR_NODE;
    if (!needed)
        setting_begin_list(setting, loading->settings, loading->item);
    if (alone) {
        read_value(loading, setting, node);
        return;
    }
    if (!list || (needed && node->data.sequence.items.start == node->data.sequence.items.top)) {
        mistake(loading, place_of(node->start_mark), "%s %s; allowed is a list%s: %s", setting->name,
                list ? "is empty" : "is no list", needed ? " with at least one value" : "",
                setting_type_text(setting->type));
        return;
    }
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && !is_enough(loading); item++)
        read_value(loading, setting, yaml_document_get_node(&loading->document, *item));
}

/* One field, as the line that is sent. */
static void read_line(loading_t *loading, const setting_t *setting, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(&loading->document, pair->key);
    const char *name = take_text(loading, setting, key);
    const char *value = take_text(loading, setting, yaml_document_get_node(&loading->document, pair->value));
    if (name == NULL || value == NULL)
        return;
    size_t room = strlen(name) + strlen(value) + sizeof ": ";
    char *line = must_alloc(room);
    snprintf(line, room, "%s: %s", name, value);
    put_value(loading, setting, settings_keep(loading->settings, text_of(line)), place_of(key->start_mark));
    free(line);
}

/* What is a group of fields and their values. */
static void read_lines(loading_t *loading, const setting_t *setting, const yaml_node_t *node)
{
    if (node->type != YAML_MAPPING_NODE) {
        mistake(loading, place_of(node->start_mark), "%s is %s; allowed is %s", setting->name, kind_of(node),
                setting_type_text(setting->type));
        return;
    }
    loading->places[setting - settings_table] = place_of(node->start_mark);
    setting_begin_list(setting, loading->settings, loading->item);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top && !is_enough(loading); pair++)
        read_line(loading, setting, pair);
}

/* --- Groups and lists of groups --- */

static void read_group(loading_t *loading, const yaml_node_t *node, const char *path);

/* Forgets what the item before had. */
static void begin_item(loading_t *loading, const char *path)
{
    for (size_t i = 0; i < settings_table_count; i++)
        if (config_word(&settings_table[i], path) > 0)
            loading->seen[i] = false;
}

static void end_item(loading_t *loading, const char *path, config_place_t place)
{
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (config_word(setting, path) == 0 || !setting->required || loading->seen[i] ||
            strstr(setting->name + strlen(path), "[]") != NULL) /* of a list within */
            continue;
        mistake(loading, place, "%s is missing; each item of %.*s has one: %s", setting->name,
                (int)strlen(path) - 3, path, setting_type_text(setting->type));
    }
}

static bool is_rules(const char *path)
{
    return strcmp(path, "sites[].rules[].") == 0;
}

/* How many items a list of groups may have. */
static size_t most_items(const char *path)
{
    if (strcmp(path, "listen[].") == 0)
        return SETTINGS_LISTENERS_MAX;
    if (strcmp(path, "sites[].") == 0)
        return SETTINGS_SITES_MAX;
    if (strcmp(path, "disk[].") == 0)
        return SETTINGS_DISKS_MAX;
    if (is_rules(path))
        return SETTINGS_RULES_MAX;
    return strcmp(path, "certificates[].") == 0 ? SETTINGS_CERTIFICATES_MAX : SIZE_MAX;
}

/* A listener may be its URL alone, a disk PATH:SIZE. */
static const setting_t *find_short_form(const yaml_node_t *item, const char *path)
{
    if (item->type != YAML_SCALAR_NODE || is_null(item))
        return NULL;
    if (strcmp(path, "listen[].") == 0)
        return setting_find("listen[].url");
    return strcmp(path, "disk[].") == 0 ? setting_find("disk[].path") : NULL;
}

static void read_whole(loading_t *loading, const setting_t *setting, const yaml_node_t *node)
{
    loading->item = loading->settings->listener_count; /* of a listener, whose URL makes it one more */
    loading->whole = true;
    read_value(loading, setting, node);
    loading->whole = false;
}

static void read_item(loading_t *loading, const yaml_node_t *node, const char *path)
{
    config_place_t place = place_of(node->start_mark);
    size_t outer = loading->item;
    const setting_t *whole = find_short_form(node, path);
    if (whole != NULL) {
        read_whole(loading, whole, node);
        return;
    }
    if (node->type != YAML_MAPPING_NODE) {
        mistake(loading, place, "an item of %.*s is %s; allowed is a group of keys", (int)strlen(path) - 3,
                path, is_null(node) ? "empty" : kind_of(node));
        return;
    }
    begin_item(loading, path);
    if (strcmp(path, "sites[].") == 0)
        loading->item = settings_begin_site(loading->settings);
    else if (is_rules(path))
        loading->item = settings_begin_rule(loading->settings, outer);
    else if (strcmp(path, "listen[].") == 0)
        loading->item = loading->settings->listener_count; /* its URL makes it one more */
    else if (strcmp(path, "certificates[].") == 0)
        loading->item = settings_begin_certificate(loading->settings);
    else if (strcmp(path, "disk[].") == 0)
        loading->item = settings_begin_disk(loading->settings);
    read_group(loading, node, path);
    end_item(loading, path, place);
    loading->item = outer;
}

static void read_list(loading_t *loading, const yaml_node_t *node, const char *path)
{
    if (is_null(node))
        return;
    if (node->type != YAML_SEQUENCE_NODE) {
        mistake(loading, place_of(node->start_mark), "%.*s is %s; allowed is a list, each item behind a dash",
                (int)strlen(path) - 3, path, kind_of(node));
        return;
    }
    size_t count = 0;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top && !is_enough(loading); item++) {
        const yaml_node_t *each = yaml_document_get_node(&loading->document, *item);
        bool all_rules = is_rules(path) && loading->settings->rule_count == SETTINGS_RULES_MAX;
        if (count++ == most_items(path) || all_rules) {
            mistake(loading, place_of(each->start_mark),
                    "%.*s has one item too many; at most %zu are allowed%s", (int)strlen(path) - 3, path,
                    most_items(path), is_rules(path) ? " in all sites" : "");
            return;
        }
        read_item(loading, each, path);
    }
}

/* A key that the table knows: `child` is the first setting at or below it. */
static void read_child(loading_t *loading, const setting_t *child, const char *path, const yaml_node_t *node)
{
    char below[PATH_MAX_LENGTH];
    size_t length = strlen(path) + config_word(child, path);
    const char *rest = child->name + length;
    if (*rest == 0) {
        loading->seen[child - settings_table] = true;
        if (setting_is_list(child->type))
            read_values(loading, child, node);
        else if (child->type == SETTING_FIELD_LINES)
            read_lines(loading, child, node);
        else
            read_value(loading, child, node);
        return;
    }
    snprintf(below, sizeof below, "%.*s%s", (int)length, child->name, *rest == '[' ? "[]." : ".");
    if (*rest == '[')
        read_list(loading, node, below);
    else if (node->type == YAML_MAPPING_NODE)
        read_group(loading, node, below);
    else if (!is_null(node))
        mistake(loading, place_of(node->start_mark), "%.*s is %s; allowed is a group of keys", (int)length,
                child->name, kind_of(node));
}

static void read_pair(loading_t *loading, const yaml_node_pair_t *pair, const char *path, size_t *met)
{
    const yaml_node_t *key = yaml_document_get_node(&loading->document, pair->key);
    config_place_t place = place_of(key->start_mark);
    if (key->type != YAML_SCALAR_NODE) {
        mistake(loading, place, "a key is %s; allowed is a word", kind_of(key));
        return;
    }
    const char *word = (const char *)key->data.scalar.value;
    const setting_t *child = find_child(path, word);
    if (child == NULL) {
        unknown_key(loading, path, word, place);
        return;
    }
    size_t *line = &met[child - settings_table];
    if (*line != 0) {
        mistake(loading, place, "%s%s is given twice, first in line %zu; each key is allowed once", path,
                word, *line);
        return;
    }
    *line = place.line;
    read_child(loading, child, path, yaml_document_get_node(&loading->document, pair->value));
}

static void read_group(loading_t *loading, const yaml_node_t *node, const char *path)
{
    size_t met[SETTINGS_TABLE_MAX] = {0}; /* the line of each key, by its first setting */
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top && !is_enough(loading); pair++)
        read_pair(loading, pair, path, met);
}

/* --- The document --- */

static config_place_t place_of_offset(text_t bytes, size_t offset)
{
    config_place_t place = {1, 1};
    for (size_t i = 0; i < offset && i < bytes.length; i++) {
        place.column++;
        if (bytes.data[i] == '\n')
            place = (config_place_t){place.line + 1, 1};
    }
    return place;
}

static void syntax_error(loading_t *loading, const yaml_parser_t *parser, text_t bytes)
{
    MUST(parser->error != YAML_MEMORY_ERROR);
    bool unreadable = parser->error == YAML_READER_ERROR;
    config_place_t place =
        unreadable ? place_of_offset(bytes, parser->problem_offset) : place_of(parser->problem_mark);
    mistake(loading, place, "not YAML: %s; allowed is YAML 1.1 in UTF-8, such as `workers: 4`",
            parser->problem != NULL ? parser->problem : "it cannot be read");
}

static void read_document(loading_t *loading)
{
    const yaml_node_t *root = yaml_document_get_root_node(&loading->document);
    if (root == NULL || is_null(root))
        return;
    if (root->type == YAML_MAPPING_NODE)
        read_group(loading, root, "");
    else
        mistake(loading, place_of(root->start_mark),
                "the file is %s; allowed is a group of keys, such as `workers: 4`", kind_of(root));
}

/* False: there is none left, or a mistake ended it. */
static bool next_document(loading_t *loading, yaml_parser_t *parser, text_t bytes)
{
    if (yaml_parser_load(parser, &loading->document) == 0) {
        syntax_error(loading, parser, bytes);
        return false;
    }
    if (yaml_document_get_root_node(&loading->document) != NULL)
        return true;
    yaml_document_delete(&loading->document);
    return false;
}

/* The scanner's time grows with the square of how deep brackets nest. Those within quotes and comments count
 * too: they close again where people write them. Where it is too deep; the length: nowhere. */
static size_t find_too_deep(text_t bytes)
{
    size_t depth = 0, i = 0;
    for (; i < bytes.length && depth <= DEPTH_MAX; i++) {
        char byte = bytes.data[i];
        if (byte == '[' || byte == '{')
            depth++;
        else if (depth > 0 && (byte == ']' || byte == '}'))
            depth--;
    }
    return depth > DEPTH_MAX ? i - 1 : bytes.length;
}

/* False after a mistake. */
static bool check_bytes(loading_t *loading, text_t bytes)
{
    size_t deep = find_too_deep(bytes);
    if (bytes.length > CONFIG_BYTES_MAX)
        mistake(loading, (config_place_t){1, 1},
                "the file is larger than %d bytes; allowed are at most so many", CONFIG_BYTES_MAX);
    else if (deep < bytes.length)
        mistake(loading, place_of_offset(bytes, deep),
                "brackets nest too deep; allowed are %d within each other", DEPTH_MAX);
    return loading->mistakes == 0;
}

size_t config_load(text_t bytes, settings_t *settings, config_place_t *places, const config_report_t *report)
{
    MUST(settings_table_count <= SETTINGS_TABLE_MAX);
    loading_t loading = {.settings = settings, .places = places, .report = report};
    if (!check_bytes(&loading, bytes))
        return loading.mistakes;
    yaml_parser_t parser;
    MUST(yaml_parser_initialize(&parser) == 1);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(bytes.length > 0 ? bytes.data : ""),
                                 bytes.length);
    if (next_document(&loading, &parser, bytes)) {
        read_document(&loading);
        yaml_document_delete(&loading.document);
        if (next_document(&loading, &parser, bytes)) {
            mistake(&loading, place_of(yaml_document_get_root_node(&loading.document)->start_mark),
                    "a second document begins; allowed is one");
            yaml_document_delete(&loading.document);
        }
    }
    yaml_parser_delete(&parser);
    return loading.mistakes;
}
