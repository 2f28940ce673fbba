"""isle and LXC behind one interface: what each row calls on either of them."""

import glob
import json
import os
import select
import shutil
import subprocess

from measure import Failed, now, wait_until

MARK = ".mark"
NET = "10.99"
GATEWAY = f"{NET}.0.1"
LXC_IDS = 300_000_000
MEMORY = 512 << 20
PROCESSES = 4096
CPUS = 1.5
GONE_S = 30
LIMITS = {
    False: [
        f"lxc.cgroup.memory.limit_in_bytes = {MEMORY}",
        f"lxc.cgroup.pids.max = {PROCESSES}",
        f"lxc.cgroup.cpu.cfs_quota_us = {int(CPUS * 100000)}",
    ],
    True: [
        f"lxc.cgroup2.memory.max = {MEMORY}",
        f"lxc.cgroup2.pids.max = {PROCESSES}",
        f"lxc.cgroup2.cpu.max = {int(CPUS * 100000)} 100000",
    ],
}


def cgroup_folders(name):
    """Every folder below the host's cgroup hierarchies that ends in this path."""
    return glob.glob(f"/sys/fs/cgroup/{name}") + glob.glob(f"/sys/fs/cgroup/*/{name}")


def remove_cgroups(name):
    """Removes the empty groups that are left of a whole instance."""
    for folder in cgroup_folders(name):
        for path, _, _ in os.walk(folder, topdown=False):
            try:
                os.rmdir(path)
            except OSError as error:
                print(f"bench: rmdir {path}: {error.strerror}")


def prefer(name):
    """Gives a whole instance's groups the processor before anything else on the machine."""
    for folder in cgroup_folders(name):
        for file, value in (("cpu.shares", 262144), ("cpu.weight", 10000)):
            if os.path.exists(f"{folder}/{file}"):
                with open(f"{folder}/{file}", "w", encoding="ascii") as out:
                    out.write(str(value))


