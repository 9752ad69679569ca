/* Which build of libh2o was loaded: the note that the linker put into it. */
#include <elf.h>
#include <link.h>

#include "edge/guard/self_test.h"

static const char *const known[] = {
    "e9278314b4aaff55d4b48a66bf6130574075633d", /* Debian 12, 2.2.5+dfsg2-7, amd64 */
};

typedef struct {
    char *id;
    bool found;
} search_t;

static void write_hex(const uint8_t *bytes, size_t length, char id[GUARD_BUILD_ID_MAX])
{
    size_t most = (GUARD_BUILD_ID_MAX - 1) / 2;
    for (size_t i = 0; i < length && i < most; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* Walks the notes of one segment: each a header, a name and a description, both padded to four bytes. */
static bool find_in_notes(const uint8_t *at, size_t length, char id[GUARD_BUILD_ID_MAX])
{
    ElfW(Nhdr) note;
    while (length >= sizeof note) {
        memcpy(&note, at, sizeof note);
        size_t name = ((size_t)note.n_namesz + 3) & ~(size_t)3,
               size = ((size_t)note.n_descsz + 3) & ~(size_t)3;
        if (name > length - sizeof note || size > length - sizeof note - name)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(at + sizeof note, "GNU", 4) == 0) {
            write_hex(at + sizeof note + name, note.n_descsz, id);
            return true;
        }
        at += sizeof note + name + size;
        length -= sizeof note + name + size;
    }
    return false;
}

static int look(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    search_t *search = context;
    if (object->dlpi_name == NULL || strstr(object->dlpi_name, "libh2o-evloop") == NULL)
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum && !search->found; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            search->found = find_in_notes((const uint8_t *)(uintptr_t)(object->dlpi_addr + part->p_vaddr),
                                          part->p_memsz, search->id);
    }
    return 1;
}

bool guard_knows_library(char id[GUARD_BUILD_ID_MAX])
{
    search_t search = {.id = id};
    id[0] = '\0';
    dl_iterate_phdr(look, &search);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(id, known[i]) == 0)
            return true;
    return false;
}
