/* foreign.c: see foreign.h. */
#include "save/foreign.h"
#include "base/mapped_file.h"
#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Kinds of files by the ends of their names. Of several that are there, the first in this order is named. */
static const struct {
    const char *end, *what, *advice;
} kinds[] = {
    {"ckpt.pt", "is a checkpoint as nanoGPT writes",
     "python3 data/nanogpt_ckpt.py turns it into a folder that can be read"},
    {".gguf", "is a gguf file, as llama.cpp reads", "give the folder with the safetensors that it was made from"},
    {"adapter_config.json", "belongs to a LoRA adapter of peft's, which is no model of its own",
     "merge it: model.merge_and_unload().save_pretrained(DIR)"},
    {"adapter_model.safetensors", "is a LoRA adapter of peft's, which is no model of its own",
     "merge it: model.merge_and_unload().save_pretrained(DIR)"},
    {"adapter_model.bin", "is a LoRA adapter of peft's, which is no model of its own",
     "merge it: model.merge_and_unload().save_pretrained(DIR)"},
    {"pytorch_model.bin", "is a pickle",
     "load it in transformers and save it by save_pretrained, which writes safetensors"},
    {"pytorch_model.bin.index.json", "says that the model is in several pickles",
     "load it in transformers and save it by save_pretrained, which writes safetensors"},
    {"train.bin", "is a file of tokens", "give a model's folder; a data folder belongs to --dataset"},
    {".bin", "may be weights of PyTorch's",
     "load them in transformers or torch and save the model by save_pretrained, which writes safetensors"},
    {".pt", "is a pickle", "save the model as safetensors, by transformers' save_pretrained"},
    {".pth", "is a pickle", "save the model as safetensors, by transformers' save_pretrained"},
    {".pkl", "is a pickle", "save the model as safetensors, by transformers' save_pretrained"},
    {".h5", "is TensorFlow's", "load it in transformers with from_tf=True, and save it by save_pretrained"},
    {".safetensors", "is a file", "give the folder that holds it, with its config.json and named model.safetensors"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const char *name) {
    size_t n = strlen(name);
    for (int i = 0; i < KINDS; i++) {
        size_t k = strlen(kinds[i].end);
        if (n >= k && !strcmp(name + n - k, kinds[i].end)) return i;
    }
    return KINDS;
}

static status explain_file(const char *path, error *e) {
    int kind = kind_of(path);
    if (kind < KINDS) return fail(e, BAD_INPUT, "%s %s; %s", path, kinds[kind].what, kinds[kind].advice);
    mapped_file f;
    TRY(file_map(path, "", &f, e));
    const char *mistaken = file_mistaken(&f);
    file_unmap(&f);
    return fail(e, BAD_INPUT, "%s is %s; a folder with config.json and model.safetensors is wanted here", path,
                mistaken ? mistaken : "a file");
}

static status explain_folder(const char *path, error *e) {
    DIR *folder = xfound(opendir(path));
    if (!folder) return OK;
    int best = KINDS;
    char *name = NULL;
    const struct dirent *d;
    while ((d = readdir(folder))) {
        int kind = kind_of(d->d_name);
        if (kind >= best || !strcmp(d->d_name, "model.safetensors") || !strcmp(d->d_name, "optimizer.safetensors") ||
            !strcmp(d->d_name, "training_args.bin") || !strcmp(d->d_name, "master.safetensors"))
            continue;
        free(name);
        name = xstrdup(d->d_name);
        best = kind;
    }
    closedir(folder);
    status s = OK;
    if (name) s = fail(e, BAD_INPUT, "%s/%s %s; %s", path, name, kinds[best].what, kinds[best].advice);
    free(name);
    return s;
}

status foreign_explain(const char *path, error *e) {
    struct stat info;
    if (stat(path, &info) != 0) return OK;
    return S_ISDIR(info.st_mode) ? explain_folder(path, e) : explain_file(path, e);
}
