/* fuzz_state.c: any text as state.json, as it is and with the checksum that belongs to it: refused in one line, or what
   is written again reads back the same. */
#include "save/run_state.h"
#include "support_fuzz.h"

static void read_text(const void *text, size_t bytes) {
    error e = {""};
    run_state s, again;
    char *path = fuzz_file("state.json", text, bytes);
    status r = run_state_read(path, &s, &e);
    fuzz_check_error(r, &e);
    if (r == OK) {
        FUZZ_ASSERT(s.iter >= 0 && s.serial >= 0 && s.n_parts > 0);
        FUZZ_ASSERT(run_state_write(path, &s, &e) == OK && run_state_read(path, &again, &e) == OK);
        FUZZ_ASSERT(again.iter == s.iter && again.serial == s.serial && again.n_settings == s.n_settings);
        FUZZ_ASSERT(again.n_parts == s.n_parts && again.evaluated == s.evaluated && s.parts[0].from == 0);
        for (int i = 0; i < s.n_parts; i++)
            FUZZ_ASSERT(again.parts[i].from == s.parts[i].from && !strcmp(again.parts[i].gemm, s.parts[i].gemm));
        for (int i = 0; i < s.n_settings; i++)
            FUZZ_ASSERT(!strcmp(run_state_get(&again, s.settings[i].key), s.settings[i].value));
        for (int i = 0; i < RUN_FILES; i++) FUZZ_ASSERT(!strcmp(again.sha256[i], s.sha256[i]));
        run_state_free(&again);
        run_state_free(&s);
    }
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char hex[HASH_HEX];
    read_text(data, size);
    hash_bytes(data, size, hex);
    char *text = xprintf("%.*s,\n \"checksum\": \"%s\"\n}\n", (int)size, (const char *)data, hex);
    read_text(text, strlen(text));
    free(text);
    return 0;
}
