"""The rows: what is measured, how, and the budget it has to meet."""

import os
import socket
import subprocess

import sleep
from measure import Failed, Samples, now, wait_until
from peers import prefer_self, private_kib

SSHD_S = 60


class Row:
    """One line of the table: a budget is a ratio to another side, or a limit in the row's own unit."""

    def __init__(self, text, unit="ms", ratio=None, limit=None, other="lxc"):
        self.text = text
        self.unit = unit
        self.ratio = {other: ratio} if ratio else {}
        self.limit = limit
        self.samples = Samples()


ROWS = {
    "start": Row("start, from the command to init's first instruction", ratio=0.5),
    "start-command": Row("start, the command itself"),
    "exec": Row("exec of /bin/true in a running guest", ratio=0.5),
    "stop": Row("stop --kill, everything gone", ratio=0.3),
    "list": Row("list --long of running guests", ratio=0.2),
    "memory": Row("private memory of the monitor", unit="KiB", limit=400),
    "create": Row("create from the cached image"),
    "sshd": Row("create and start a Debian guest until sshd answers", limit=500),
    "debootstrap": Row("create of the first Debian guest", ratio=1.1, other="debootstrap"),
    "scale": Row("start of the last 50 of many guests against the first 50", ratio=1.5, other="first50"),
}
ROWS["exec"].ratio["nsenter"] = 1.5
ROWS |= {
    "frozen": Row("checkpoint of an idle busybox: the guest stands still"),
    "sleep": Row("checkpoint of an idle busybox, the command"),
    "wake": Row("restore of an idle busybox, the command"),
    "frozen-256": Row("the same with 256 MiB dirty"),
    "sleep-256": Row("the same with 256 MiB dirty"),
    "wake-256": Row("the same with 256 MiB dirty"),
    "clone": Row("clone of a running busybox"),
    "clone-of-4": Row("four clones at once, each"),
    "frozen-debian": Row("checkpoint of an idle Debian 12: it stands still", limit=250),
    "sleep-debian": Row("checkpoint of an idle Debian 12, the command"),
    "wake-debian": Row("restore of an idle Debian 12, the command", limit=200),
    "clone-debian": Row("clone of a running Debian 12"),
    "clone-of-4-debian": Row("four clones at once, each", limit=250),
}


class Bench:
    def __init__(self, chosen):
        self.chosen = chosen
        self.isle = None
        self.lxc = None
        self.runner = None
        self.loads = [os.getloadavg()[0]]
        self.noise = Samples()
        self.notes = []
        self.group = f"isle-bench-{os.getpid()}-driver"

    def rounds(self):
        """Interleaves: each round takes a sample of each side, and the side that goes first changes. Also times a bare /bin/true."""
        for i in range(self.chosen.samples):
            begin, end = self.runner.run(["/bin/true"])
            self.noise.add("true", (end - begin) / 1e6)
            yield (self.isle, self.lxc) if i % 2 == 0 else (self.lxc, self.isle)
        self.loads.append(os.getloadavg()[0])

    def prepare(self):
        """A host has more guests than the one that is measured: the first one's bridge and groups are nobody's usual start.

        What else runs on the machine gets the processor after both sides.
        """
        os.nice(-20)
        prefer_self(self.group)
        for peer in (self.isle, self.lxc):
            peer.keep_beside("beside")

    def print(self):
        if not any(row.samples.sides for row in ROWS.values()):
            return
        print(f"{'row':14}{'side':12}{'n':>4}{'median':>9}{'p10':>9}{'p90':>9}{'min':>9} unit  isle/side: median, min; budget")
        for name, row in ROWS.items():
            for side in row.samples.sides:
                self.print_side(name, row, side)
        for note in self.notes:
            print(f"note: {note}")
        if self.noise.sides:
            figures = self.noise.figures("true")
            print(
                f"noise: a bare /bin/true took {figures['min']:.2f} ms at best, median {figures['median']:.2f}, p90 {figures['p90']:.2f}; "
                f"load {min(self.loads):.1f} to {max(self.loads):.1f} on {os.cpu_count()} processors"
            )

    def print_side(self, name, row, side):
        figures = row.samples.figures(side)
        line = f"{name:14}{side:12}{figures['n']:4}{figures['median']:9.2f}{figures['p10']:9.2f}{figures['p90']:9.2f}{figures['min']:9.2f} {row.unit:4}"
        if side == "isle":
            if row.limit:
                line += f"  under {row.limit}: {verdict(figures['median'] < row.limit)}"
        elif "isle" in row.samples.sides:
            isle = row.samples.figures("isle")
            ratio = isle["median"] / figures["median"]
            line += f"  {ratio:.2f}, {isle['min'] / figures['min']:.2f}"
            if side in row.ratio:
                line += f"; {row.ratio[side]}: {verdict(ratio <= row.ratio[side])}"
        print(line)

    def as_json(self):
        out = {"load": self.loads, "notes": self.notes, "rows": {}}
        for name, row in ROWS.items():
            if row.samples.sides:
                out["rows"][name] = {
                    "text": row.text,
                    "unit": row.unit,
                    "limit": row.limit,
                    "ratios": row.ratio,
                    "sides": {side: {**row.samples.figures(side), "samples": values} for side, values in row.samples.sides.items()},
                }
        if self.noise.sides:
            out["noise_ms"] = self.noise.figures("true")
        return out


