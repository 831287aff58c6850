#include "mooring-calls.h"

#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

static long result(long value)
{
	return value < 0 ? -errno : value;
}

long mooring_open_tree(int dirfd, const char *path, unsigned flags)
{
	return result(syscall(SYS_open_tree, dirfd, path, flags));
}

long mooring_open_tree_clearing(int dirfd, const char *path, unsigned flags, uint64_t clear)
{
	enum { OPEN_TREE_ATTR = 467 }; /* Linux 6.15; not in Debian 12's headers */
	struct {
		uint64_t set, clear, propagation, userns;
	} attributes = { 0, clear, 0, 0 };

	return result(syscall(OPEN_TREE_ATTR, dirfd, path, flags, &attributes, sizeof(attributes)));
}

long mooring_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
	return result(syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}

long mooring_fsopen(const char *type, unsigned flags)
{
	return result(syscall(SYS_fsopen, type, flags));
}

long mooring_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux)
{
	return result(syscall(SYS_fsconfig, fd, command, key, value, aux));
}

long mooring_fsmount(int fd, unsigned flags, unsigned attributes)
{
	return result(syscall(SYS_fsmount, fd, flags, attributes));
}

long mooring_fspick(int dirfd, const char *path, unsigned flags)
{
	return result(syscall(SYS_fspick, dirfd, path, flags));
}

long mooring_mount_setattr(int dirfd, const char *path, unsigned flags, uint64_t set, uint64_t clear,
			   uint64_t propagation, int userns)
{
	struct {
		uint64_t set, clear, propagation, userns;
	} attributes = { set, clear, propagation, userns < 0 ? 0 : (uint64_t)userns };

	return result(syscall(SYS_mount_setattr, dirfd, path, flags, &attributes, sizeof(attributes)));
}

long mooring_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct {
		uint64_t flags, mode, resolve;
	} how = { flags, mode, resolve };

	return result(syscall(SYS_openat2, dirfd, path, &how, sizeof(how)));
}

long mooring_umount2(const char *path, int flags)
{
	return result(umount2(path, flags));
}

long mooring_pivot_root(const char *new_root, const char *put_old)
{
	return result(syscall(SYS_pivot_root, new_root, put_old));
}

long mooring_mount(const char *source, const char *target, const char *type, unsigned long flags,
		   const char *data)
{
	return result(mount(source, target, type, flags, data));
}

long mooring_fork(void)
{
	return result(fork());
}

long mooring_unshare(int flags)
{
	return result(unshare(flags));
}

long mooring_setns(int fd, int type)
{
	return result(setns(fd, type));
}

long mooring_pidfd_open(pid_t pid, unsigned flags)
{
	return result(syscall(SYS_pidfd_open, pid, flags));
}

long mooring_pidfd_kill(int pidfd)
{
	return result(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
}

long mooring_pidfd_getfd(int pidfd, int fd)
{
	return result(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
}

long mooring_kcmp(pid_t one, pid_t other, int type, unsigned long index, unsigned long other_index)
{
	return result(syscall(SYS_kcmp, one, other, type, index, other_index));
}

long mooring_file_facts(int dirfd, const char *name, struct mooring_file_facts *facts)
{
	const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx found;

	if (statx(dirfd, name, flags, STATX_TYPE | STATX_MODE | STATX_INO | STATX_MNT_ID, &found))
		return -errno;
	facts->mode = found.stx_mode;
	facts->device_major = found.stx_dev_major;
	facts->device_minor = found.stx_dev_minor;
	facts->special_major = found.stx_rdev_major;
	facts->special_minor = found.stx_rdev_minor;
	facts->inode = found.stx_ino;
	facts->mount = found.stx_mask & STATX_MNT_ID ? found.stx_mnt_id : 0;
	return 0;
}

long mooring_file_facts_at(const char *path, struct mooring_file_facts *facts)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
	struct statx found;

	if (statx(AT_FDCWD, path, flags, STATX_TYPE, &found))
		return -errno;
	*facts = (struct mooring_file_facts){ .mode = found.stx_mode };
	return 0;
}

long mooring_is_directory(int fd)
{
	struct statx found;
	int opened;

	/* Whose server hangs, or lets only its owner in, need not be asked for that. */
	if (!statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &found))
		return S_ISDIR(found.stx_mode);
	/* Refused before the file system is asked, where it is none. */
	opened = openat(fd, ".", O_PATH | O_CLOEXEC);
	if (opened >= 0)
		close(opened);
	return opened >= 0 || errno != ENOTDIR;
}

long mooring_close_range(unsigned first, unsigned last, unsigned flags)
{
	return result(syscall(SYS_close_range, first, last, flags));
}

long mooring_prctl(int option, unsigned long argument)
{
	return result(prctl(option, argument, 0, 0, 0));
}

long mooring_become_group(gid_t id)
{
	/* Denied where an unprivileged user wrote the mapping: the groups stay then. */
	if (setgroups(0, NULL) && errno != EPERM)
		return -errno;
	return result(setresgid(id, id, id));
}

long mooring_become_user(uid_t id)
{
	return result(setresuid(id, id, id));
}

long mooring_sethostname(const char *name, size_t length)
{
	return result(sethostname(name, length));
}

long mooring_setdomainname(const char *name, size_t length)
{
	return result(setdomainname(name, length));
}

