/* shell_word.h: text for command lines that people are to type. */
#ifndef SNUG_SHELL_WORD_H
#define SNUG_SHELL_WORD_H

/* The text as one word of a shell's command line, quoted if it has to be; the caller frees it. */
char *shell_word(const char *text);

#endif
