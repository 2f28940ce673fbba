/* The user's terminal in raw mode, given back whatever happens. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "terminal.h"

static const int ending_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
static const int other_signals[] = {SIGWINCH, SIGTSTP, SIGCONT};
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
_Static_assert(COUNT(faults) == sizeof(((struct terminal *)0)->faults_before) / sizeof(struct sigaction), "one place for each");

/* The one thing that a handler of a crash can reach. */
static struct {
	volatile sig_atomic_t active;
	int fd;
	struct termios before;
} rescue;

static void on_fault(int sig)
{
	if (rescue.active)
		(void)tcsetattr(rescue.fd, TCSANOW, &rescue.before); /* async-signal-safe, signal-safety(7) */
	raise(sig);                                                  /* SA_RESETHAND: as if we had not been here */
}

static int make_raw(struct terminal *terminal)
{
	struct termios raw = terminal->before;

	cfmakeraw(&raw);
	/* Not TCSADRAIN: it would wait for ever behind a terminal that was stopped with Ctrl-s. */
	if (tcsetattr(terminal->in, TCSANOW, &raw) < 0)
		return -errno;
	terminal->is_raw = true;
	return 0;
}

static void make_cooked(struct terminal *terminal)
{
	if (terminal->is_raw)
		(void)tcsetattr(terminal->in, TCSANOW, &terminal->before); /* it hung up if it fails */
	terminal->is_raw = false;
}

static bool is_ignored(int sig)
{
	struct sigaction action;

	return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int block_signals(struct terminal *terminal)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < COUNT(ending_signals); i++)
		if (!is_ignored(ending_signals[i])) /* a blocked signal would be queued although it is ignored */
			sigaddset(&set, ending_signals[i]);
	for (size_t i = 0; i < COUNT(other_signals); i++)
		sigaddset(&set, other_signals[i]);
	terminal->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (terminal->signals < 0)
		return -errno;
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGTTOU); /* giving the terminal back works from the background too */
	if (sigprocmask(SIG_BLOCK, &set, &terminal->mask_before) < 0)
		return -errno;
	return 0;
}

int terminal_enter(struct terminal *terminal, int in, int out, struct err *err)
{
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_RESETHAND | SA_NODEFER};
	int r;

	*terminal = (struct terminal){.in = in, .out = out, .signals = -1};
	sigemptyset(&terminal->mask_before);
	r = block_signals(terminal);
	if (r < 0)
		return err_num(err, r, "watch signals of the terminal");
	if (tcgetattr(in, &terminal->before) < 0)
		return 0; /* no terminal */

	rescue.fd = in;
	rescue.before = terminal->before;
	rescue.active = 1;
	for (size_t i = 0; i < COUNT(faults); i++)
		(void)sigaction(faults[i], &action, &terminal->faults_before[i]);
	r = make_raw(terminal);
	if (r < 0) {
		terminal_leave(terminal, 0);
		return err_num(err, r, "set the terminal to raw mode");
	}
	return 0;
}

void terminal_leave(struct terminal *terminal, int ended_by)
{
	make_cooked(terminal);
	if (rescue.active) {
		for (size_t i = 0; i < COUNT(faults); i++)
			(void)sigaction(faults[i], &terminal->faults_before[i], NULL);
		rescue.active = 0;
	}
	if (terminal->signals >= 0) {
		close(terminal->signals);
		terminal->signals = -1;
		(void)sigprocmask(SIG_SETMASK, &terminal->mask_before, NULL);
	}
	if (ended_by)
		(void)raise(ended_by); /* returns if somebody handles it: then the session has just ended */
}

int terminal_signal(struct terminal *terminal)
{
	struct signalfd_siginfo info;
	bool was_raw = terminal->is_raw;

	if (read(terminal->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGWINCH:
		return SIGWINCH;
	case SIGTSTP:
		make_cooked(terminal);
		(void)raise(SIGSTOP);
		if (was_raw)
			(void)make_raw(terminal); /* the session goes on, if as a cooked one */
		return SIGWINCH;
	case SIGCONT:
		if (was_raw)
			(void)make_raw(terminal); /* the shell may have changed it while we were stopped */
		return SIGWINCH;
	default:
		return info.ssi_signo;
	}
}

bool terminal_size(const struct terminal *terminal, struct winsize *ret)
{
	return ioctl(terminal->in, TIOCGWINSZ, ret) == 0 || ioctl(terminal->out, TIOCGWINSZ, ret) == 0;
}
