/* The devices of a guest: which it was given, what it may open, and their changes while it runs. */
#pragma once

#include "run.h"

/* Where a node is below /dev: "dri/card0". */
const char *devices_path(const struct record_device *device);

/* What the host has for a [device] section, as the record notes it (phase '='). netlink: of the host's network, for interfaces.
 * -ENOENT or -ENODEV when there is none, -ENOTSUP when it is no device. */
struct netlink;
int devices_find(const struct spec_device *section, struct netlink *netlink, struct record_device *ret, struct err *err);

/* Puts the program for the record's devices on the guest's control group; those that are being removed are left out. -EOPNOTSUPP as
 * bpfdev_attach. */
int devices_allow(const struct record *record, struct err *err);

/* Makes the node of a section for a guest whose ids begin at ids (0: privileged); *ret is a detached mount. */
int devices_make_nodes(const struct spec *spec, const struct record *record, int *ret, struct err *err);

/* True when every guest may open and use what the path names, or it is no device at all. */
bool devices_usual(int fd);

/* The network namespace of a guest whose init may end now or has ended: from init, or from the monitor, which holds it too. Nothing
 * without interfaces: those of the host come back, and the others' counters are read before they go. */
void devices_hold_network(struct run *run);

/* Interfaces (devices_nic.c). Moves one in, and notes its index there; and back, under the name that it had. */
int devices_nic_give(struct record_device *device, pid_t init_pid, struct err *err);
int devices_nic_take_back(const struct record_device *device, int netns_fd, struct err *err);

/* Live (devices_live.c). The caller holds the lock of a guest that runs; spec is the config with the new section. The device is
 * there afterwards, and on record as being added: devices_settle when the config is saved, devices_live_remove when it is not. */
int devices_live_add(struct guest *guest, const struct spec *spec, const char *name, struct err *err);
int devices_live_remove(struct guest *guest, const char *name, struct err *err);
/* Notes the phase of a device, '=' or '-', before and after the config is saved. */
int devices_live_note(struct guest *guest, const char *name, char phase, struct err *err);

/* Finishes what a killed command had begun, as the record of the running guest tells: the config says which way. */
int devices_repair(struct guest *guest, const struct record *record, struct err *err);
