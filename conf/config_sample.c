/* The annotated sample, from the table. A `#` with a word right behind it hides a setting, `# ` begins a
 * comment. */
#include "conf/config.h"

enum { SAMPLE_WIDTH = 100, INDENT = 2, SAMPLE_TEXT_MAX = 1024 };

static void write_comment(FILE *out, int indent, const char *text)
{
    int column = 0;
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > 0 && (size_t)column + 1 + word > SAMPLE_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = fprintf(out, "%*s#", indent, "");
        column += fprintf(out, " %.*s", (int)word, text);
        text += word + strspn(text + word, " ");
    }
    fputc('\n', out);
}

/* Is the list one that a node can do without? */
static bool is_hidden_list(const char *path)
{
    return strcmp(path, "sites[].") != 0;
}

static void write_setting(FILE *out, const setting_t *setting, const char *word, int indent, bool hidden)
{
    char standard[160], range[160], text[SAMPLE_TEXT_MAX];
    const char *value = setting->standard[0] != NULL ? setting->standard[0] : setting->example;
    MUST(value != NULL);
    setting_default_text(setting, standard, sizeof standard);
    setting_range_text(setting, range, sizeof range);
    bool has_default = setting->standard[0] != NULL || setting->standard_words != NULL;
    snprintf(text, sizeof text, "%s %s%s.%s%s%s", setting->meaning,
             *range ? "Allowed: " : "A value: ", *range ? range : setting_type_text(setting->type),
             has_default ? " Default: " : "", has_default ? standard : "", has_default ? "." : "");
    write_comment(out, indent, text);
    const char *mark = hidden || !setting->required ? "#" : "";
    if (setting->type == SETTING_HOST_NAMES)
        fprintf(out, "%*s%s%s:\n%*s%s- %s\n", indent, "", mark, word, indent + INDENT, "", mark, value);
    else
        fprintf(out, "%*s%s%s: %s\n", indent, "", mark, word, value);
}

static void write_group(FILE *out, const char *path, int indent, bool hidden);

static void write_below(FILE *out, const setting_t *setting, const char *path, const char *word, int indent,
                        bool hidden)
{
    char below[128];
    bool is_list = setting->name[strlen(path) + strlen(word)] == '[';
    snprintf(below, sizeof below, "%s%s%s", path, word, is_list ? "[]." : ".");
    hidden = hidden || (is_list && is_hidden_list(below));
    const char *mark = hidden ? "#" : "";
    fprintf(out, "%*s%s%s:\n", indent, "", mark, word);
    if (is_list)
        fprintf(out, "%*s%s-\n", indent + INDENT, "", mark);
    write_group(out, below, indent + (is_list ? 2 * INDENT : INDENT), hidden);
}

/* Everything below a path, each word once, in the order of the table. */
static void write_group(FILE *out, const char *path, int indent, bool hidden)
{
    char word[64], before[SETTINGS_TABLE_MAX][64];
    size_t count = 0;
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        size_t length = config_word(setting, path), known = 0;
        if (length == 0)
            continue;
        snprintf(word, sizeof word, "%.*s", (int)length, setting->name + strlen(path));
        while (known < count && strcmp(before[known], word) != 0)
            known++;
        if (known < count)
            continue;
        memcpy(before[count++], word, sizeof word);
        if (indent == 0)
            fputc('\n', out);
        if (setting->name[strlen(path) + length] == 0)
            write_setting(out, setting, word, indent, hidden);
        else
            write_below(out, setting, path, word, indent, hidden);
    }
}

void config_sample(FILE *out)
{
    fputs(
        "# Selvedge's settings, every one of them. This is " SETTINGS_FILE ".\n"
        "# A setting behind a # shows its default, or an example of a value: take the # away to change it.\n"
        "# Sizes are numbers with an optional K, M or G; times are seconds.\n"
        "# `selvedge --config FILE --check` says everything that is wrong with a file.\n",
        out);
    write_group(out, "", 0, false);
}
