/* isle(1) and a page for each verb. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../base/file.h"
#include "gendocs.h"
#include "help.h"
#include "options.h"
#include "roff.h"

/* One page, atomically. */
static int write_page(const char *dir, const char *file, const char *text, struct err *err)
{
	auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open the folder %s", dir);
	if (!text)
		return err_num(err, ENOMEM, "write %s/%s", dir, file);
	return file_replace_quick(fd, file, text, strlen(text), 0644, err);
}

/* "-P, --path DIR", bold names and an italic value. */
static char *option_tag(const struct option_row *row)
{
	auto_buf struct buf tag = {0};
	char letter[3] = {'-', row->letter, '\0'};
	auto_free char *name = str_format("--%s", row->name);

	if (row->letter) {
		roff_bold(&tag, letter);
		buf_add(&tag, ", ");
	}
	roff_bold(&tag, name ? name : "");
	if (row->arg) {
		buf_add(&tag, " \\fI");
		roff_escape(&tag, row->arg, strlen(row->arg));
		buf_add(&tag, "\\fR");
	}
	return buf_take(&tag);
}

static bool has_shown(const struct option_row *rows)
{
	for (; rows && rows->name; rows++) {
		if (rows->doc)
			return true;
	}
	return false;
}

static bool takes_several(const struct verb *verb)
{
	return strstr(verb->synopsis, "NAME...") || strstr(verb->synopsis, "PATTERN]...");
}

/* verb: whose they are, NULL for those of all. Of one that takes a single guest -n is given once. */
static void add_options(struct buf *page, const struct option_row *rows, const struct verb *verb)
{
	for (; rows && rows->name; rows++) {
		auto_free char *tag = rows->doc ? option_tag(rows) : NULL;

		if (!tag)
			continue;
		bool once = verb && rows->letter == 'n' && !takes_several(verb);
		bool told = once || strstr(rows->doc, "several times");
		auto_free char *text =
			str_format("%s%s", rows->doc, rows->repeats && rows->arg && !told ? " May be given several times." : "");

		roff_tagged(page, tag, text ? text : rows->doc);
	}
}

/* What of a row differs in the isle-VERB form: LXC's spellings that are not the row's own. */
static void add_lxc_row(struct buf *page, const struct option_row *row)
{
	const char *word = row->lxc;
	auto_buf struct buf tag = {0};

	for (size_t n; (n = option_word(&word)); word += n) {
		bool own = n == 2 ? word[1] == row->letter : strlen(row->name) == n - 2 && !memcmp(word + 2, row->name, n - 2);

		if (own && row->doc)
			continue;
		if (tag.len)
			buf_add(&tag, ", ");
		buf_add(&tag, "\\fB");
		roff_escape(&tag, word, n);
		buf_add(&tag, "\\fR");
	}
	if (!tag.len)
		return;
	if (row->arg) {
		buf_add(&tag, " \\fI");
		roff_escape(&tag, row->arg, strlen(row->arg));
		buf_add(&tag, "\\fR");
	}
	if (!row->doc) {
		roff_tagged(page, tag.data, "Taken for the sake of LXC's scripts.");
		return;
	}
	auto_free char *text = str_format("As --%s.", row->name);

	roff_tagged(page, tag.data, text ? text : "");
}

static void add_lxc(struct buf *page, const struct verb *verb)
{
	auto_free char *text =
		str_format("Called as isle-%s, the command takes LXC's spellings as well. Where a letter means one thing to isle "
			   "and another to LXC, it means LXC's there.",
			   verb->name);

	roff_section(page, "\"LXC FORM\"");
	roff_text(page, text ? text : "");
	for (const struct option_row *row = verb->options; row && row->name; row++)
		add_lxc_row(page, row);
	add_options(page, option_lxc + (verb->max == 0), verb);
	for (const struct option_row *row = option_global; row->name; row++)
		add_lxc_row(page, row);
}

static void add_synopsis(struct buf *page, const struct verb *verb)
{
	const char *synopsis = verb->synopsis ? verb->synopsis : "";

	roff_section(page, "SYNOPSIS");
	for (int lxc = 0; lxc < 2; lxc++) {
		auto_free char *command = str_format("isle%s%s", lxc ? "-" : " ", verb->name);

		roff_bold(page, command ? command : "");
		buf_add(page, *synopsis ? " " : "");
		roff_escape(page, synopsis, strlen(synopsis));
		buf_add(page, lxc ? "\n" : "\n.br\n");
	}
}

