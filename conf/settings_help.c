/* What the table says of itself: --help, --explain, and the setting that was probably meant. */
#include "conf/settings_table.h"

enum { HELP_WIDTH = 100, HELP_COLUMN = 34, NEAREST_LENGTH_MAX = 64 };

/* Writes words from `column` on, wrapped and indented to `indent`; ends the line. */
static void write_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > indent && column + 1 + word > HELP_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column < indent) {
            fprintf(out, "%*s", (int)(indent - column), "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, word, out);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void setting_default_text(const setting_t *setting, char *text, size_t capacity)
{
    if (setting->standard[0] == NULL)
        snprintf(text, capacity, "%s",
                 setting->standard_words != NULL ? setting->standard_words : "none, it must be given");
    else if (setting->standard[1] == NULL)
        snprintf(text, capacity, "%s", setting->standard[0]);
    else
        snprintf(text, capacity, "%s and %s", setting->standard[0], setting->standard[1]);
}

static void help_line(FILE *out, const char *option, const char *placeholder, const char *text)
{
    int column = fprintf(out, "  %s %s", option, placeholder);
    /* An option too long for its column gets a line of its own. */
    if (column >= HELP_COLUMN - 1) {
        fputc('\n', out);
        column = 0;
    }
    write_wrapped(out, text, (size_t)column, HELP_COLUMN);
}

void settings_help(FILE *out)
{
    fputs("Usage: selvedge --origin URL [OPTION VALUE]...\n"
          "       selvedge [--config FILE] [OPTION VALUE]...\n"
          "       selvedge [--config FILE] --check\n"
          "An HTTP/2 edge in front of an origin, with a memory cache and purge.\n\n",
          out);
    for (size_t i = 0; i < settings_table_count; i++) {
        const setting_t *setting = &settings_table[i];
        if (setting->option == NULL)
            continue;
        char standard[160], text[640];
        setting_default_text(setting, standard, sizeof standard);
        snprintf(text, sizeof text, "%s Default: %s.", setting->meaning, standard);
        help_line(out, setting->option, setting->placeholder, text);
    }
    help_line(out, "--config", "FILE",
              "Read settings from FILE (YAML); options win over it. Default: " SETTINGS_FILE
              ", where it exists and no --origin is given.");
    help_line(
        out, "--check", "",
        "Say everything that is wrong with the file and the options, and with the certificates, keys and "
        "tokens that they name; exit with 0 or 1.");
    help_line(out, "--sample", "", "A file with every setting in it, explained.");
    help_line(out, "--explain", "[SETTING]",
              "All about one setting, by name or option, or about all of them.");
    help_line(out, "--version", "", "The version.");
    help_line(out, "-h, --help", "", "This text.");
    fputs("\nAn option given twice counts the last time, except --listen and --disk, which add up.\n"
          "An option that is one of a site (--forward, --origin-host and others) is for all sites of the "
          "file.\n\n"
          "Example: selvedge --origin http://127.0.0.1:8000 --listen http://127.0.0.1:8080 --memory 512M\n",
          out);
}

static void explain_line(FILE *out, const char *label, const char *text)
{
    int column = fprintf(out, "  %-9s", label);
    write_wrapped(out, text, (size_t)column, 12);
}

void settings_explain(FILE *out, const setting_t *setting)
{
    char text[320];
    fprintf(out, "%s\n", setting->name);
    explain_line(out, "", setting->meaning);
    snprintf(text, sizeof text, "%s %s",
             setting->option != NULL ? setting->option : "none: only the file has it",
             setting->option != NULL ? setting->placeholder : "");
    explain_line(out, "option", text);
    setting_range_text(setting, text, sizeof text);
    if (setting->type != SETTING_CHOICE && setting->type != SETTING_WORD)
        explain_line(out, "value", setting_type_text(setting->type));
    if (*text != 0)
        explain_line(out, "allowed", text);
    explain_line(out, "reload", setting->reload ? "a running node takes a new value" : "needs a restart");
    setting_default_text(setting, text, sizeof text);
    explain_line(out, "default", text);
    fputc('\n', out);
}

const setting_t *setting_find(const char *name_or_option)
{
    for (size_t i = 0; i < settings_table_count; i++)
        if (strcmp(name_or_option, settings_table[i].name) == 0 ||
            (settings_table[i].option != NULL && strcmp(name_or_option, settings_table[i].option) == 0))
            return &settings_table[i];
    return NULL;
}

/* Levenshtein 1966. */
size_t setting_distance(const char *a, const char *b)
{
    size_t row[NEAREST_LENGTH_MAX + 1];
    size_t width = strlen(b);
    if (strlen(a) > NEAREST_LENGTH_MAX || width > NEAREST_LENGTH_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != 0; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            size_t inserted = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = changed < inserted ? changed : inserted;
        }
    }
    return row[width];
}

/* Against the name, its last word, and the option without its dashes. */
static size_t distance_to(const char *text, const setting_t *setting)
{
    const char *dot = strrchr(setting->name, '.');
    const char *word = dot != NULL ? dot + 1 : setting->name;
    const char *forms[] = {setting->name, word, setting->option != NULL ? setting->option + 2 : word};
    size_t smallest = SIZE_MAX;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t d = setting_distance(text, forms[i]);
        smallest = d < smallest ? d : smallest;
    }
    return smallest;
}

static const setting_t *nearest_of(const char *name_or_option, bool options_only)
{
    char text[NEAREST_LENGTH_MAX + 1];
    const char *start = name_or_option + strspn(name_or_option, "-");
    size_t length = strcspn(start, "=");
    if (length == 0 || length > NEAREST_LENGTH_MAX)
        return NULL;
    memcpy(text, start, length);
    text[length] = 0;
    const setting_t *nearest = NULL;
    size_t smallest = length / 3 + 1;
    for (size_t i = 0; i < settings_table_count; i++) {
        if (options_only && settings_table[i].option == NULL)
            continue;
        size_t d = distance_to(text, &settings_table[i]);
        if (d <= smallest && (nearest == NULL || d < smallest)) {
            smallest = d;
            nearest = &settings_table[i];
        }
    }
    return nearest;
}

const setting_t *setting_nearest(const char *name_or_option)
{
    return nearest_of(name_or_option, false);
}

const setting_t *setting_nearest_option(const char *option)
{
    return nearest_of(option, true);
}
