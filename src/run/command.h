/* A command line as the config has it, split into words. */
#pragma once

/* Blanks separate, "..." keeps them. NULL-ended; free with command_free. NULL when memory ran out or a quote is open. */
char **command_split(const char *text);
void command_free(char **argv);
