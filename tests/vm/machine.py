"""One virtual machine under QEMU's emulation: starts it, saves and restores its state, runs scripts in it.

What lies in its folder: `command`, `output` and `terminal` (sockets of its agent), `qmp` (QEMU's control), `console.log`.
"""

import ctypes
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time

MEMORY = 4096  # MiB
PAYLOAD_SIZE = 1 << 30  # bytes; a disk must be as large as when the state was saved
DISK_SIZE = 8 << 30
SCRATCH_SIZE = 4 << 30
# A disk of the host's that is full is an error of the machine's disk; QEMU would rather stop the machine, for ever.
UNSEEN = ",werror=report"
PORTS = ("command", "output", "terminal")


class Broken(Exception):
    """The machine, not the command in it, failed."""


def sparse_file(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def arguments(folder, parts, memory_file, share, nets, disks):
    """QEMU's command line. Saving and restoring must agree in all that the guest can see."""

    def disk(name, file, options):
        return [
            "-drive", f"file={file},format=raw,if=none,id={name},cache=unsafe,{options}",
            "-device", f"virtio-blk-pci,drive={name},serial={name}",
        ]  # fmt: skip

    argv = [
        parts["qemu"], "-name", "isle-vm", "-M", "pc-q35-10.0,memory-backend=mem", "-accel", "tcg,thread=multi,tb-size=512",
        "-cpu", "max", "-smp", "2", "-m", str(MEMORY),
        "-object", f"memory-backend-file,id=mem,size={MEMORY}M,mem-path={memory_file},share={'on' if share else 'off'}",
        "-nodefaults", "-no-user-config", "-display", "none", "-kernel", parts["kernel"], "-initrd", parts["initramfs"],
        "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 " + parts.get("append", ""),
        "-chardev", f"file,id=console,path={folder}/console.log,append=on", "-serial", "chardev:console",
    ]  # fmt: skip
    argv += disk("root", parts["root"], "readonly=on,file.locking=off")
    argv += disk("payload", disks["payload"], "readonly=on,file.locking=off")
    snapshot = "on" if disks["state_shared"] else "off"
    argv += disk("state", disks["state"], f"discard=unmap,file.locking=off,snapshot={snapshot}{UNSEEN}")
    for name in ("scratch1", "scratch2"):
        argv += disk(name, sparse_file(f"{folder}/{name}", SCRATCH_SIZE), f"discard=unmap{UNSEEN}")
    argv += ["-device", "virtio-serial-pci"]
    for name in PORTS:
        argv += [
            "-chardev", f"socket,id={name},path={folder}/{name},server=on,wait=off",
            "-device", f"virtserialport,chardev={name},name={name}",
        ]  # fmt: skip
    for number, net in enumerate(nets):
        argv += ["-netdev", net, "-device", f"virtio-net-pci,netdev=net{number},mac=52:54:00:00:00:0{number},romfile="]
    argv += ["-device", "vmgenid,guid=auto", "-device", "virtio-rng-pci"]
    argv += ["-chardev", f"socket,id=qmp,path={folder}/qmp,server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
    return argv


def die_with_parent():
    """For a process that nobody would end if this one were killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Control:
    """QEMU's machine protocol."""

    def __init__(self, path, process=None):
        self.socket = connect(path, process)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.call("qmp_capabilities")

    def call(self, command, **arguments_):
        self.file.write(json.dumps({"execute": command, "arguments": arguments_}) + "\n")
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise Broken(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise Broken(f"{command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def migrate(self, command, uri):
        """Saves or restores the state of the devices; memory stays in its file (x-ignore-shared)."""
        self.call("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
        self.call(command, uri=uri)
        while True:
            answer = self.call("query-migrate")
            if answer.get("status") == "completed":
                return
            if answer.get("status") == "failed":
                raise Broken(f"{command}: {answer.get('error-desc', 'failed')}")
            time.sleep(0.005)


def connect(path, process=None, patience=30):
    """A connection to a socket that QEMU is about to make."""
    end = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            return connection
        except OSError as error:
            connection.close()
            if process and process.poll() is not None:
                raise Broken(f"QEMU ended with status {process.returncode}") from error
            if time.monotonic() > end:
                raise Broken(f"cannot connect to {path}: {error}") from error
        time.sleep(0.005)


class Machine:
    """A machine in its folder; `parts` are the files that it is made of."""

    def __init__(self, folder, parts, nets=("hubport,hubid=0,id=net0", "hubport,hubid=1,id=net1")):
        self.folder = folder
        self.parts = parts
        self.nets = nets
        self.process = None
        self.command = None
        self.output = None

    def launch(self, memory_file, share, disks, more=(), leave=False):
        argv = arguments(self.folder, self.parts, memory_file, share, self.nets, disks) + list(more)
        with open(f"{self.folder}/qemu.log", "wb") as log:
            # pylint: disable-next=consider-using-with,subprocess-popen-preexec-fn
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=None if leave else die_with_parent,
            )
        with open(f"{self.folder}/pid", "w", encoding="ascii") as file:
            print(self.process.pid, file=file)

    def boot(self, disks, memory_file=None, leave=False, patience=900, reboots=False):
        """Starts from power on, and waits for the agent."""
        memory_file = memory_file or sparse_file(f"{self.folder}/memory", MEMORY << 20)
        self.launch(memory_file, True, disks, [] if reboots else ["-no-reboot"], leave)
        self.attach()
        self.await_agent(patience)

    def await_agent(self, patience=900):
        """Until the agent of a new boot is there."""
        self.command.settimeout(patience)
        try:
            if b"ready" not in self.command.recv(64):
                raise Broken("the agent says nothing")
        except TimeoutError as error:
            raise Broken(f"not up after {patience} s") from error
        self.command.settimeout(None)

    def reboot(self, script):
        """Runs a script that ends in a reboot, and waits for the next boot."""
        token = secrets.token_hex(8)
        self.command.sendall(f"{token}\n{script}\n{token}\n".encode())
        self.await_agent()

    def save(self, folder):
        """Leaves the state in FOLDER/state; FOLDER/memory must be the memory that it booted with."""
        control = Control(f"{self.folder}/qmp", self.process)
        control.call("stop")
        control.migrate("migrate", f"file:{folder}/state")
        self.stop()

    def restore(self, folder, disks, leave=False):
        """Goes on from a saved state, whose memory is mapped privately: any number of machines may."""
        self.launch(f"{folder}/memory", False, disks, ["-no-reboot", "-incoming", "defer"], leave)
        control = Control(f"{self.folder}/qmp", self.process)
        control.migrate("migrate-incoming", f"file:{folder}/state")
        self.attach()
        while control.call("query-status")["status"] != "running":
            control.call("cont")
        control.socket.close()

    def attach(self):
        self.command = connect(f"{self.folder}/command", self.process)
        self.output = connect(f"{self.folder}/output", self.process)

    def run(self, script, write, deadline=None):
        """Runs a shell script, hands what it prints to `write`, returns its exit status, or None when time is over."""
        token = secrets.token_hex(8)
        mark = b"\x01" + token.encode() + b" "
        self.command.sendall(f"{token}\n{script}\n{token}\n".encode())
        held = b""
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.output.settimeout(left)
            try:
                data = self.output.recv(65536)
            except TimeoutError:
                return None
            if not data:
                raise Broken("the machine ended")
            held += data
            # What may be the beginning of the mark is held back until more has come.
            at = held.find(b"\x01")
            while at >= 0 and not mark.startswith(held[at : at + len(mark)]):
                at = held.find(b"\x01", at + 1)
            write(held if at < 0 else held[:at])
            held = b"" if at < 0 else held[at:]
            end = re.match(re.escape(mark) + rb"([0-9]+)\n", held)
            if end:
                return int(end.group(1))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def tell(self):
        """The last lines of its console and of QEMU's own messages, for when it broke."""
        for name in ("qemu.log", "console.log"):
            try:
                with open(f"{self.folder}/{name}", "rb") as file:
                    lines = file.read().decode("utf-8", "replace").splitlines()[-25:]
            except OSError:
                continue
            for line in lines:
                yield f"{name}: {line}"


def runs_in(folder):
    """The process of the machine that runs in a folder, or None."""
    try:
        with open(f"{folder}/pid", encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return pid if f"{folder}/".encode() in file.read() else None
    except (OSError, ValueError):
        return None


def stop_folder(folder, patience=10):
    """Ends the machine that was left running in a folder."""
    if not os.path.exists(f"{folder}/pid"):
        raise Broken(f"no machine was started in {folder}")
    end = time.monotonic() + patience
    while pid := runs_in(folder):
        try:
            os.kill(pid, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        except ProcessLookupError:
            return
        time.sleep(0.05)