static void add_exit(struct buf *page)
{
	static const struct {
		const char *code, *means;
	} codes[] = {
		{"0", "Done."},
		{"1", "Failed; the error says what, why and what to do."},
		{"2", "Wrong usage: an option, an argument or a value."},
		{"3", "There is no such guest, or no such image, key or file of it."},
		{"4", "The guest is in a state in which this cannot be done, or another command holds it."},
		{"5", "Timed out."},
		{"128+N", "Ended by signal N."},
	};

	roff_section(page, "\"EXIT STATUS\"");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		roff_tagged(page, codes[i].code, codes[i].means);
	buf_add(page, ".PP\n");
	roff_text(page, "With several guests it is the highest of theirs. isle-exec(1) and isle-shell(1) return the command's own, "
			"126 and 127 as "
			"sh(1) does.");
}

static char *verb_page(const struct verb *verb)
{
	auto_buf struct buf page = {0};
	auto_free char *name = str_format("isle-%s", verb->name);
	size_t summary = strlen(verb->summary);

	roff_title(&page, name ? name : "", 1);
	roff_section(&page, "NAME");
	buf_addf(&page, "isle\\-%s \\- ", verb->name);
	roff_escape(&page, verb->summary, summary && verb->summary[summary - 1] == '.' ? summary - 1 : summary);
	buf_add(&page, "\n");
	add_synopsis(&page, verb);
	roff_section(&page, "DESCRIPTION");
	roff_text(&page, verb->text ? verb->text : verb->summary);
	if (verb->aliases) {
		auto_free char *also = str_format("Other names of this command: %s.", verb->aliases);

		buf_add(&page, ".PP\n");
		roff_text(&page, also ? also : "");
	}
	if (has_shown(verb->options) || verb->takes_all) {
		roff_section(&page, "OPTIONS");
		add_options(&page, verb->options, verb);
		add_options(&page, verb->takes_all ? option_names : NULL, verb);
	}
	roff_section(&page, "\"COMMON OPTIONS\"");
	add_options(&page, option_global, NULL);
	add_lxc(&page, verb);
	add_exit(&page);
	if (verb->examples) {
		roff_section(&page, "EXAMPLES");
		roff_literal(&page, verb->examples);
	}
	roff_section(&page, "\"SEE ALSO\"");
	roff_text(&page, "isle(1), isle.conf(5)");
	return buf_take(&page);
}

static void add_commands(struct buf *page)
{
	roff_section(page, "COMMANDS");
	for (int group = 0; group < GROUP_INTERNAL; group++) {
		bool titled = false;

		for (const struct verb *const *verb = verb_table; *verb; verb++) {
			if ((int)(*verb)->group != group)
				continue;
			if (!titled) {
				buf_addf(page, ".SS \"%s\"\n", help_group((enum verb_group)group));
				titled = true;
			}
			buf_addf(page, ".TP\n\\fBisle\\-%s\\fR(1)\n", (*verb)->name);
			roff_text(page, (*verb)->summary);
		}
	}
}

static void add_files(struct buf *page)
{
	static const struct {
		const char *name, *means;
	} files[] = {
		{"/etc/isle/isle.conf", "The host's defaults for all guests: see PLANS in isle.conf(5)."},
		{"/etc/isle/plans/NAME", "A plan: limits and settings that many guests share."},
		{"/etc/isle/networks/NAME", "A network: its bridge and subnets. isle0 is made at first use."},
		{"/var/lib/isle/guests/NAME/", "A guest: config, rootfs or what its storage keeps instead, log. Mode 0700."},
		{"/var/cache/isle/images/KEY/", "An image: a template's result, which guests are cloned from."},
		{"/run/isle/NAME/", "What exists only while the guest runs: its record and its monitor's socket."},
	};

	roff_section(page, "FILES");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		auto_buf struct buf tag = {0};

		buf_add(&tag, "\\fI");
		roff_escape(&tag, files[i].name, strlen(files[i].name));
		buf_add(&tag, "\\fR");
		roff_tagged(page, tag.data ? tag.data : "", files[i].means);
	}
	buf_add(page, ".PP\n");
	roff_text(page,
		  "With --path DIR or ISLE_PATH all of these lie below DIR: isle.conf, plans, networks, guests, images, run.");
}

static void add_environment(struct buf *page)
{
	static const struct {
		const char *name, *means;
	} variables[] = {
		{"ISLE_PATH", "As --path: keep all state below this folder, as a second instance beside the host's own."},
		{"ISLE_TRACE", "Set to 1: a start shows each of its steps as it is done and how long it took."},
		{"ISLE_HOLD", "The name of a start's step (see isle start --plan): the start waits before it, so that nsenter(1) "
			      "or a debugger can look "
			      "at what is there by then. It tells how it is let go on: kill -CONT PID."},
		{"NO_COLOR", "Set to anything: no colours on a terminal."},
	};

	roff_section(page, "ENVIRONMENT");
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		auto_buf struct buf tag = {0};

		roff_bold(&tag, variables[i].name);
		roff_tagged(page, tag.data ? tag.data : "", variables[i].means);
	}
}