long mooring_ioctl_u64(int fd, unsigned long request, uint64_t *value)
{
	return result(ioctl(fd, request, value));
}

long mooring_ioctl(int fd, unsigned long request)
{
	return result(ioctl(fd, request));
}

void mooring_exit(int status)
{
	_exit(status);
}

enum { MOST_FDS = 16 };

long mooring_send(int socket, const void *bytes, size_t length, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(MOST_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec part = { (void *)bytes, length };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int tries = 0;
	long sent;

	if (count > MOST_FDS)
		return -EINVAL;
	if (count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	for (;;) {
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
		if (sent >= 0)
			break;
		/* Short of memory for a moment: whoever waits for this message would wait for ever. */
		if ((errno == ENOBUFS || errno == ENOMEM) && tries++ < 10)
			usleep(2000);
		else if (errno != EINTR)
			break;
	}
	return result(sent);
}

long mooring_receive(int socket, void *bytes, size_t room, int *fds, size_t *count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(MOST_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec part = { bytes, room };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	size_t found = 0, wanted = *count;
	long got;

	*count = 0;
	do
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (found < wanted)
				fds[found++] = fd;
			else
				close(fd);
		}
	}
	*count = found;
	if (message.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return got;
}

long mooring_listmount(const struct mooring_mnt_id_req *request, uint64_t *ids, size_t count)
{
	return result(syscall(SYS_listmount, request, ids, count, 0));
}

long mooring_statmount(const struct mooring_mnt_id_req *request, void *buffer, size_t size)
{
	return result(syscall(SYS_statmount, request, buffer, size, 0));
}

long mooring_ioctl_pointer(int fd, unsigned long request, void *argument)
{
	return result(ioctl(fd, request, argument));
}

int mooring_exec(const char *const *arguments)
{
	execvp(arguments[0], (char *const *)arguments);
	return errno;
}

FILE *mooring_memory_stream(void *bytes, size_t length)
{
	FILE *stream = fmemopen(bytes, length, "r");

	if (stream)
		__fsetlocking(stream, FSETLOCKING_BYCALLER);
	return stream;
}

bool mooring_holds(const void *bytes, size_t length, const char *text)
{
	return memmem(bytes, length, text, strlen(text)) != NULL;
}

long mooring_pipe(int ends[2])
{
	return result(pipe2(ends, O_CLOEXEC));
}

long mooring_get_affinity(void *mask, size_t size)
{
	return result(syscall(SYS_sched_getaffinity, 0, size, mask));
}

long mooring_set_affinity(const void *mask, size_t size)
{
	return result(syscall(SYS_sched_setaffinity, 0, size, mask));
}

long mooring_memory_file(const char *name)
{
	return result(memfd_create(name, MFD_CLOEXEC));
}

long mooring_wait(pid_t pid, int *status)
{
	long done;

	do
		done = waitpid(pid, status, 0);
	while (done < 0 && errno == EINTR);
	return result(done);
}

enum { NAME_ROOM = 65 };

struct names {
	int error;
	char host[NAME_ROOM], domain[NAME_ROOM];
};

static void report_names(int uts, int userns, int to)
{
	struct names names = { 0 };
	struct utsname found;

	if (setns(uts, CLONE_NEWUTS) &&
	    (userns < 0 || setns(userns, CLONE_NEWUSER) || setns(uts, CLONE_NEWUTS)))
		names.error = errno;
	else if (uname(&found))
		names.error = errno;
	if (!names.error) {
		memcpy(names.host, found.nodename, NAME_ROOM);
		memcpy(names.domain, found.domainname, NAME_ROOM);
	}
	_exit(write(to, &names, sizeof(names)) != sizeof(names));
}

long mooring_read_uts(int uts, int userns, char *host, char *domain)
{
	struct names names = { 0 };
	int ends[2], status;
	ssize_t got;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	pid_t child = fork();
	if (child < 0) {
		long failure = -errno;
		close(ends[0]);
		close(ends[1]);
		return failure;
	}
	if (child == 0)
		report_names(uts, userns, ends[1]);
	close(ends[1]);
	do
		got = read(ends[0], &names, sizeof(names));
	while (got < 0 && errno == EINTR);
	close(ends[0]);
	mooring_wait(child, &status);
	if (got != sizeof(names))
		return -EIO;
	memcpy(host, names.host, NAME_ROOM);
	memcpy(domain, names.domain, NAME_ROOM);
	return -names.error;
}

long mooring_mount_id(int fd)
{
	struct statx found;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &found))
		return -errno;
	if (!(found.stx_mask & STATX_MNT_ID))
		return -ENOSYS;
	return (long)found.stx_mnt_id;
}

long mooring_mount_facts(int fd, struct mooring_mount_facts *facts)
{
	const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
	struct statx found;
	long id = mooring_mount_id(fd);

	if (id < 0)
		return id;
	/* One field holds either ID. */
	if (statx(fd, "", flags, STATX_MNT_ID_UNIQUE, &found))
		return -errno;
	facts->id = (uint32_t)id;
	facts->unique_id = found.stx_mask & STATX_MNT_ID_UNIQUE ? found.stx_mnt_id : 0;
	facts->is_mount_root = found.stx_attributes & STATX_ATTR_MOUNT_ROOT;
	return 0;
}

void mooring_keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that glibc takes */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 16 << 20);
}
