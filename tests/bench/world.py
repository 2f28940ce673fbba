"""The namespaces that a run of the bench lives in: what it mounts and links is gone when its last process is."""

import ctypes
import os
import subprocess

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000


def command(*argv):
    subprocess.run(argv, check=True)


def enter(folder, lxc_ids):
    """A network and a mount namespace of our own, with a /sys that shows this network and a subuid table for LXC."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise SystemExit(f"bench: make namespaces: {os.strerror(error)} (it must run as root)")
    command("mount", "--make-rprivate", "/")
    # LXC asks /sys/class/net whether a link is a bridge; the host's /sys shows the host's links.
    kept = f"{folder}/cgroup"
    os.mkdir(kept)
    command("mount", "--rbind", "/sys/fs/cgroup", kept)
    command("mount", "-t", "sysfs", "-o", "nosuid,nodev,noexec", "sysfs", "/sys")
    command("mount", "--move", kept, "/sys/fs/cgroup")
    with open(f"{folder}/subid", "w", encoding="ascii") as file:
        file.write(f"root:{lxc_ids}:65536\n")
    for table in ("/etc/subuid", "/etc/subgid"):
        if os.path.exists(table):
            command("mount", "--bind", f"{folder}/subid", table)
    # In production the run folder is below /run, a tmpfs, and criu keeps its notes of the kernel there.
    if not os.path.isdir("/run/systemd/system"):
        command("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
        os.mkdir("/run/lock", 0o1777)
    os.makedirs(f"{folder}/isle/run", 0o700, exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", f"{folder}/isle/run")
    command("ip", "link", "set", "lo", "up")


def bridge(name, address):
    command("ip", "link", "add", name, "type", "bridge")
    command("ip", "address", "add", address, "dev", name)
    command("ip", "link", "set", name, "up")
