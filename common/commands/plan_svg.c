/* plan_svg.c: `snug plan --svg=FILE`: writes the chosen plan's memory map, which memory_map.h draws, to a file. */
#include "base/files.h"
#include "base/terminal.h"
#include "report/memory_map.h"
#include "commands/plan_command.h"
#include "base/memory_file.h"
#include <stdlib.h>

static void draw(const plan_report *r, const gpt *g, const plan *p, FILE *f) {
    char count[16], title[160], caption[400], chosen[256];
    snprintf(title, sizeof title, "Memory of one step: %s parameters, %lld sequences",
             count_print(gpt_parameters(&r->request.shape), count), (long long)r->request.run.sequences);
    snprintf(caption, sizeof caption, "%s. Point at a rectangle for its name, shape and bytes.",
             fit_print(&r->request, &r->chosen, chosen, sizeof chosen));
    memory_map_draw(f, &(map_source){g->graph, p, r->request.limits.cap, title, caption}, MAP_ALONE);
}

status plan_svg(const plan_report *r, const char *path, error *e) {
    gpt gpt;
    plan p;
    char *text = NULL;
    size_t bytes = 0;
    TRY(fit_plan(&r->request, &r->chosen, &gpt, &p, e));
    FILE *f = memory_file(&text, &bytes);
    draw(r, &gpt, &p, f);
    fclose(f);
    status s = file_write(path, text, bytes, false, NULL, e);
    free(text);
    plan_free(&p);
    gpt_free(&gpt);
    return s;
}
