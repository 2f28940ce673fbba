"""Guests put to sleep and woken, against runc and LXC where their checkpoints work, and clones of running guests."""

import glob
import json
import os
import shutil
import subprocess

from measure import Failed, wait_until
from peers import cgroup_folders

CRIU = "/usr/local/lib/isle/criu"
CLONES = 4
DIRTY = 256
HELD_S = 60
HOLD = f"rm -f /held; mkfifo /held; sleep 100000 </held & exec dd if=/dev/urandom of=/held bs={DIRTY}M count=1 iflag=fullblock"
HOLD_BEHIND = f"({HOLD}) >/dev/null 2>&1 </dev/null &"


def help_peers(folder, program):
    """A folder for PATH with what runc and LXC need on hosts where their checkpoints could not work: isle's private criu, with the
    library that spares it a power of the host's root, and no packet filter, which by criu's default is iptables'."""
    shim = f"{os.path.dirname(program)}/isle-criu.so"
    scripts = {"criu": f'ISLE_CRIU_PRELOAD={shim} exec {CRIU}/criu "$@"', "iptables-restore": "exit 0", "ip6tables-restore": "exit 0"}
    os.makedirs(f"{folder}/bin", exist_ok=True)
    for name, text in scripts.items():
        with open(f"{folder}/bin/{name}", "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(f"{folder}/bin/{name}", 0o755)
    return f"{folder}/bin"


def size_of(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder))


class IsleSleeper:
    label = "isle"

    def __init__(self, bench):
        self.isle = bench.isle
        self.runner = bench.runner

    def begin(self, name):
        self.isle.create(name)
        self.runner.run(self.isle.start_command(name))

    def hold(self, name):
        self.runner.run(self.isle.command("exec", name, "--", "/bin/sh", "-c", HOLD_BEHIND))

    def sleep(self, name):
        """Times in ms: of the command, and for how long the guest stood still; and the size of the images."""
        begin, end = self.runner.run(self.isle.command("--json", "checkpoint", name))
        with open(self.runner.output, encoding="ascii") as file:
            made = json.load(file)
            return (end - begin) / 1e6, made["frozen_seconds"] * 1000, made["bytes"]

    def wake(self, name):
        begin, end = self.runner.run(self.isle.start_command(name))
        return (end - begin) / 1e6

    def end(self, name):
        self.isle.destroy(name)


