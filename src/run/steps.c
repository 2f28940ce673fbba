/* The step table: moving a row moves its place in the start, and the synchronisation with it. */
#include "config.h"

#include <unistd.h>

#include "lxcfs.h"
#include "steps.h"

static bool starting(const struct run *run)
{
	return run->mode != RUN_PERSONALISE;
}

static bool restoring(const struct run *run)
{
	return run->mode == RUN_RESTORE;
}

static bool cloning(const struct run *run)
{
	return run->mode != RUN_RESTORE;
}

static bool personalising(const struct run *run)
{
	return run->mode == RUN_PERSONALISE;
}

static bool mapped(const struct run *run)
{
	return cloning(run) && !run->spec->security.privileged;
}

static bool restoring_mapped(const struct run *run)
{
	return restoring(run) && !run->spec->security.privileged;
}

/* A start that is no restore: criu brings back what these rows set, and the row that runs it makes the interfaces. */
static bool booting(const struct run *run)
{
	return run->mode == RUN_START;
}

static bool booting_mapped(const struct run *run)
{
	return booting(run) && mapped(run);
}

static bool labelled(const struct run *run)
{
	return run->host->apparmor && run->spec->security.apparmor != APPARMOR_NONE;
}

/* A kernel that loads none needs no keeper. */
static bool with_modules(const struct run *run)
{
	return starting(run) && !run->spec->security.privileged && access("/proc/modules", F_OK) == 0;
}

static bool with_clocks(const struct run *run)
{
	return run->mode == RUN_START && run->spec->security.time_namespace && run->host->time_namespace;
}

static bool with_mounts(const struct run *run)
{
	return starting(run) && run->spec->mount_count > 0;
}

static bool with_lxcfs(const struct run *run)
{
	/* What sleeps may have its files all the same. */
	return starting(run) && (run->mode == RUN_RESTORE || lxcfs_wanted(run->spec));
}

static bool with_devices(const struct run *run)
{
	return starting(run) && run->spec->device_count > 0;
}

static bool with_interfaces(const struct run *run)
{
	for (size_t i = 0; run->mode == RUN_START && i < run->spec->device_count; i++)
		if (run->spec->devices[i].type == DEVICE_NIC)
			return true;
	return false;
}

const struct step step_table[] = {
	{"run folder", HOST, NULL, step_folder, step_folder_undo, "make /run/isle/NAME with the run record and the control socket"},
	{"cgroup", HOST, NULL, step_cgroup, step_cgroup_undo, "make the guest's control groups and set its limits"},
	{"device program", HOST, NULL, step_device_program, NULL, "let the guest open its devices and no others"},
	{"module program", HOST, with_modules, step_module_program, NULL,
	 "let the kernel load no modules at the guest's wish but the usual"},
	{"core program", HOST, starting, step_core_program, NULL, "keep crashes in the guest from the host's core handler"},
	{"addresses", HOST, starting, step_addresses, NULL, "bring the networks up and lease the guest's addresses"},
	{"console", HOST, starting, step_console, NULL, "allocate the console's terminal"},
	{"filter", HOST, NULL, step_filter, NULL, "load the compiled system call filter"},
	{"clone", HOST, cloning, step_clone, NULL, "make the guest's first process in its own namespaces"},
	{"id maps", HOST, mapped, step_id_maps, NULL, "give its user namespace the guest's own ids"},
	{"out of memory", HOST, booting, step_oom, NULL, "let the kernel kill the guest before the host when memory runs out"},
	{"kept network", HOST, restoring, step_kept, step_kept_undo, "take the network that was kept while it slept, if it was"},
	{"id holder", HOST, restoring_mapped, step_holder, NULL,
	 "make a user namespace with the guest's ids, to map its mounts by"},
	{"root storage", HOST, NULL, step_root_storage, NULL,
	 "mount the root file system, id-mapped, detached from the host's tree"},
	{"device nodes", HOST, with_devices, step_device_nodes, NULL, "make nodes for the devices that the guest is given"},
	{"mount sources", HOST, with_mounts, step_sources, NULL, "open what the config mounts into the guest"},
	{"lxcfs source", HOST, with_lxcfs, step_lxcfs_source, NULL, "open lxcfs, if it is mounted"},
	{"AppArmor", GUEST, labelled, step_label, NULL, "choose the AppArmor profile that init enters"},
	{"control groups", GUEST, NULL, step_enter_groups, NULL, "enter the control groups and make their root the guest's"},
	{"clocks", GUEST, with_clocks, step_clocks, NULL, "let its uptime begin at nought"},
	{"become root", GUEST, NULL, step_become_root, NULL, "become root of the user namespace"},
	{"namespaces", GUEST, booting_mapped, step_namespaces, NULL, "bound how many namespaces the guest may make"},
	{"private mounts", GUEST, NULL, step_private_mounts, NULL, "cut mount propagation from and to the host"},
	{"root", GUEST, NULL, step_root, NULL, "attach the root file system"},
	{"system mounts", GUEST, NULL, step_system_mounts, NULL, "mount proc, sys, dev, run and the control groups"},
	{"devices and console", GUEST, NULL, step_devices, NULL, "fill /dev"},
	{"configured mounts", GUEST, with_mounts, step_configured_mounts, NULL, "mount what the config asks for"},
	{"masks", GUEST, NULL, step_masks, NULL, "hide or write-protect the host's parts of proc and sys"},
	{"lxcfs", GUEST, with_lxcfs, step_lxcfs, NULL, "let proc and sys show the guest's own size"},
	{"pivot", GUEST, NULL, step_pivot, NULL, "make the root file system the root and drop the host's tree"},
	{"host name", GUEST, NULL, step_host_name, NULL, "set the host name"},
	{"files", GUEST, starting, step_files, NULL, "write resolv.conf and what init reads in /run"},
	{"restore", HOST, restoring, step_restore, step_restore_undo, "have criu make the processes that were checkpointed"},
	{"network", HOST, booting, step_network, step_network_undo, "make the interfaces and configure them inside", .ahead = true},
	{"host interfaces", HOST, with_interfaces, step_interfaces, step_interfaces_undo,
	 "move interfaces of the host into the guest"},
	{"run record", HOST, starting, step_record, step_record_undo, "note what runs"},
	{"limits and capabilities", GUEST, NULL, step_confine, NULL, "drop capabilities"},
	{"seccomp", GUEST, NULL, step_seccomp, NULL, "load the system call filter"},
	{"personalise", GUEST, personalising, step_personalise, NULL, "give the new guest its own identity"},
	{"exec init", GUEST, starting, step_exec_init, NULL, "execute the guest's init"},
};
const size_t step_count = sizeof(step_table) / sizeof(step_table[0]);

bool step_wanted(const struct step *step, const struct run *run)
{
	if (step->side == GUEST && restoring(run))
		return false; /* criu brings the inside back as it was */
	return !step->wanted || step->wanted(run);
}
