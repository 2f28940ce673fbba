/* Cleanup attributes: an owned local carries the call that releases it. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void clean_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void clean_free(void *p)
{
	free(*(void **)p);
}

static inline void clean_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void clean_closedir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define auto_close    __attribute__((cleanup(clean_close)))
#define auto_free     __attribute__((cleanup(clean_free)))
#define auto_fclose   __attribute__((cleanup(clean_fclose)))
#define auto_closedir __attribute__((cleanup(clean_closedir)))

/* Hands a descriptor over: the caller's variable no longer owns it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Hands an allocation over; use through take_ptr() so that the type is kept. */
static inline void *take_ptr_(void *p)
{
	void *taken = *(void **)p;

	*(void **)p = NULL;
	return taken;
}
#define take_ptr(p) ((__typeof__(*(p)))take_ptr_(p))
