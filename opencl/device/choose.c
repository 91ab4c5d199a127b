/* choose.c: decides which device a selector means, and says what is missing if there is none. The list of devices and
   the signs of the machine are arguments, so that tests can make up any machine. */
#include "opencl/device/cl.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- why is there no GPU ---- */

static bool library_is_installed(const char *name) {
    static const char *const folders[] = {
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64",
        "/usr/lib/wsl/lib"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

/* Does a file of the ICD loader's folder have the word in its first line? */
static bool icd_mentions(const char *word) {
    const char *folder = getenv("OCL_ICD_VENDORS");
    if (!folder || !*folder) folder = "/etc/OpenCL/vendors";
    DIR *dir = xfound(opendir(folder));
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        char path[512], line[256] = "";
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *f = entry->d_name[0] == '.' ? NULL : xfound(fopen(path, "r"));
        if (!f) continue;
        found = fgets(line, sizeof line, f) && strstr(line, word);
        fclose(f);
    }
    if (dir) closedir(dir);
    return found;
}

static void look_for_render_nodes(device_signs *s) {
    for (int i = 128; i < 144; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/dri/renderD%d", i);
        if (access(path, F_OK) != 0) continue;
        s->render_node = true;
        s->render_node_opens |= access(path, R_OK | W_OK) == 0;
    }
}

device_signs device_signs_here(void) {
    device_signs s = {.nvidia_card = access("/dev/nvidiactl", F_OK) == 0,
                      .nvidia_library = library_is_installed("libnvidia-opencl.so.1"),
                      .nvidia_icd = icd_mentions("nvidia"),
                      .amd_card = access("/dev/kfd", F_OK) == 0,
                      .amd_card_opens = access("/dev/kfd", R_OK | W_OK) == 0,
                      .amd_icd = icd_mentions("amdocl") || icd_mentions("usticl")};
    look_for_render_nodes(&s);
    return s;
}

const char *device_advice(const device_signs *s) {
    if (s->nvidia_library && !s->nvidia_icd)
        return "NVIDIA's OpenCL library is here, but not the ICD file that names it: sudo mkdir -p "
               "/etc/OpenCL/vendors && echo libnvidia-opencl.so.1 | sudo tee /etc/OpenCL/vendors/nvidia.icd";
    if (s->nvidia_library && !s->nvidia_card)
        return "NVIDIA's OpenCL is installed, but no card is to be seen (/dev/nvidiactl): nvidia-smi says why; a "
               "container needs --gpus all";
    if (s->nvidia_card && !s->nvidia_library)
        return "an NVIDIA card is here without its OpenCL library: install nvidia-opencl-icd";
    if (s->amd_card && !s->amd_card_opens)
        return "an AMD card is here (/dev/kfd), but you may not open it: sudo usermod -aG render $USER, then log in "
               "again";
    if (s->amd_card && !s->amd_icd)
        return "an AMD card is here (/dev/kfd) without an OpenCL driver: install rocm-opencl-runtime";
    if (s->render_node && !s->render_node_opens)
        return "a GPU is here (/dev/dri), but you may not open it: sudo usermod -aG render $USER, then log in again";
    if (s->render_node && !s->nvidia_card)
        return "a GPU is here (/dev/dri) without an OpenCL driver that serves it: install its vendor's "
               "(intel-opencl-icd, rocm-opencl-runtime, nvidia-opencl-icd)";
    return "";
}

/* ---- choosing ---- */

static bool is_gpu(const device_info *d) { return d->type & CL_DEVICE_TYPE_GPU && d->available; }

/* The best GPU: discrete before integrated, then by memory. -1 if there is none. */
static int best_gpu(const device_info *list, int count) {
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (!is_gpu(&list[i])) continue;
        if (best < 0 || list[i].unified < list[best].unified ||
            (list[i].unified == list[best].unified && list[i].memory > list[best].memory))
            best = i;
    }
    return best;
}

