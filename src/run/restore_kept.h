/* Has criu take a network namespace that was kept, where its images would have it make one. */
#pragma once

#include "../base/err.h"

/* The key by which criu is handed the network namespace. */
#define RESTORE_KEPT_NETWORK "isle-network"

/* Puts images in the place of those of init's network namespace; `images`: their folder, in this mount namespace; scratch: a folder
 * for the files. After a failure criu makes the network anew from what there was. */
int restore_kept_images(const char *images, const char *scratch, struct err *err);
