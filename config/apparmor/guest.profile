# The AppArmor profile that every guest's processes run under; isle puts the profile's name in the place of @NAME@.
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
  deny @{PROC}/sys/kernel/core_pattern wklx,
  deny @{PROC}/sys/kernel/modprobe wklx,
  deny @{PROC}/sys/kernel/hotplug wklx,
  deny @{PROC}/sys/fs/binfmt_misc/** wklx,
  deny @{PROC}/sys/vm/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/kernel/debug/** rwklx,
  deny /sys/kernel/tracing/** rwklx,

  # Windows into the kernel are not to be opened anew either.
  deny mount fstype=debugfs,
  deny mount fstype=tracefs,
  deny mount fstype=securityfs,
  deny mount fstype=pstore,
  deny mount fstype=efivarfs,
  deny mount fstype=configfs,
}