static void add_errors(struct buf *page)
{
	const char *operation, *hint;
	int sys;

	roff_section(page, "ERRORS");
	roff_text(page, "An error says what was being done to which object, where (the step of a start, the line of a config), why "
			"it failed, and "
			"what to do:");
	roff_literal(
		page,
		"isle: cannot start guest 'web1'\n  step:   configured mounts (web1/config:41)\n  failed: mount /srv/data on "
		"/data\n"
		"  reason: No such file or directory\n  fix:    create the folder on the host, or add 'optional' to the mount\n");
	buf_add(page, ".PP\n");
	roff_text(page, "With --json it is an object on standard error with one key, error, whose value has the keys code (failed, "
			"usage, not_found, "
			"wrong_state, timeout), exit_status, message, guest, step, where, failed, reason, errno and fix; what is "
			"not known is null.");
	buf_add(page, ".PP\n");
	roff_text(page, "What to do by the first word of what failed and the system's reason:");
	for (size_t i = 0; err_hint_row(i, &operation, &sys, &hint); i++) {
		auto_buf struct buf tag = {0};
		const char *reason = strerrorname_np(sys);

		roff_bold(&tag, operation ? operation : "anything");
		buf_addf(&tag, ", %s", reason ? reason : "?");
		roff_tagged(page, tag.data ? tag.data : "", hint);
	}
}

static char *main_page(void)
{
	auto_buf struct buf page = {0};

	roff_title(&page, "isle", 1);
	roff_section(&page, "NAME");
	buf_add(&page, "isle \\- run complete Linux systems side by side on one kernel\n");
	roff_section(&page, "SYNOPSIS");
	buf_add(&page, "\\fBisle\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n.br\n\\fBisle\\-COMMAND\\fR "
		       "[\\fIARGUMENTS\\fR]\n");
	roff_section(&page, "DESCRIPTION");
	roff_text(&page, "isle makes guests: Linux systems with their own init, users, processes, network and limits, which share "
			 "the host's kernel. A "
			 "template makes a distribution's root file system, kept as an image; guests are cloned from it. Every "
			 "guest has its own user "
			 "namespace and its own range of 65,536 ids, drops capabilities and runs under a system call filter, "
			 "without any option being "
			 "set.\n\n"
			 "There is no daemon. Each command does its work and ends; beside a running guest stays one small process, "
			 "its monitor, which "
			 "holds the console and clears up when the guest ends. The kernel is asked for a guest's state, so that a "
			 "command that was "
			 "killed at any moment harms nothing: the next one repairs what it left.\n\n"
			 "Commands that change guests take several names, or --all, and work on them in parallel. Each command is "
			 "also there as "
			 "isle-COMMAND, which takes the options that LXC's command of the same name has, -n NAME among them.");
	add_commands(&page);
	roff_section(&page, "OPTIONS");
	roff_text(&page, "These may stand before the command or after it.");
	add_options(&page, option_global, NULL);
	add_exit(&page);
	add_errors(&page);
	add_environment(&page);
	add_files(&page);
	roff_section(&page, "EXAMPLES");
	roff_literal(&page, "isle create web1 -t debian -- --release bookworm\nisle start web1\nisle list\nisle exec web1 -- "
			    "apt-get update\nisle shell web1\n"
			    "isle stop web1\nisle destroy web1\n");
	roff_section(&page, "\"SEE ALSO\"");
	roff_text(&page, "isle.conf(5), lxc(7), namespaces(7), cgroups(7), user_namespaces(7)");
	return buf_take(&page);
}

int gendocs_verbs(const char *dir, struct err *err)
{
	auto_free char *overview = main_page();
	int rc = write_page(dir, "isle.1", overview, err);

	for (const struct verb *const *verb = verb_table; rc == 0 && *verb; verb++) {
		auto_free char *file = str_format("isle-%s.1", (*verb)->name);

		if (!help_group((*verb)->group))
			continue;
		auto_free char *text = verb_page(*verb);

		rc = file ? write_page(dir, file, text, err) : err_num(err, ENOMEM, "write the manual");
	}
	return rc;
}

static int run_docs(struct call *call, struct err *err)
{
	const char *dir = call->argv[0];
	auto_free char *conf = gendocs_conf();
	auto_free char *example = gendocs_example();
	int rc = gendocs_verbs(dir, err);

	if (rc == 0)
		rc = write_page(dir, "isle.conf.5", conf, err);
	return rc < 0 ? rc : write_page(dir, "example.conf", example, err);
}

const struct verb verb_docs = {
	.name = "_docs",
	.group = GROUP_INTERNAL,
	.synopsis = "DIR",
	.summary = "Write the manual's pages into DIR.",
	.headline = "write the manual",
	.min = 1,
	.max = 1,
	.complete = COMPLETE_FILE,
	.run = run_docs,
};