def prefer_self(name):
    """The same for this process and the commands that it runs: in a group of its own, as autogroups make nice(2) void."""
    top = "/sys/fs/cgroup/cpu"
    if os.path.isdir(top):
        os.makedirs(f"{top}/{name}", exist_ok=True)
        prefer(name)
        with open(f"{top}/{name}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))


def leave_group(name):
    top = "/sys/fs/cgroup/cpu"
    if os.path.isdir(f"{top}/{name}"):
        with open(f"{top}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))
        remove_cgroups(name)


def private_kib(pid):
    total = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total


def read_mark(paths):
    for path in paths:
        try:
            with open(path, encoding="ascii") as file:
                return int(file.read() or "0")
        except (FileNotFoundError, ValueError):
            continue
    return 0


class Peer:
    """What both sides have in common: a guest is a name, a run is timed from just before the command is spawned."""

    def __init__(self, runner):
        self.runner = runner

    def start(self, name):
        """ns to init's first instruction, and of the command itself."""
        begin, end = self.runner.run(self.start_command(name))
        mark = 0

        def marked():
            nonlocal mark
            mark = read_mark(self.mark_paths(name))
            return mark > begin

        wait_until(marked, GONE_S, f"{self.label}: init of {name} runs")
        return mark - begin, end - begin

    def stop(self, name):
        """ns until the command has returned and interface, cgroups and monitor are gone."""
        monitor = os.pidfd_open(self.monitor_pid(name))
        try:
            begin, _ = self.runner.run(self.stop_command(name))

            def gone():
                return exited(monitor) and not os.path.exists(f"/sys/class/net/{self.link(name)}") and not self.cgroups(name)

            wait_until(gone, GONE_S, f"{self.label}: {name} is gone")
            return now() - begin
        finally:
            os.close(monitor)


def exited(pidfd):
    """A pidfd is readable as soon as its process has ended, reaped or not."""
    return bool(select.select([pidfd], [], [], 0)[0])


class Isle(Peer):
    label = "isle"

    def __init__(self, runner, program, folder, storage):
        super().__init__(runner)
        self.storage = storage
        self.program = program
        self.folder = folder
        self.going = None  # monitor, link and cgroup of the guest that is being stopped
        self.top = None  # the cgroup that holds those of this instance's guests, once one has started

    def command(self, *words):
        return [self.program, "-P", self.folder, *words]

    def create_command(self, *names):
        return self.command(
            "create", *names, "-t", "busybox", "-B", self.storage, "-s", f"limits.memory={MEMORY}", "-s", f"limits.processes={PROCESSES}",
            "-s", f"limits.cpus={CPUS}", "-s", "guest.init=/bench-init",
        )  # fmt: skip

    def create(self, name):
        begin, end = self.runner.run(self.create_command(name))
        return end - begin

    def prepare_image(self, marker):
        """The first guest makes the image; the marker is put beside its files, so that all have it."""
        self.create("first")
        for root in glob.glob(f"{self.folder}/images/*/rootfs"):
            shutil.copy(marker, f"{root}/bench-init")
        self.destroy("first")
        return glob.glob(f"{self.folder}/images/busybox-*/rootfs")[0]

    def destroy(self, name):
        self.runner.run(self.command("destroy", "--force", name))

    remove = destroy

    def start_command(self, *names):
        return self.command("start", *names)

    def stop_command(self, *names):
        return self.command("stop", "--kill", *names)

    def exec_command(self, name):
        return self.command("exec", name, "--", "/bin/true")

    def list_command(self):
        return self.command("list", "--long")

    def list(self):
        return json.loads(self.runner.text(self.command("--json", "list")))

    def info(self, name):
        return json.loads(self.runner.text(self.command("--json", "list", name)))[0]

    def mark_paths(self, name):
        return [f"{self.folder}/guests/{name}/{place}/{MARK}" for place in ("upper", "rootfs")]

    def init_pid(self, name):
        return self.info(name)["pid"]

    def stop(self, name):
        """Looks the names up first: the record goes with the guest."""
        record = self.record(name)
        self.going = (int(record["monitor_pid"]), record["link"].split()[1], record["cgroup"])
        return super().stop(name)

    def record(self, name):
        with open(f"{self.folder}/run/{name}/record", encoding="ascii") as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)

    def keep_beside(self, name):
        self.create(name)
        self.runner.run(self.start_command(name))
        self.top = self.record(name)["cgroup"].split("/")[0]
        prefer(self.top)

    def monitor_pid(self, name):
        return self.going[0]

    def link(self, name):
        return self.going[1]

    def cgroups(self, name):
        return cgroup_folders(self.going[2])

    def monitor_pids(self):
        return [guest["monitor_pid"] for guest in self.list() if guest["monitor_pid"]]

    def clean_up(self):
        if os.path.isdir(f"{self.folder}/guests"):
            names = [name for name in os.listdir(f"{self.folder}/guests") if not name.startswith(".")]
            for i in range(0, len(names), 50):
                subprocess.run(self.command("-q", "destroy", "--force", *names[i : i + 50]), check=False)
        if self.top:
            remove_cgroups(self.top)


class Lxc(Peer):
    label = "lxc"

    def __init__(self, runner, folder, tag):
        super().__init__(runner)
        self.folder = folder
        self.tag = tag
        self.bridge = "benchbr0"
        self.count = 0
        self.cgroup = f"isle-bench-{tag}"
        self.mapped = True
        self.shared = None

    def add(self, name, rootfs, mapped=True):
        """A guest on this root file system, with the features that isle's has by default."""
        self.count += 1
        number = self.count
        lines = [
            "lxc.include = /usr/share/lxc/config/common.conf",
            f"lxc.rootfs.path = dir:{rootfs}",
            f"lxc.uts.name = {name}",
            f"lxc.init.cmd = /bench-init",
            "lxc.net.0.type = veth",
            f"lxc.net.0.link = {self.bridge}",
            "lxc.net.0.flags = up",
            f"lxc.net.0.veth.pair = {self.link(name)}",
            f"lxc.net.0.ipv4.address = {NET}.{number // 250}.{number % 250 + 2}/16",
            f"lxc.net.0.ipv4.gateway = {GATEWAY}",
            f"lxc.cgroup.dir = {self.cgroup}",
            *LIMITS[os.path.exists("/sys/fs/cgroup/cgroup.controllers")],
        ]
        if self.mapped and mapped:
            lines.insert(1, "lxc.include = /usr/share/lxc/config/userns.conf")
            lines += ["lxc.rootfs.options = idmap=container", f"lxc.idmap = u 0 {LXC_IDS} 65536", f"lxc.idmap = g 0 {LXC_IDS} 65536"]
        os.makedirs(f"{self.folder}/{name}", exist_ok=True)
        with open(f"{self.folder}/{name}/config", "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")

    def prepare(self, rootfs):
        """Copies isle's image, so that both run the same files; tells whether id-mapped guests start here."""
        os.makedirs(self.folder, exist_ok=True)
        self.shared = f"{self.folder}/rootfs"
        subprocess.run(["cp", "-a", rootfs, self.shared], check=True)
        self.create_full("probe")
        try:
            self.start("probe")
        except Failed:
            self.mapped = False
            self.create_full("probe")
            self.start("probe")
        self.stop("probe")
        shutil.rmtree(f"{self.folder}/probe")

    def create_full(self, name, mapped=True):
        own = f"{self.folder}/{name}/rootfs"
        os.makedirs(f"{self.folder}/{name}", exist_ok=True)
        if not os.path.isdir(own):
            subprocess.run(["cp", "-a", self.shared, own], check=True)
        self.add(name, own, mapped)

    def create_sharing(self, name):
        self.add(name, self.shared)

    def create(self, name):
        """LXC's clone that copies nothing: an overlay over the original."""
        begin, end = self.runner.run(["/usr/bin/lxc-copy", "-P", self.folder, "-n", "origin", "-N", name, "-s", "-B", "overlay"])
        return end - begin

    def destroy(self, name):
        self.runner.run(["/usr/bin/lxc-destroy", "-P", self.folder, "-n", name])

    def keep_beside(self, name):
        self.create_sharing(name)
        self.runner.run(self.start_command(name))
        prefer(self.cgroup)

    def remove(self, name):
        """Not lxc-destroy: the root file system may be shared."""
        shutil.rmtree(f"{self.folder}/{name}")

    def start_command(self, name):
        return ["/usr/bin/lxc-start", "-P", self.folder, "-n", name]

    def stop_command(self, name):
        return ["/usr/bin/lxc-stop", "-P", self.folder, "-n", name, "-k"]

    def exec_command(self, name):
        return ["/usr/bin/lxc-attach", "-P", self.folder, "-n", name, "--", "/bin/true"]

    def list_command(self):
        return ["/usr/bin/lxc-ls", "-P", self.folder, "-f"]

    def mark_paths(self, name):
        return [f"{self.folder}/{name}/rootfs/{MARK}"]

    def link(self, name):
        return f"lx{name}"[:15]

    def init_pid(self, name):
        return int(self.runner.text(["/usr/bin/lxc-info", "-P", self.folder, "-n", name, "-p", "-H"]))

    def monitors(self):
        """pid by guest, of the monitors of this folder's guests."""
        found = {}
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    words = file.read().rstrip("\0 ").split(" ")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if words[:2] == ["[lxc", "monitor]"] and len(words) == 4 and words[2] == self.folder:
                found[words[3].split("\0")[0]] = int(path.split("/")[2])
        return found

    def monitor_pid(self, name):
        return self.monitors()[name]

    def monitor_pids(self):
        return list(self.monitors().values())

    def cgroups(self, name):
        return cgroup_folders(f"{self.cgroup}/lxc.monitor.{name}") + cgroup_folders(f"{self.cgroup}/lxc.payload.{name}")

    def clean_up(self):
        if not os.path.isdir(self.folder):
            return
        for name in self.monitors():
            subprocess.run(self.stop_command(name), check=False)
        remove_cgroups(self.cgroup)
