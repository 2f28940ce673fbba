# The AppArmor profile that every guest's processes run under; isle puts the profile's name in the place of @NAME@,
# and makes comments of the rules behind @PLAIN@ for a guest with security.nesting: containers inside it need what they forbid.
# User namespace, capabilities and the system call filter come first: this is one more wall behind them, and the only one that
# knows paths. apparmor.d(5) explains the language; security.apparmor in isle.conf(5) says how it is switched.

# The kernel's features that these rules were written for: without this line a newer kernel mediates more than they allow. With
# network_v8, Linux 6.1 refuses lockf(3) on a Unix socket whatever a profile says, and with it services with DynamicUser=.
abi <abi/kernel-5.4-outoftree-network>,

@{PROC}=/proc/

profile "@NAME@" flags=(attach_disconnected,mediate_deleted) {
  # A full Linux system is meant to run: what its own namespaces give it is its own.
  network,
  capability,
  file,
  dbus,
  umount,
  mount,
  pivot_root,

  # Signals and tracing stay among the guest's own processes; the host may do both to them.
  signal (send, receive) peer="@NAME@",
  signal (receive) peer=unconfined,
  ptrace (trace, read, tracedby, readby) peer="@NAME@",
  ptrace (tracedby, readby) peer=unconfined,

  # The host's knobs, whatever they are mounted as.
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny @{PROC}/kmem rwklx,
  deny @{PROC}/mem rwklx,
  deny @{PROC}/acpi/** rwklx,
  deny @{PROC}/scsi/** rwklx,
  deny @{PROC}/keys rwklx,
  deny @{PROC}/key-users rwklx,
  deny @{PROC}/kallsyms rwklx,
  deny @{PROC}/kmsg rwklx,
  deny @{PROC}/timer_list rwklx,
  deny @{PROC}/sched_debug rwklx,
  deny @{PROC}/latency_stats rwklx,
  deny @{PROC}/sys/kernel/core_pattern wklx,
  deny @{PROC}/sys/kernel/modprobe wklx,
  deny @{PROC}/sys/kernel/hotplug wklx,
  deny @{PROC}/sys/kernel/{panic*,sysrq,kexec*,kptr_restrict,dmesg_restrict,printk*,randomize_va_space,yama/**} wklx,
  deny @{PROC}/sys/fs/binfmt_misc/** wklx,
  deny @{PROC}/sys/vm/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/kernel/debug/** rwklx,
  deny /sys/kernel/tracing/** rwklx,
  deny /sys/fs/pstore/** rwklx,
  deny /sys/fs/bpf/** rwklx,

  # Windows into the kernel are not to be opened anew either.
  deny mount fstype=devtmpfs,
  deny mount fstype=debugfs,
  deny mount fstype=tracefs,
  deny mount fstype=securityfs,
  deny mount fstype=pstore,
  deny mount fstype=efivarfs,
  deny mount fstype=configfs,
  deny mount fstype=bpf,

  # Rules that name paths are worth what it costs to reach the file by another: so proc and sys are mounted, bound and moved to their
  # own places only, and to those that systemd sets up for a unit, and what isle put over parts of them stays. (Kernels of before
  # the mediation of move_mount(2) let the calls of the new mount interface pass; what lies behind is then held by its owner,
  # who is the host's root.)
  @PLAIN@deny mount fstype=proc -> /{[^pr]**,p[^r]**,r[^u]**,run/[^s]**},
  @PLAIN@deny mount fstype=sysfs -> /{[^sr]**,s[^y]**,r[^u]**,run/[^s]**},
  @PLAIN@deny mount options in (rw,ro,bind,rbind) @{PROC}/{,**} -> /{[^pr]**,p[^r]**,r[^u]**,run/[^s]**},
  @PLAIN@deny mount options in (rw,ro,bind,rbind) /sys/{,**} -> /{[^sr]**,s[^y]**,r[^u]**,run/[^s]**},
  @PLAIN@deny mount options in (rw,move) @{PROC}/{,**},
  @PLAIN@deny mount options in (rw,move) /sys/{,**},
  @PLAIN@deny umount @{PROC}/{,kcore,keys,key-users,sysrq-trigger,timer_list,kallsyms,kmsg,latency_stats,sched_debug,scsi/,acpi/,asound/,sys/**,cpuinfo,diskstats,loadavg,meminfo,slabinfo,stat,swaps,uptime,pressure/**},
  @PLAIN@deny umount /sys/{,firmware/,kernel/debug/,kernel/tracing/,fs/pstore/,fs/bpf/,devices/system/cpu/,devices/system/cpu/online},
}
