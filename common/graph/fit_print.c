/* fit_print.c: what fit has chosen, in words. */
#include "config/config.h"
#include "graph/fit.h"
#include "graph/home.h"
#include <math.h>

char *fit_print(const fit_request *r, const fit_option *o, char *text, size_t size) {
    char peak[32], cap[32] = "no cap";
    if (r->limits.cap) bytes_print(r->limits.cap, cap, sizeof cap);
    int64_t n = r->run.sequences, parts = fit_parts(r, o->micro_batch);
    char last[64] = "", host[160] = "", there[96], bytes[32], policy[48];
    recompute_say(o->policy, o->layers, r->shape.layers, policy, sizeof policy);
    if (r->run.shards > 1)
        snprintf(last, sizeof last, r->run.ranks > 1 ? " in %d shards by %d processes" : " in %d shards", r->run.shards,
                 r->run.ranks);
    else if (n % o->micro_batch)
        snprintf(last, sizeof last, " (the last one %lld)", (long long)(n % o->micro_batch));
    if (o->host)
        snprintf(host, sizeof host, ", %s in %s of the host's memory",
                 home_print(o->offload, gpt_ranks(&r->run) > 1, there, sizeof there),
                 bytes_print(o->host, bytes, sizeof bytes));
    snprintf(text, size, "micro-batch %d x %lld%s, recompute %s, %s of %s%s%s", o->micro_batch, (long long)parts, last,
             policy, bytes_print(o->peak, peak, sizeof peak), cap, host,
             o->one_upload ? "" : ", no room for the tokens of a whole step");
    return text;
}

/* The cap in hundredths of a MiB, below it of a KiB, rounded up, so that it can be typed as it stands. */
status fit_refuse(const fit_request *r, const fit_option *o, error *e) {
    char cap[32], offload[32] = "", policy[32];
    recompute_print(o->policy, o->layers, r->shape.layers, policy, sizeof policy);
    bytes_print(r->limits.cap, cap, sizeof cap);
    if (o->offload) snprintf(offload, sizeof offload, ", offload=%s", offload_table[o->offload].name);
    unsigned long long missing = o->peak - r->limits.cap;
    bool small = o->peak < 1 << 20;
    double enough = ceil((double)o->peak / (small ? 1 << 10 : 1 << 20) * 100) / 100;
    const char *unit = small ? "KiB" : "MiB";
    if (r->micro_batch)
        return fail(e, NO_MEMORY,
                    "micro_batch_size %d does not fit in %s: with recompute=%s%s it needs %llu bytes more, "
                    "--vram_cap=%.2f%s; leave it out to have it fitted",
                    o->micro_batch, cap, policy, offload, missing, enough, unit);
    return fail(e, NO_MEMORY,
                "nothing that keeps the effective batch fits in %s: the smallest plan, micro-batch %d with "
                "recompute=%s%s, needs %llu bytes more, --vram_cap=%.2f%s",
                cap, o->micro_batch, policy, offload, missing, enough, unit);
}
