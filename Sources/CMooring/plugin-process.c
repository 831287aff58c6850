#include "mooring-plugins.h"

#include "mooring-calls.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

long mooring_look_at(int dirfd, const char *name, struct mooring_place *place)
{
	struct statx status;
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

	memset(&status, 0, sizeof(status));
	if (syscall(SYS_statx, dirfd, name, flags, STATX_TYPE | STATX_MODE | STATX_MNT_ID_UNIQUE,
		    &status))
		return -errno;
	place->mode = status.stx_mode;
	place->is_mount_root = status.stx_attributes & STATX_ATTR_MOUNT_ROOT;
	place->unique_mount_id = 0;
	if (status.stx_mask & STATX_MNT_ID_UNIQUE)
		place->unique_mount_id = status.stx_mnt_id;
	return 0;
}

bool mooring_is_autofs(int fd)
{
	struct statfs status;

	return !fstatfs(fd, &status) && status.f_type == AUTOFS_SUPER_MAGIC;
}

void mooring_reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int mooring_unread(int fd)
{
	int count = 0;

	return ioctl(fd, FIONREAD, &count) ? 0 : count;
}

const char *mooring_signal_name(int number)
{
	return sigabbrev_np(number);
}

enum { MOST_ARRANGED = 8 };

long mooring_arrange_descriptors(const int *fds, size_t count, size_t kept)
{
	int copies[MOST_ARRANGED];

	if (count > MOST_ARRANGED)
		return -EINVAL;
	/* Out of the way first: the numbers wanted may be among those given. */
	for (size_t i = 0; i < count; i++) {
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, MOST_ARRANGED);
		if (copies[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < count; i++)
		if (dup3(copies[i], i, i < kept ? 0 : O_CLOEXEC) < 0)
			return -errno;
	return mooring_close_range(count, ~0U, 0);
}

void mooring_line_buffer_output(void)
{
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}
