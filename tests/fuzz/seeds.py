#!/usr/bin/env python3
"""Writes inputs to begin with for the fuzz targets whose input is no text: seeds.py TARGET FOLDER"""
import io
import struct
import sys
import tarfile


def archives():
    def tar(*entries, form=tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as t:
            for name, kind, link, data, pax in entries:
                i = tarfile.TarInfo(name)
                i.type, i.linkname, i.size, i.pax_headers, i.mode = kind, link, len(data), pax, 0o755
                t.addfile(i, io.BytesIO(data))
        return out.getvalue()[:8192]

    file, folder, symlink, hardlink = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    yield "plain", tar(("a", folder, "", b"", {}), ("a/b", file, "", b"text", {}), ("a/c", hardlink, "a/b", b"", {}))
    yield "links", tar(("out", symlink, "../beside", b"", {}), ("out/file", file, "", b"bad", {}), ("l", hardlink, "../beside/file", b"", {}))
    yield "dots", tar(("../beside/new", file, "", b"bad", {}), ("./x/../y", file, "", b"", {}), ("/abs", file, "", b"", {}))
    yield "swap", tar(("d", folder, "", b"", {}), ("d", symlink, "..", b"", {}), ("d/beside/file", file, "", b"bad", {}))
    yield "nodes", tar(("dev/null", tarfile.CHRTYPE, "", b"", {}), ("disk", tarfile.BLKTYPE, "", b"", {}), ("f", tarfile.FIFOTYPE, "", b"", {}))
    yield "pax", tar(("p", file, "", b"x", {"path": "dir/" + "n" * 200, "mtime": "1.5", "uid": "70000", "SCHILY.xattr.security.capability": "x" * 20}))
    yield "sparse", tar(("s", file, "", b"1\n0\n1\n".ljust(512, b"\0") + b"x", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                                                                           "GNU.sparse.name": "hole", "GNU.sparse.realsize": "100000"}))
    yield "long", tar(("deep/" * 60 + "file", file, "", b"x", {}), form=tarfile.GNU_FORMAT)
    yield "old", tar(("a/" * 20 + "b", file, "", b"x" * 600, {}), form=tarfile.USTAR_FORMAT)


def acts():
    """Of fuzz_control.c: what % 8, which client, and what belongs to the act."""
    connect, packet, raw, close, output, much, read, receive = range(8)
    attach, typed, size, release, ring = 1, 2, 3, 4, 5
    head = struct.Struct("<IHH")

    def send(client, kind, data=b""):
        return bytes([packet + 8 * (kind - 1), client, {0: 0, 1: 1, 4: 2}[len(data)]]) + data

    yield "attach", bytes([connect, 0]) + send(0, attach, b"\x18\0\x50\0") + bytes([output, 0, 5]) + b"hello" + bytes([receive, 0] * 3) + send(0, typed, b"x")
    yield "ring", bytes([much, 0, 255, connect, 1]) + send(1, ring) + bytes([receive, 1] * 4)
    yield "release", bytes([connect, 2]) + send(2, release) + bytes([receive, 2, close, 2])
    yield "crowd", b"".join(bytes([connect, n]) for n in range(30)) + b"".join(send(n, attach, b"\0" * 4) for n in range(30))
    yield "raw", bytes([connect, 3, raw, 3, 12]) + head.pack(0x69736C31, size, 4) + b"\x18\0\x50\0" + bytes([raw + 64, 3, 8]) + head.pack(0x69736C31, ring, 0)
    yield "flood", bytes([connect, 0]) + send(0, attach, b"\0" * 4) + bytes([much, 0, 255] * 40) + bytes([receive, 0] * 20)


def messages():
    yield "one", bytes([1, 1, 8, 0, 0]) + b"12345678"
    yield "many", bytes([3, 5, 8, 0, 0]) + b"12345678" + bytes([249, 249, 0, 4, 0]) + b"x" * 1024 + bytes([0, 0, 3, 0, 210]) + b"abcd"


def states():
    record = (b"phase=running\nboot_id=0b9c2c1e-8d7c-4f5e-9d3a-111111111111\ninit_pid=77\ninit_start=12345\nmonitor_pid=78\nmonitor_start=12346\n"
              b"started=1700000000\nids=524288\ncgroup=isle/web1\nconsole=/dev/pts/7\ninit_kind=systemd\nstarts=1\n"
              b"link=eth0 is-web1-0 1e:00:00:00:00:01 10.16.0.2/22 -\n")
    mounts = (b"25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
              b"31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n")
    network = b"# text\n[network]\ntype = bridge\nbridge = isle0\nmac = 1e:00:00:00:00:01\naddress4 = 10.16.0.1/22\naddress6 = fd12:3456:789a:1::1/64\nnat = yes\nmtu = 1500\n"
    key = b'{"template":"/usr/share/isle/templates/debian","content":"0123456789abcdef","machine":"x86_64","label":"bookworm","environment":null,"args":["--release","bookworm"]}\n'
    for n, text in enumerate((record, mounts, network, key, b"root:x:0:0:root:/root:/bin/sh\nu:x:600000:600000::/:/bin/sh\n",
                              b"u:524288:65536\nv:4294967295:1\n", b"ro,nosuid,optional,create=dir,idmap,size=10m", b"1.5GiB")):
        yield "state%d" % n, bytes([n]) + text


def guests():
    yield "users", b"\0joe\0root:x:0:0:root:/root:/bin/sh\njoe:x:1000:1000:Joe:/home/joe:/bin/bash\n\0root:x:0:\nadm:x:4:joe,root\n"
    yield "number", b"\x001000\0joe:x:1000:1000:Joe:/home/joe:/bin/bash\n\0joe:x:1000:\n"
    yield "terminal", b"\1\0\5\x1b[31mred\x1b[0m\x1b]0;title\7\r\nz\xc3\xbcrich\xc2\x9b2J\xff\r"
    yield "words", b"\2a\x1b[2Jb\xc2\x80\xf0\x9f\x8f\x9d"
    yield "log", b"\3" + b"".join(bytes([255, n]) + b"x" * 4096 for n in (0, 200))[:8000]


makers = {"archive": archives, "control": acts, "message": messages, "state": states, "guest": guests}
if sys.argv[1] in makers:
    for name, data in makers[sys.argv[1]]():
        with open("%s/%s" % (sys.argv[2], name), "wb") as f:
            f.write(data)