def verdict(met):
    return "met" if met else "MISSED"


def add(name, side, nanoseconds):
    ROWS[name].samples.add(side, nanoseconds / 1e6)


def start_stop(bench):
    """One life a sample gives three rows."""
    bench.isle.create("life")
    bench.lxc.create_full("life")
    if not bench.lxc.mapped:
        bench.notes.append("LXC starts no id-mapped guests here: it ran privileged, which does less and is harder to beat")
    for peer in (bench.isle, bench.lxc):  # the first start compiles the filter and fills caches
        peer.start("life")
        peer.stop("life")
    for sides in bench.rounds():
        for peer in sides:
            to_init, command = peer.start("life")
            add("start", peer.label, to_init)
            add("start-command", peer.label, command)
            add("stop", peer.label, peer.stop("life"))


def run_in(bench):
    bench.isle.create("enter")
    bench.lxc.create_full("enter")
    for peer in (bench.isle, bench.lxc):
        peer.start("enter")
    nsenter = ["/usr/bin/nsenter", "-a", "-t", str(bench.isle.init_pid("enter")), "/bin/true"]
    for sides in bench.rounds():
        for peer in sides:
            begin, end = bench.runner.run(peer.exec_command("enter"))
            add("exec", peer.label, end - begin)
        begin, end = bench.runner.run(nsenter)
        add("exec", "nsenter", end - begin)
    for peer in (bench.isle, bench.lxc):
        peer.stop("enter")


def many(bench):
    """Lists, and the monitors' memory, with many guests on both sides."""
    names = [f"many{i}" for i in range(bench.chosen.guests)]
    bench.runner.run(bench.isle.create_command(*names))
    bench.runner.run(bench.isle.start_command(*names))
    for name in names:
        bench.lxc.create_sharing(name)
        bench.runner.run(bench.lxc.start_command(name))
    if "list" in bench.chosen.names:
        ROWS["list"].text += f" ({len(names)} of them)"
        for sides in bench.rounds():
            for peer in sides:
                begin, end = bench.runner.run(peer.list_command())
                add("list", peer.label, end - begin)
    if "memory" in bench.chosen.names:
        for peer in (bench.isle, bench.lxc):
            for pid in peer.monitor_pids():
                ROWS["memory"].samples.add(peer.label, private_kib(pid))
    bench.runner.run(bench.isle.stop_command(*names))
    for name in names:
        bench.runner.run(bench.lxc.stop_command(name))
    bench.chosen.names = [name for name in bench.chosen.names if name not in ("list", "memory")]


