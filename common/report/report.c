/* report.c: see report.h. Writes the page's head, style and end; its parts are report_run.c's and
   report_equivalence.c's. */
#include "report/report.h"
#include "report/chart.h"
#include "base/terminal.h"
#include "base/files.h"
#include "report/memory_map.h"
#include "report/report_internal.h"
#include "report/svg.h"
#include "base/version.h"
#include "base/memory_file.h"
#include <math.h>
#include <stdlib.h>

static const char STYLE[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1a1a1a;--dim:#5a6270;--line:#dfe3e8;--card:#f4f6f8;--s0:#1f5fbf;"
    "--s1:#d1571b;--s2:#2e8b57;--s3:#8d4bb8;--s4:#a57c00;--s5:#c2255c}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14161a;--fg:#e6e6e6;--dim:#a4adba;--line:#30353d;--card:#1d2127;"
    "--s0:#6ea3f5;--s1:#f08a4b;--s2:#5fc98e;--s3:#c08ae0;--s4:#d9b64a;--s5:#f06f9b}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1232px;padding:24px;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:24px;margin:0}h2{font-size:18px;margin:36px 0 12px}p{margin:6px 0;overflow-wrap:anywhere}"
    ".dim{color:var(--dim)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:10px;margin:18px 0}\n"
    ".tile{background:var(--card);border-radius:8px;padding:10px 12px;color:var(--dim);font-size:13px}\n"
    ".tile b{display:block;color:var(--fg);font-size:19px;overflow-wrap:anywhere}\n"
    ".row{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:20px;margin-top:14px}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}"
    "td,th{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere;"
    "vertical-align:top}td.n,th.n{text-align:right;padding-right:24px}td.n{white-space:nowrap}th{overflow-wrap:normal}"
    "\n"
    "pre{background:var(--card);border-radius:8px;padding:10px 12px;margin:6px 0;font-size:13px;white-space:pre-wrap;"
    "overflow-wrap:anywhere}summary{cursor:pointer;margin:10px 0}code{font-size:.92em}\n"
    ".yes{color:var(--s2);font-weight:600}.no{color:var(--s5);font-weight:600}svg{max-width:100%;display:block}\n"
    "span.desk{display:inline}.phone{display:none}@media(max-width:700px){body{padding:16px}.phone{display:block}span."
    "phone{display:"
    "inline}.desk,span.desk{display:none}"
    "td,th,td.n,th.n{padding-right:6px;font-size:12px}}\n";

void report_put_tile(FILE *f, const char *value, const char *what) {
    fputs("<div class=\"tile\"><b>", f);
    html_print(f, value);
    fputs("</b>", f);
    html_print(f, what);
    fputs("</div>\n", f);
}

const char *report_text(const cJSON *object, const char *key) {
    const cJSON *v = json_get(object, key);
    return cJSON_IsString(v) ? v->valuestring : "";
}

double report_number(const cJSON *object, const char *key) {
    const cJSON *v = json_get(object, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

static void put_page(FILE *f, const char *out, const report_data *d) {
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>snug: ",
          f);
    html_print(f, out);
    fputs("</title>\n<style>\n", f);
    fputs(STYLE, f);
    chart_style(f);
    memory_map_style(f);
    fputs("</style></head><body>\n<h1>snug: ", f);
    html_print(f, out);
    fputs("</h1>\n", f);
    if (d->logged || d->facts) report_put_run(f, d);
    if (d->equivalence) report_put_equivalence(f, d->equivalence);
    fprintf(f, "<p class=\"dim\">Made by snug %s from what lies in the folder", snug_version());
    fputs("; <code>snug report</code> makes it again.</p>\n</body></html>\n", f);
}

status report_update(const char *out, report_data *d, error *e) {
    TRY(report_read(out, d, e));
    char *text = NULL, *path = xprintf("%s/report.html", out);
    size_t bytes = 0;
    status s = file_check_plain(path, e);
    if (s == OK) {
        FILE *f = memory_file(&text, &bytes);
        put_page(f, out, d);
        fclose(f);
        s = file_write(path, text, bytes, false, NULL, e);
    }
    free(text);
    free(path);
    return s;
}

status report_write(const char *out, error *e) {
    report_data d = {0};
    status s = report_update(out, &d, e);
    report_free(&d);
    return s;
}

status report_run(const config *c, error *e) {
    const char *out = c->n_positional ? c->positional[0] : c->out_dir;
    TRY(report_write(out, e));
    text_print(stdout, "%s/report.html\n", out);
    return OK;
}
