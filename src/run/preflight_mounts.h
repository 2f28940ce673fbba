/* Mounts of a guest that criu could save, but never make again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Looks through a process's mountinfo (proc(5)), which is cut to pieces, for a mount of the file system `device` ("0:51") without
 * nodev. Its path goes to ret. */
bool preflight_mounts_bare(char *mountinfo, const char *device, char *ret, size_t size);

/* Looks through a process's mountinfo for a part of a tmpfs that is mounted whole nowhere in it, and that init (of_init: its
 * mountinfo) has nothing of: criu finds no beginning of it. Its path goes to ret. */
bool preflight_mounts_part(const char *mountinfo, const char *of_init, char *ret, size_t size);

/* The root file system's device in the mountinfo of a guest's init, "" when it is not mounted nodev. */
void preflight_mounts_root(char *mountinfo, char *ret, size_t size);
