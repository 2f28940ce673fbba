/* Mounts by descriptor (open_tree, fsopen, move_mount): no path that a guest can influence is ever resolved twice. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

/* A new instance of a file system as a detached mount. options: NULL-ended pairs of key and value, value NULL for a flag;
 * attributes: MOUNT_ATTR_*. Returns the descriptor or -errno. */
int mount_new(const char *type, const char *const *options, uint64_t attributes, struct err *err);

/* A detached copy of what is mounted at path below dir_fd (O_PATH descriptors allowed with path ""). It is private: nothing that is
 * mounted on the copy or on what it was made of shows on the other. */
int mount_copy(int dir_fd, const char *path, bool recursive, struct err *err);

/* Exchanges a detached mount for a copy of which nobody can take off read-only, nosuid, nodev or noexec, not even the owner of the
 * mount namespace that it is moved to (mount_namespaces(7), "Restrictions"). */
int mount_lock(int *tree_fd, struct err *err);

/* Sets MOUNT_ATTR_* on a detached or attached mount; recursive applies to all below. */
int mount_attributes(int mount_fd, uint64_t set, uint64_t clear, bool recursive, struct err *err);

/* Maps ids of a detached mount by a user namespace. -EINVAL (with a hint) when the file system cannot. */
int mount_idmap(int mount_fd, int userns_fd, struct err *err);

/* Attaches a detached mount on target_fd (an O_PATH descriptor of a file or folder). what: for messages. */
int mount_attach(int mount_fd, int target_fd, const char *what, struct err *err);

/* Every mount of the calling process's namespace becomes private. */
int mount_make_private(struct err *err);

/* Makes root_fd (an attached mount, current folder or not) the root and detaches all of the old one. cwd becomes /. */
int mount_pivot(int root_fd, struct err *err);
