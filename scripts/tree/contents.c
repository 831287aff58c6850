/* Files of every kind that a memory file system can hold. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const odd_names[] = {
	"with space", "new\nline", "tab\t", "back\\slash", "\xff\xfe\x80", "-rf", "*", "\\040",
	" leading", "trailing ", ".hidden", "...", "#", "e\xcc\x81",
};

static void at(char path[4096], const char *directory, const char *name)
{
	if (snprintf(path, 4096, "%s/%s", directory, name) >= 4096)
		die("%s/%s is too long", directory, name);
}

/* Two pages of data far apart. */
static void make_sparse(const char *path)
{
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (file < 0 || pwrite(file, "begin", 5, 8192) != 5 || pwrite(file, "end", 3, 3 << 20) != 3 ||
	    ftruncate(file, 8 << 20))
		die("make the sparse file %s", path);
	close(file);
}

static void make_socket(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* From within: a socket's address holds but 108 bytes. */
	if (chdir(directory) || file < 0 || bind(file, (struct sockaddr *)&address, sizeof(address)) ||
	    chdir("/"))
		die("make a socket in %s", directory);
	close(file);
}

/* Attributes that this kernel or user namespace does not offer are left out. */
static void set_attribute(const char *path, const char *name, const void *value, size_t size)
{
	if (lsetxattr(path, name, value, size, 0) && errno != ENOTSUP && errno != EPERM)
		die("set %s of %s", name, path);
}

/* user 1 may read; the group what it may; the mask r-x: the kernel's own layout of an ACL. */
static void set_acl(const char *path, const char *name)
{
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, permissions;
			uint32_t id;
		} entries[5];
	} acl = { 2, {
		{ 0x01, 7, ~0U }, { 0x02, 4, 1 }, { 0x04, 5, ~0U }, { 0x10, 5, ~0U }, { 0x20, 4, ~0U },
	} };

	set_attribute(path, name, &acl, sizeof(acl));
}

static void make_device(const char *path, mode_t type, dev_t device)
{
	/* In a user namespace only the fifo can be made. */
	if (mknod(path, type | 0640, device) && errno != EPERM)
		die("mknod %s", path);
}

static void set_times(const char *path, time_t seconds, long nanoseconds)
{
	struct timespec times[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };

	if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
		die("set the times of %s", path);
}

static void fill_special(const char *directory)
{
	char path[4096], other[4096];

	at(path, directory, "fifo");
	make_device(path, S_IFIFO, 0);
	at(path, directory, "null");
	make_device(path, S_IFCHR, makedev(1, 3));
	at(path, directory, "block");
	make_device(path, S_IFBLK, makedev(7, 200));
	make_socket(directory);
	at(path, directory, "sparse");
	make_sparse(path);
	at(path, directory, "hole");
	write_text(path, "");
	if (truncate(path, 1 << 20))
		die("truncate %s", path);
	at(path, directory, "link");
	if (symlink("../nowhere/at all", path))
		die("symlink %s", path);
	set_times(path, 1000000000, 5);
	at(other, directory, "hard");
	write_text(other, "one file, three names\n");
	at(path, directory, "hard too");
	if (link(other, path))
		die("link %s", path);
	at(path, directory, "sub");
	make_directory(path);
	at(path, directory, "sub/hard three");
	if (link(other, path))
		die("link %s", path);
}

void fill(const char *directory, uint64_t seed)
{
	char path[4096], text[64];

	for (size_t i = 0; i < sizeof(odd_names) / sizeof(*odd_names); i++) {
		at(path, directory, odd_names[i]);
		snprintf(text, sizeof(text), "%zu of seed %llu\n", i, (unsigned long long)seed);
		write_text(path, text);
		/* A user namespace may map one ID alone. */
		if (chown(path, i * 10, i * 100) && errno != EINVAL)
			die("chown %s", path);
		/* After chown, which takes the set-user-ID bit away. */
		if (chmod(path, i % 3 ? 0644 : 04755))
			die("chmod %s", path);
		set_times(path, 1600000000 + i, 123456789 + i);
	}
	fill_special(directory);
	at(path, directory, "attributes");
	make_directory(path);
	set_attribute(path, "trusted.mooring", "\0binary\xff", 8);
	set_attribute(path, "security.mooring", "value", 5);
	set_attribute(path, "user.mooring", "value", 5);
	set_acl(path, "system.posix_acl_access");
	set_acl(path, "system.posix_acl_default");
	at(path, directory, "empty directory");
	make_directory(path);
	if (chmod(path, 01777))
		die("chmod %s", path);
	/* Before 1970. */
	set_times(path, -86400, 1);
}
