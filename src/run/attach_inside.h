/* What both sides of attach.h know: the caller's, which waits, and the one that goes inside. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "../base/err.h"
#include "../guest/record.h"
#include "../guest/store.h"
#include "../kernel/cgroup.h"
#include "attach.h"
#include "confine.h"
#include "relay.h"

struct attach {
	const struct attach_request *request;
	struct guest *guest;
	struct record record;
	int init_pidfd;
	uint64_t flags; /* namespaces to enter */
	struct cgroup_entry groups;
	struct confinement confinement;
	bool tty;
	struct winsize size;
	struct relay relay;
	int gate;   /* of gate_enter, until the process at the door is in the guest's group; else -1 */
	int door;   /* socket between the caller and the process at the door */
	int other;  /* and between the caller and the program-to-be, which may speak before the door has said who it is */
	int stream; /* our end of the pipe of request->work */
};

/* The child's word: its terminal comes along, or why it could not go on. */
struct word {
	int32_t status; /* 0: fine so far; else the exit status that err explains */
	struct err err;
};

/* In a new process, forked with the guest's control group as its own: enters the guest, makes the process that is to be the program
 * (a child of the caller's, whose pidfd is the word on attach->door), and ends. The program's own words come on attach->other. */
_Noreturn void attach_inside(const struct attach *attach);