static void explain_gpu(const device_info *list, int count, int chosen, char *why, size_t size) {
    int others = 0, other = -1;
    for (int i = 0; i < count; i++)
        if (i != chosen && is_gpu(&list[i])) {
            others++;
            other = i;
        }
    if (!others)
        snprintf(why, size, "the only GPU that OpenCL has here");
    else
        snprintf(why, size, "the %s with most memory; --device=opencl:%d is %s%s",
                 list[chosen].unified ? "GPU" : "discrete GPU", other, list[other].name,
                 others > 1 ? ", see `snug devices` for more" : "");
}

static void explain_lack(const device_info *list, int count, char *why, size_t size) {
    device_signs signs = device_signs_here();
    const char *advice = device_advice(&signs);
    if (count == 0)
        snprintf(why, size, "OpenCL finds no device: %s",
                 advice[0] ? advice
                           : "no driver is registered in /etc/OpenCL/vendors (install your GPU's, or pocl-opencl-icd)");
    else
        snprintf(why, size, "no GPU among the %d OpenCL device%s (opencl:0 is %s)%s%s", count, count > 1 ? "s" : "",
                 list[0].name, advice[0] ? "; " : "", advice);
}

static status choose_by_kind(const device_info *list, int count, const char *selector, int *index, char *why,
                             size_t size, error *e) {
    int gpu = best_gpu(list, count);
    bool any_type_does = !strcmp(selector, "opencl");
    if (gpu < 0 && (!any_type_does || count == 0)) {
        explain_lack(list, count, why, size);
        return fail(e, BAD_INPUT, "device '%s': %s; --device=cpu needs none", selector, why);
    }
    *index = gpu < 0 ? 0 : gpu;
    if (gpu >= 0)
        explain_gpu(list, count, gpu, why, size);
    else
        snprintf(why, size, "no GPU, the first OpenCL device");
    return OK;
}

static status choose_by_name(const device_info *list, int count, const char *selector, int *index, char *why,
                             size_t size, error *e) {
    const char *part = strncmp(selector, "opencl:", 7) == 0 ? selector + 7 : selector;
    int matches = 0, found = 0;
    for (int i = 0; i < count; i++)
        if (*part && strcasestr(list[i].name, part)) {
            found = i;
            matches++;
        }
    if (matches == 0)
        return fail(e, BAD_INPUT, "device '%s': no OpenCL device has that in its name; see `snug devices`", selector);
    if (matches > 1)
        return fail(e, BAD_INPUT, "device '%s' is part of %d device names: give more of one; see `snug devices`",
                    selector, matches);
    *index = found;
    snprintf(why, size, "chosen by name");
    return OK;
}

static bool is_alike(const device_info *a, const device_info *b) { return b->available && !strcmp(a->name, b->name); }

int devices_share_out(const device_info *list, int count, int chosen, int process, int *alike) {
    int index = chosen;
    *alike = 0;
    for (int i = 0; i < count; i++) *alike += is_alike(&list[chosen], &list[i]);
    for (int left = *alike ? process % *alike : 0; left > 0; left -= is_alike(&list[chosen], &list[index]))
        index = (index + 1) % count;
    return index;
}

bool devices_names_kind(const char *selector) {
    return !strcmp(selector, "auto") || !strcmp(selector, "cuda") || !strcmp(selector, "opencl");
}

status devices_choose(const device_info *list, int count, const char *selector, int *index, char *why, size_t size,
                      error *e) {
    why[0] = 0;
    if (devices_names_kind(selector)) return choose_by_kind(list, count, selector, index, why, size, e);
    if (strncmp(selector, "opencl:", 7) != 0 || !isdigit((unsigned char)selector[7]))
        return choose_by_name(list, count, selector, index, why, size, e);
    char *end;
    long n = strtol(selector + 7, &end, 10);
    if (*end || n >= count)
        return fail(e, BAD_INPUT, "device '%s': there are %d OpenCL devices, counted from 0; see `snug devices`",
                    selector, count);
    *index = (int)n;
    snprintf(why, size, "chosen by number");
    return OK;
}
