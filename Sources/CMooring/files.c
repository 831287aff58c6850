#include "mooring-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_setxattrat
#define SYS_setxattrat 463
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#endif

/* struct xattr_args of include/uapi/linux/xattr.h */
struct attribute_arguments {
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

static long result(long value)
{
	return value < 0 ? -errno : value;
}

long mooring_renameat2(int from, const char *old_name, int to, const char *new_name, unsigned flags)
{
	return result(renameat2(from, old_name, to, new_name, flags));
}

long mooring_file_system(int fd, unsigned long *type, unsigned long *flags)
{
	struct statfs about;

	if (fstatfs(fd, &about))
		return -errno;
	*type = (unsigned long)about.f_type;
	*flags = (unsigned long)about.f_flags;
	return 0;
}

static int held_proc = -1;

int mooring_hold_proc(void)
{
	if (held_proc < 0)
		held_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return held_proc;
}

/*
 * The path by which kernels before 6.13 reach a name below a descriptor without following it. It begins in
 * the /proc that is held: the one at "/proc" may be a container's, and lead where the container wants.
 * Goes there; the descriptor that is returned leads back.
 */
static long long_way(char *path, size_t room, int directory, const char *name)
{
	int length = snprintf(path, room, "thread-self/fd/%d/%s", directory, name), here;

	if (length < 0 || (size_t)length >= room)
		return -ENAMETOOLONG;
	here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (here < 0)
		return -errno;
	if (fchdir(mooring_hold_proc())) {
		close(here);
		return -ENOENT;
	}
	return here;
}

static long way_back(long here, long got)
{
	if (fchdir(here))
		got = -errno;
	close(here);
	return got;
}

enum { PATH_ROOM = 512 };

long mooring_list_attributes(int directory, const char *name, char *names, size_t room)
{
	char path[PATH_ROOM];
	long got;

	if (!name)
		return result(flistxattr(directory, names, room));
	got = result(syscall(SYS_listxattrat, directory, name, AT_SYMLINK_NOFOLLOW, names, room));
	if (got != -ENOSYS)
		return got;
	got = long_way(path, sizeof(path), directory, name);
	return got < 0 ? got : way_back(got, result(llistxattr(path, names, room)));
}

long mooring_get_attribute(int directory, const char *name, const char *attribute, void *value,
			   size_t room)
{
	struct attribute_arguments arguments = { (uintptr_t)value, (uint32_t)room, 0 };
	char path[PATH_ROOM];
	long got;

	if (!name)
		return result(fgetxattr(directory, attribute, value, room));
	got = result(syscall(SYS_getxattrat, directory, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments,
			     sizeof(arguments)));
	if (got != -ENOSYS)
		return got;
	got = long_way(path, sizeof(path), directory, name);
	return got < 0 ? got : way_back(got, result(lgetxattr(path, attribute, value, room)));
}

long mooring_set_attribute(int directory, const char *name, const char *attribute, const void *value,
			   size_t size)
{
	struct attribute_arguments arguments = { (uintptr_t)value, (uint32_t)size, 0 };
	char path[PATH_ROOM];
	long set;

	if (!name)
		return result(fsetxattr(directory, attribute, value, size, 0));
	set = result(syscall(SYS_setxattrat, directory, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments,
			     sizeof(arguments)));
	if (set != -ENOSYS)
		return set;
	set = long_way(path, sizeof(path), directory, name);
	return set < 0 ? set : way_back(set, result(lsetxattr(path, attribute, value, size, 0)));
}

long mooring_seek_data(int fd, long offset)
{
	return result(lseek(fd, offset, SEEK_DATA));
}

long mooring_seek_hole(int fd, long offset)
{
	return result(lseek(fd, offset, SEEK_HOLE));
}

uint64_t mooring_device(unsigned major, unsigned minor)
{
	return makedev(major, minor);
}

unsigned mooring_device_major(uint64_t device)
{
	return major(device);
}

unsigned mooring_device_minor(uint64_t device)
{
	return minor(device);
}

long mooring_is_mount_root(int fd)
{
	struct statx about;

	if (statx(fd, "", AT_EMPTY_PATH, 0, &about) < 0)
		return -errno;
	return (about.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}