def many_once(bench):
    if {"list", "memory"} & set(bench.chosen.names):
        many(bench)


def create(bench):
    bench.lxc.create_full("origin", mapped=False)  # LXC's overlay clones of id-mapped guests fail at the mount
    for sides in bench.rounds():
        for peer in sides:
            add("create", peer.label, peer.create("made"))
            peer.destroy("made")


def debian_image(bench):
    """A Debian image with sshd, made in the caller's network before the measured guests have one of their own."""
    bench.runner.run(debian_command(bench, "sshd0"))
    bench.isle.destroy("sshd0")


def debian_command(bench, name):
    return bench.isle.command("-q", "create", name, "-t", "debian", "--", "--release", "bookworm", "--packages", "openssh-server")


def banner(address):
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def sshd(bench):
    for i in range(bench.chosen.samples):
        name = f"sshd{i}"
        begin, _ = bench.runner.run(debian_command(bench, name))
        bench.runner.run(bench.isle.start_command(name))
        address = bench.isle.info(name)["addresses"][0].split("/")[0]
        wait_until(lambda where=address: banner(where), SSHD_S, f"sshd of {name} answers on {address}")
        add("sshd", "isle", now() - begin)
        bench.isle.destroy(name)


def debootstrap(bench):
    """Alone against isle's first create of the same release and variant, both from the same mirror."""
    target = f"{bench.isle.folder}/../debootstrap"
    begin, end = bench.runner.run(["/usr/sbin/debootstrap", "--variant=minbase", "bookworm", target])
    add("debootstrap", "debootstrap", end - begin)
    subprocess.run(["rm", "-rf", "--one-file-system", target], check=True)
    begin, end = bench.runner.run(bench.isle.command("-q", "create", "first", "-t", "debian", "--", "--release", "bookworm"))
    add("debootstrap", "isle", end - begin)
    bench.isle.destroy("first")


def scale(bench):
    names = [f"scale{i}" for i in range(bench.chosen.scale)]
    for i in range(0, len(names), 50):
        bench.runner.run(bench.isle.create_command(*names[i : i + 50]))
    for i, name in enumerate(names):
        begin, end = bench.runner.run(bench.isle.start_command(name))
        if i < 50:
            add("scale", "first50", end - begin)
        if i >= len(names) - 50:
            add("scale", "isle", end - begin)
    ran = sum(guest["state"] == "running" for guest in bench.isle.list() if guest["name"] in names)
    if ran != len(names):
        raise Failed(f"scale: {ran} of {len(names)} guests run")
    bench.notes.append(f"scale: {len(names)} guests ran")


def sleep_rows(suffix):
    def record(side, slept, frozen, woken):
        for name, value in (("sleep", slept), ("frozen", frozen), ("wake", woken)):
            if value is not None:
                ROWS[name + suffix].samples.add(side, value)

    return record


def sleeping(bench):
    folder = os.path.dirname(bench.isle.folder)
    sleep.measure(bench, folder, {"idle": sleep_rows(""), "dirty": sleep_rows("-256")})
    bench.isle.create("cloned")
    bench.runner.run(bench.isle.start_command("cloned"))
    sleep.clone(bench, "cloned", lambda name, ms: ROWS[name].samples.add("isle", ms))
    bench.isle.destroy("cloned")


def sleeping_debian(bench):
    record = sleep_rows("-debian")
    sleep.debian(bench, "deep", lambda *times: record("isle", *times))
    sleep.clone(bench, "deep", lambda name, ms: ROWS[f"{name}-debian"].samples.add("isle", ms))
    bench.isle.destroy("deep")


GROUPS = {
    "start": start_stop,
    "exec": run_in,
    "list": many_once,
    "memory": many_once,
    "create": create,
    "sshd": sshd,
    "debootstrap": debootstrap,
    "scale": scale,
    "sleep": sleeping,
    "sleep-debian": sleeping_debian,
}
