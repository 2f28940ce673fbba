/* isle config NAME edit: the administrator's editor on a copy, which is checked before it becomes the config. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/path.h"
#include "config_change.h"

#define COPY ".config-edit"

struct edit {
	struct call *call;
	const char *name;
	const struct store *store;
	int dir_fd;   /* guests/NAME */
	int lock_fd;  /* only one editor at a time; the guest itself is not locked while somebody types */
	char *lock;   /* its name in store->run_fd */
	char *path;   /* the copy's, for the editor */
	char *before; /* the config that the copy was made from */
};

static void edit_free(struct edit *edit)
{
	if (edit->dir_fd >= 0 && edit->lock_fd >= 0) {
		(void)unlinkat(edit->dir_fd, COPY, 0);              /* not there when the edit never began */
		(void)unlinkat(edit->dir_fd, COPY "~", 0);          /* some editors leave one */
		(void)unlinkat(edit->store->run_fd, edit->lock, 0); /* file_lock knows of removed files */
	}
	clean_close(&edit->dir_fd);
	clean_close(&edit->lock_fd);
	free(edit->path);
	free(edit->lock);
	free(edit->before);
}

/* Copies the config. A copy that lies there is the leftover of an edit that was killed: its lock is gone. */
static int edit_begin(struct edit *edit, struct err *err)
{
	struct config_change change;
	auto_free char *folder = NULL;
	int r = config_change_begin(edit->call, edit->name, &change, err);

	if (r < 0)
		return r;
	edit->store = change.guest.store;
	edit->dir_fd = take_fd(&change.guest.dir_fd);
	edit->before = take_ptr(&change.text);
	folder = path_join(edit->store->guests, edit->name);
	edit->path = folder ? path_join(folder, COPY) : NULL;
	config_change_end(&change);
	edit->lock = str_format(".edit-%s", edit->name);
	if (!edit->path || !edit->lock)
		return err_num(err, ENOMEM, "edit the config of '%s'", edit->name);
	r = file_lock(edit->store->run_fd, edit->lock, 0, &edit->lock_fd, err);
	if (r < 0)
		(void)err_hint(err, "somebody edits this config already; isle config %s set changes single keys meanwhile",
			       edit->name);
	return r < 0 ? r : file_replace(edit->dir_fd, COPY, edit->before, strlen(edit->before), 0600, err);
}

static const char *editor_command(void)
{
	const char *names[] = {"VISUAL", "EDITOR"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *command = getenv(names[i]);

		if (command && *command)
			return command;
	}
	return access("/usr/bin/editor", X_OK) ? "vi" : "/usr/bin/editor";
}

/* argv with the path behind the words; NULL when memory ran out. Free the vector alone. */
static char **with_path(char **words, char *path)
{
	size_t count = 0;

	while (words[count])
		count++;
	char **argv = calloc(count + 2, sizeof *argv);

	for (size_t i = 0; argv && i < count; i++)
		argv[i] = words[i];
	if (argv)
		argv[count] = path;
	return argv;
}

/* Runs the editor on the terminal. Keys such as Ctrl-C are for it, not for us. */
static int run_editor(const struct edit *edit, struct err *err)
{
	const char *command = editor_command();
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_int, old_quit;
	char **words;
	int status;

	if (types_split(command, &words) < 0 || !words[0])
		return err_set(err, ERR_USAGE, "the editor '%s' (VISUAL, EDITOR) cannot be read as a command", command);
	char **argv = with_path(words, edit->path);

	(void)sigaction(SIGINT, &ignore, &old_int); /* cannot fail: the signals are valid */
	(void)sigaction(SIGQUIT, &ignore, &old_quit);
	pid_t pid = argv ? fork() : -1;

	if (pid == 0) {
		(void)sigaction(SIGINT, &old_int, NULL);
		(void)sigaction(SIGQUIT, &old_quit, NULL);
		(void)signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		_exit(errno == ENOENT ? 127 : 126);
	}
	int r = pid < 0 ? err_sys(err, "start the editor %s", words[0]) : 0;

	while (!r && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			r = err_sys(err, "wait for the editor %s", words[0]);
	(void)sigaction(SIGINT, &old_int, NULL);
	(void)sigaction(SIGQUIT, &old_quit, NULL);
	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status))) {
		bool absent = WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126);

		r = err_set(err, ERR_FAILED,
			    absent ? "the editor '%s' cannot be run" : "the editor '%s' failed: nothing is changed", words[0]);
		if (absent)
			(void)err_hint(err, "name one that is installed in the environment variable EDITOR");
	}
	free(argv);
	types_split_free(words);
	return r;
}

/* Takes the copy over, unless the config itself was changed meanwhile. */
static int take_over(struct edit *edit, struct err *err)
{
	auto_free char *text = NULL;
	struct config_change change;
	size_t len;
	int r = file_read(edit->dir_fd, COPY, SPEC_FILE_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "read what the editor wrote: %s", edit->path);
	if (strlen(text) != len)
		return err_set(err, ERR_FAILED, "the editor wrote a NUL byte");
	if (!strcmp(text, edit->before))
		return 0; /* nothing was wanted */
	r = config_change_begin(edit->call, edit->name, &change, err);
	if (r < 0)
		return r;
	if (strcmp(change.text, edit->before)) {
		r = err_set(err, ERR_STATE, "the config of '%s' was changed by somebody else meanwhile", edit->name);
		(void)err_hint(err, "edit it once more");
	} else {
		r = config_change_apply(&change, text, err);
	}
	config_change_end(&change);
	return r;
}

static bool ask_again(const struct edit *edit, const struct err *err)
{
	char answer[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || err->code == ERR_STATE)
		return false;
	err_print(err, "cannot take this config");
	fprintf(stderr, "Edit again? [Y/n] ");
	return fgets(answer, sizeof answer, stdin) && *answer != 'n' && *answer != 'N';
}

int config_edit(struct call *call, const char *name, struct err *err)
{
	struct edit edit = {.call = call, .name = name, .dir_fd = -1, .lock_fd = -1};
	int r = edit_begin(&edit, err);

	while (!r) {
		r = run_editor(&edit, err);
		if (r < 0)
			break;
		r = take_over(&edit, err);
		if (r == 0 || !ask_again(&edit, err))
			break;
		err_clear(err);
		r = 0;
	}
	edit_free(&edit);
	return r;
}
