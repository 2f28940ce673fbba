/* From a config's [limits] to what the kernel is told. */
#pragma once

#include "../guest/record.h"
#include "../kernel/cgroup.h"

/* The kinds (CGROUP_BIT) whose keys differ; old NULL: those that are set in now. */
unsigned limits_changed(const struct spec *old, const struct spec *now);

/* The kind that a key is, CGROUP_KINDS when it is none. */
enum cgroup_kind limits_kind_of(const struct key *key);

/* What the spec asks for; the devices of `kinds` are found. The CPUs are record->cpuset, which lives as long as the record: see
 * limits_choose. */
int limits_of(const struct guest *guest, const struct spec *spec, const struct record *record, unsigned kinds,
	      struct cgroup_limits *ret, struct err *err);

/* Has the kernel count the traffic of the disks that the guest's root and configured mounts lie on, for its figures. Best
 * effort. */
void limits_count_disks(const struct guest *guest, const struct spec *spec, const char *cgroup);

/* Sets record->cpuset: the config's list, or the CPUs with the fewest guests of this instance on them, as many as auto:NUMBER says
 * or, for auto, and without a list for a guest that sees its own size (lxcfs.h), as cpus rounded up. What was chosen before stays
 * when it is as many. A new choice is saved with the record before anybody else can make one. */
int limits_choose(const struct guest *guest, const struct spec *spec, struct record *record, struct err *err);

/* More CPUs than any host has that isle runs on. */
#define LIMITS_CPUS 8192

/* Whether isle chooses the guest's CPUs, and may choose others while it runs. */
bool limits_are_placed(const struct spec *spec);

/* Marks the CPUs of the host in there[0..LIMITS_CPUS-1]. */
int limits_online(bool *there, struct err *err);
