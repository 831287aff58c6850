/*
 * A tree from a seed. Every step may fail (a place is hidden by then, or on a read-only mount): the
 * next is tried. What fails depends on the seed alone, so that a seed always gives the same tree.
 */
#include "tree.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_PLACES = 256, MAX_MOUNTS = 300, PATH_BYTES = 512, LISTMOUNT = 458 };

static char directories[MAX_PLACES][PATH_BYTES], files[MAX_PLACES][PATH_BYTES];
static char mount_points[MAX_PLACES][PATH_BYTES];
static int directory_count, file_count, mount_point_count, name_count;

static uint64_t state;

static uint64_t next_random(void)
{
	/* xorshift64*: small, and the same everywhere */
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

static int below(int limit)
{
	return (next_random() >> 33) % limit;
}

static void remember(char list[][PATH_BYTES], int *count, const char *path)
{
	if (*count < MAX_PLACES && strlen(path) < PATH_BYTES - 32)
		strcpy(list[(*count)++], path);
}

static const char *any_directory(void)
{
	return directories[below(directory_count)];
}

/* A name not used before, below a random directory. */
static void new_path(char path[PATH_BYTES])
{
	const char *parent = any_directory();

	snprintf(path, PATH_BYTES, "%s/%c%d", strcmp(parent, "/") ? parent : "", 'a' + below(26), name_count++);
}

static bool new_directory(char path[PATH_BYTES])
{
	new_path(path);
	return mkdir(path, 0755) == 0;
}

static bool make_content(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (file < 0)
		return false;
	if (write(file, text, strlen(text)) < 0)
		die("write %s", path);
	close(file);
	return true;
}

static bool new_file(char path[PATH_BYTES])
{
	new_path(path);
	return make_content(path, path);
}

static void add_directory(void)
{
	char path[PATH_BYTES];

	if (new_directory(path))
		remember(directories, &directory_count, path);
}

static void add_file(void)
{
	char path[PATH_BYTES];

	if (new_file(path))
		remember(files, &file_count, path);
}

static void mounted(const char *path)
{
	remember(mount_points, &mount_point_count, path);
	remember(directories, &directory_count, path);
}

static bool put_tmpfs(const char *path)
{
	static const unsigned long flag_sets[] = {
		0, 0, 0, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_NOSUID | MS_NODEV | MS_NOEXEC,
	};
	static const char *const option_sets[] = {
		NULL, "size=1m", "mode=700", "size=128k,nr_inodes=400,mode=1777", "uid=5,gid=6",
	};
	char file[PATH_BYTES + 8];

	if (mount("tmpfs", path, "tmpfs", flag_sets[below(8)], option_sets[below(5)]))
		return false;
	snprintf(file, sizeof(file), "%s/content", path);
	make_content(file, path);
	mounted(path);
	return true;
}

static void add_tmpfs(void)
{
	char path[PATH_BYTES];

	if (new_directory(path))
		put_tmpfs(path);
}

/* On the root of another mount. */
static void add_overmount(void)
{
	if (mount_point_count && !put_tmpfs(mount_points[below(mount_point_count)]))
		add_tmpfs();
}

static void add_bind(void)
{
	char path[PATH_BYTES];
	const char *source = any_directory();
	unsigned long recursive = below(6) == 0 ? MS_REC : 0;

	if (new_directory(path) && mount(source, path, NULL, MS_BIND | recursive, NULL) == 0)
		mounted(path);
}

static void add_file_bind(void)
{
	char path[PATH_BYTES];

	if (!file_count || below(3) == 0)
		add_file();
	if (!file_count || !new_file(path))
		return;
	if (mount(files[below(file_count)], path, NULL, MS_BIND, NULL) == 0) {
		remember(files, &file_count, path);
		remember(mount_points, &mount_point_count, path);
	}
}

/* Two mounts on one parent, the second over the first. */
static void add_hiding_sibling(void)
{
	char outer[PATH_BYTES], inner[PATH_BYTES + 16];

	if (!new_directory(outer))
		return;
	snprintf(inner, sizeof(inner), "%s/inner", outer);
	if (mkdir(inner, 0755) == 0 && put_tmpfs(inner))
		put_tmpfs(outer);
}

/* Binds a directory or a file, and removes it. */
static void add_deleted_root(void)
{
	char source[PATH_BYTES], path[PATH_BYTES];

	if (below(2)) {
		if (new_directory(source) && new_directory(path) && mount(source, path, NULL, MS_BIND, NULL) == 0)
			rmdir(source);
	} else {
		new_path(source);
		/* Empty: the bytes of a removed file are in no archive. */
		if (mknod(source, S_IFREG | 0644, 0) == 0 && new_file(path) &&
		    mount(source, path, NULL, MS_BIND, NULL) == 0)
			unlink(source);
	}
}

static void change_propagation(void)
{
	static const unsigned long kinds[] = { MS_SHARED, MS_SHARED, MS_SHARED, MS_SLAVE, MS_SLAVE, MS_PRIVATE };
	const char *path;

	if (!mount_point_count)
		return;
	path = mount_points[below(mount_point_count)];
	if (below(12) == 0) {
		mount(NULL, path, NULL, MS_UNBINDABLE, NULL);
		return;
	}
	mount(NULL, path, NULL, kinds[below(6)], NULL);
	if (below(4) == 0)
		mount(NULL, path, NULL, MS_SHARED, NULL);
}

/* Never the superblock of the root, which is the host's. */
static void make_superblock_read_only(const char *path)
{
	struct stat root, here;
	struct statfs kind;

	if (stat("/", &root) || stat(path, &here) || statfs(path, &kind))
		return;
	if (here.st_dev != root.st_dev && kind.f_type == TMPFS_MAGIC)
		mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

/* Last, since nothing can be made on a read-only mount. */
static void change_attributes(void)
{
	static const uint64_t sets[] = {
		MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC,
		MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	};

	for (int i = 0; i < mount_point_count; i++) {
		struct mount_attr attributes = { .attr_set = sets[below(5)] };
		const char *path = mount_points[i];

		if (below(3) == 0)
			mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof(attributes));
		if (below(8) == 0)
			make_superblock_read_only(path);
	}
}

/* Shared mounts multiply what is mounted in them. */
static bool is_full(void)
{
	static uint64_t ids[MAX_MOUNTS];
	struct {
		uint32_t size, spare;
		uint64_t mount, parameter;
	} request = { 24, 0, UINT64_MAX, 0 };

	return syscall(LISTMOUNT, &request, ids, MAX_MOUNTS, 0) >= MAX_MOUNTS;
}

void build_random(const struct request *request)
{
	static void (*const steps[])(void) = {
		add_tmpfs, add_tmpfs, add_tmpfs, add_bind, add_bind, add_bind, add_directory, add_directory,
		add_file_bind, add_overmount, add_hiding_sibling, add_deleted_root,
		change_propagation, change_propagation, change_propagation, change_propagation,
	};

	state = request->seed * 0x9E3779B97F4A7C15ULL + 1;
	remember(directories, &directory_count, "/");
	add_directory();
	if (below(4) == 0)
		mount(NULL, "/", NULL, MS_SHARED, NULL);
	for (int i = 0; i < request->size && !is_full(); i++)
		steps[below(sizeof(steps) / sizeof(*steps))]();
	change_attributes();
}
