/* The step table: moving a row moves its place in the start, and the synchronisation with it. */
#include "config.h"

#include "steps.h"

static bool starting(const struct run *run)
{
	return run->mode == RUN_START;
}

static bool personalising(const struct run *run)
{
	return run->mode == RUN_PERSONALISE;
}

static bool mapped(const struct run *run)
{
	return !run->spec->security.privileged;
}

static bool labelled(const struct run *run)
{
	return run->host->apparmor && run->spec->security.apparmor != APPARMOR_NONE;
}

static bool with_mounts(const struct run *run)
{
	return run->mode == RUN_START && run->spec->mount_count > 0;
}

const struct step step_table[] = {
	{"run folder", HOST, NULL, step_folder, step_folder_undo, "make /run/isle/NAME with the run record and the control socket"},
	{"cgroup", HOST, NULL, step_cgroup, step_cgroup_undo, "make the guest's control groups and set its limits"},
	{"addresses", HOST, starting, step_addresses, NULL, "bring the networks up and lease the guest's addresses"},
	{"console", HOST, starting, step_console, NULL, "allocate the console's terminal"},
	{"filter", HOST, NULL, step_filter, NULL, "load the compiled system call filter"},
	{"clone", HOST, NULL, step_clone, NULL, "make the guest's first process in its own namespaces"},
	{"id maps", HOST, mapped, step_id_maps, NULL, "give its user namespace the guest's own ids"},
	{"root storage", HOST, NULL, step_root_storage, NULL,
	 "mount the root file system, id-mapped, detached from the host's tree"},
	{"mount sources", HOST, with_mounts, step_sources, NULL, "open what the config mounts into the guest"},
	{"AppArmor", GUEST, labelled, step_label, NULL, "choose the AppArmor profile that init enters"},
	{"control groups", GUEST, NULL, step_enter_groups, NULL, "enter the control groups and make their root the guest's"},
	{"become root", GUEST, NULL, step_become_root, NULL, "become root of the user namespace"},
	{"private mounts", GUEST, NULL, step_private_mounts, NULL, "cut mount propagation from and to the host"},
	{"root", GUEST, NULL, step_root, NULL, "attach the root file system"},
	{"system mounts", GUEST, NULL, step_system_mounts, NULL, "mount proc, sys, dev, run and the control groups"},
	{"devices and console", GUEST, NULL, step_devices, NULL, "fill /dev"},
	{"configured mounts", GUEST, with_mounts, step_configured_mounts, NULL, "mount what the config asks for"},
	{"masks", GUEST, NULL, step_masks, NULL, "hide or write-protect the host's parts of proc and sys"},
	{"pivot", GUEST, NULL, step_pivot, NULL, "make the root file system the root and drop the host's tree"},
	{"host name", GUEST, NULL, step_host_name, NULL, "set the host name"},
	{"files", GUEST, starting, step_files, NULL, "write resolv.conf and what init reads in /run"},
	{"network", HOST, starting, step_network, step_network_undo, "make the interfaces and configure them inside",
	 .ahead = true},
	{"run record", HOST, starting, step_record, NULL, "note what runs"},
	{"limits and capabilities", GUEST, NULL, step_confine, NULL, "drop capabilities"},
	{"seccomp", GUEST, NULL, step_seccomp, NULL, "load the system call filter"},
	{"personalise", GUEST, personalising, step_personalise, NULL, "give the new guest its own identity"},
	{"exec init", GUEST, starting, step_exec_init, NULL, "execute the guest's init"},
};
const size_t step_count = sizeof(step_table) / sizeof(step_table[0]);

bool step_wanted(const struct step *step, const struct run *run)
{
	return !step->wanted || step->wanted(run);
}
