/* Stands in a hostile guest as /lib64/ld-linux-x86-64.so.2: when the guest has isle's own binary executed inside, by a program that is the
 * script "#!/proc/self/exe", this runs with that file as /proc/self/exe and tries to write to it. Without a C library, since the kernel
 * starts it as a loader. */
#include <fcntl.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

#define SAY(text) ((void)call(SYS_write, 1, (long)(text), sizeof(text) - 1))

__attribute__((used, noreturn)) void _start(void)
{
	static const char own[] = "/proc/self/exe";

	SAY("running as isle's binary\n");
	/* Of a sealed copy in memory nobody sees what becomes of its mode. */
	long file = call(SYS_open, (long)own, O_RDONLY, 0);
	int sealed = call(SYS_fcntl, file, 1034 /* F_GET_SEALS */, 0) > 0;

	if (sealed)
		SAY("a sealed copy\n");
	if (call(SYS_open, (long)own, O_WRONLY, 0) >= 0 || call(SYS_open, (long)own, O_RDWR | O_TRUNC, 0) >= 0)
		SAY("HOLE isle's binary can be opened for writing\n");
	if (call(SYS_truncate, (long)own, 0, 0) >= 0)
		SAY("HOLE isle's binary can be truncated\n");
	if (!sealed && call(SYS_chmod, (long)own, 04777, 0) >= 0)
		SAY("HOLE isle's binary's mode can be set\n");
	/* Nobody writes to a program that runs. One that holds the file, and waits until it does not, does. */
	const char *const arguments[] = {"/root/strike", "overwrite", 0}; /* static, it would have to be relocated */

	if (file >= 0)
		(void)call(SYS_execve, (long)arguments[0], (long)arguments, 0);
	(void)call(SYS_exit_group, 0, 0, 0);
	for (;;)
		;
}