class Runc:
    """A container of the same files, without a network: less than the others carry. What is executed in it later it cannot restore,
    so its init is what holds memory, once it is told to."""

    label = "runc"

    def __init__(self, bench, folder, rootfs, tools):
        self.runner = bench.runner
        self.tools = tools
        self.folder = f"{folder}/runc"
        self.rootfs = rootfs
        self.group = f"isle-bench-{os.getpid()}-runc"
        os.makedirs(self.folder, exist_ok=True)

    def command(self, *words):
        return ["/usr/sbin/runc", "--root", f"{self.folder}/state", "--criu", f"{self.tools}/criu", *words]

    def detached(self, *words):
        """A file of the host's among its descriptors could not be carried."""
        self.runner.run(["/bin/sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh", *self.command(*words)])

    def begin(self, name):
        bundle = f"{self.folder}/{name}"
        os.makedirs(f"{bundle}/rootfs")
        subprocess.run(["cp", "-a", f"{self.rootfs}/.", f"{bundle}/rootfs"], check=True)
        subprocess.run([*self.command("spec"), "--bundle", bundle], check=True)
        with open(f"{bundle}/config.json", encoding="utf-8") as file:
            spec = json.load(file)
        spec["process"]["terminal"] = False
        spec["process"]["args"] = ["/bin/sh", "-c", f"mkfifo /go; read go </go; {HOLD}"]
        spec["root"]["readonly"] = False
        spec["linux"]["cgroupsPath"] = f"/{self.group}/{name}"
        with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
            json.dump(spec, file)
        self.detached("run", "-d", "--bundle", bundle, name)

    def hold(self, name):
        with open(f"{self.folder}/{name}/rootfs/go", "w", encoding="ascii") as file:
            file.write("\n")

    def sleep(self, name):
        images = f"{self.folder}/{name}/images"
        begin, end = self.runner.run(self.command("checkpoint", "--image-path", images, "--work-path", images, name))
        return (end - begin) / 1e6, None, size_of(images)

    def wake(self, name):
        images = f"{self.folder}/{name}/images"
        begin, end = self.runner.run(
            self.command("restore", "-d", "--bundle", f"{self.folder}/{name}", "--image-path", images, "--work-path", images, name)
        )
        shutil.rmtree(images)
        return (end - begin) / 1e6

    def end(self, name):
        subprocess.run(self.command("delete", "--force", name), check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(f"{self.folder}/{name}", ignore_errors=True)
        for path in cgroup_folders(self.group):
            for folder, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass


class LxcSleeper:
    label = "lxc"

    def __init__(self, bench):
        self.lxc = bench.lxc
        self.runner = bench.runner

    def begin(self, name):
        self.lxc.create_full(name)
        with open(f"{self.lxc.folder}/{name}/config", "a", encoding="ascii") as file:  # as lxc-checkpoint(1) wants it
            file.write("lxc.console.path = none\nlxc.tty.max = 0\nlxc.pty.max = 1\n")
        self.runner.run(self.lxc.start_command(name))

    def hold(self, name):
        words = ["--", "/bin/sh", "-c", HOLD_BEHIND]
        self.runner.run(["/usr/bin/lxc-attach", "-P", self.lxc.folder, "-n", name, *words])

    def command(self, name, *words):
        return ["/usr/bin/lxc-checkpoint", "-P", self.lxc.folder, "-n", name, "-D", f"{self.lxc.folder}/{name}/images", *words]

    def sleep(self, name):
        images = f"{self.lxc.folder}/{name}/images"
        begin, end = self.runner.run(self.command(name, "-s"))
        subprocess.run(["chmod", "-R", "a+rX", images], check=True)  # criu reads them as the guest's root
        return (end - begin) / 1e6, None, size_of(images)

    def wake(self, name):
        begin, end = self.runner.run(self.command(name, "-r"))
        shutil.rmtree(f"{self.lxc.folder}/{name}/images")
        return (end - begin) / 1e6

    def end(self, name):
        subprocess.run(self.lxc.stop_command(name), check=False, stderr=subprocess.DEVNULL)
        self.lxc.remove(name)


def works(bench, peer, name):
    """Whether it can be done at all there; else why not becomes a note."""
    try:
        peer.begin(name)
        peer.sleep(name)
        peer.wake(name)
        return True
    except (Failed, OSError, subprocess.SubprocessError) as error:
        bench.notes.append(f"{peer.label} cannot put its guest to sleep and wake it here: {str(error).splitlines()[-1][-200:]}")
        peer.end(name)
        return False


def holders():
    """How many processes hold that much memory."""
    count = 0
    for status in glob.glob("/proc/[0-9]*/statm"):
        try:
            with open(status, encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
            with open(os.path.join(os.path.dirname(status), "cmdline"), "rb") as file:
                count += resident >= DIRTY << 20 and b"/held" in file.read()
        except OSError:
            continue  # it has ended
    return count


def measure(bench, folder, rows):
    """rows: idle and dirty names of the rows for frozen, sleep and wake."""
    tools = help_peers(folder, bench.isle.program)
    bench.runner.environment["PATH"] = f"{tools}:{bench.runner.environment['PATH']}"
    peers = [IsleSleeper(bench), LxcSleeper(bench)]
    if os.path.exists("/usr/sbin/runc"):
        peers.append(Runc(bench, folder, bench.lxc.shared, tools))
    else:
        bench.notes.append("runc is not installed")
    peers = [peer for peer in peers if works(bench, peer, "sleeper")]
    try:
        compare(bench, peers, rows)
    finally:
        for peer in peers:
            peer.end("sleeper")


def compare(bench, peers, rows):
    for dirty in (False, True):
        if dirty:
            for peer in peers:
                peer.hold("sleeper")
            wait_until(lambda: holders() == len(peers), HELD_S, "the memory is filled")
        for i, _ in enumerate(bench.rounds()):
            for peer in peers if i % 2 == 0 else reversed(peers):
                slept, frozen, size = peer.sleep("sleeper")
                woken = peer.wake("sleeper")
                if dirty and size < DIRTY << 20:
                    raise Failed(f"{peer.label}: of {DIRTY} MiB in memory only {size >> 20} are in its images")
                rows["dirty" if dirty else "idle"](peer.label, slept, frozen, woken)


def clone(bench, source, add_one):
    """Clones of a guest that runs, alone and several at once."""
    runner, isle = bench.runner, bench.isle
    for _ in bench.rounds():
        begin, end = runner.run(isle.command("clone", "--live", source, "clone"))
        add_one("clone", (end - begin) / 1e6)
        isle.destroy("clone")
        begin, end = runner.run(isle.command("clone", "--live", "--count", str(CLONES), source, "clone"))
        add_one("clone-of-4", (end - begin) / 1e6 / CLONES)
        for i in range(CLONES):
            isle.destroy(f"clone-{i + 1}")


def debian(bench, name, record):
    """An idle Debian 12 with systemd, which LXC's checkpoint fails on."""
    peer = IsleSleeper(bench)
    isle = bench.isle
    bench.runner.run(isle.command("-q", "create", name, "-t", "debian", "--", "--release", "bookworm", "--packages", "openssh-server"))
    bench.runner.run(isle.command("start", "--wait", name))
    for _ in bench.rounds():
        slept, frozen, _ = peer.sleep(name)
        record(slept, frozen, peer.wake(name))
    return peer
