/*
 * Binds what MOORING_TEST_BINDS says: pairs MOUNTPOINT=SOURCE with colons between,
 * "/data=/host/dir:/etc/file=/host/file". At dump the source goes into the images, in a file of this
 * plugin; a restore needs no variable.
 */
#define LOG_PREFIX "bind: "

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "criu-log.h"
#include "criu-plugin.h"

static int open_note(int id, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "bind-plugin-%d.img", id);
	return openat(criu_get_image_dir(), name, flags | O_CLOEXEC, 0600);
}

/* The source that the variable has for a mount point, in newly allocated memory. */
static char *source_of(const char *mountpoint)
{
	const char *pair = getenv("MOORING_TEST_BINDS");

	while (pair && *pair) {
		size_t length = strcspn(pair, ":");
		size_t name = strcspn(pair, "=");

		if (name < length && name == strlen(mountpoint) && !strncmp(pair, mountpoint, name))
			return strndup(pair + name + 1, length - name - 1);
		pair += length + (pair[length] == ':');
	}
	return NULL;
}

static int dump_mount(char *mountpoint, int id)
{
	/* "./data" */
	char *source = source_of(mountpoint + 1);
	ssize_t written = -1;
	int note;

	if (!source)
		return -ENOTSUP;
	note = open_note(id, O_WRONLY | O_CREAT | O_TRUNC);
	if (note >= 0) {
		written = write(note, source, strlen(source));
		close(note);
	}
	if (written < 0)
		pr_perror("cannot note where mount %d comes from", id);
	else
		pr_info("%s (mount %d) is %s\n", mountpoint, id, source);
	free(source);
	return written < 0 ? -EIO : 0;
}

static int make_mountpoint(const char *path, bool is_file)
{
	int fd;

	if (!is_file)
		return mkdir(path, 0700);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int restore_mount(int id, char *mountpoint, char *old_root, int *is_file)
{
	char source[256] = { 0 };
	size_t root = strlen(old_root);
	int note = open_note(id, O_RDONLY);
	struct stat status;

	if (note < 0)
		return errno == ENOENT ? -ENOTSUP : -errno;
	snprintf(source, sizeof(source), "%s", old_root);
	if (read(note, source + root, sizeof(source) - root - 1) < 0)
		source[0] = 0;
	close(note);
	if (stat(source, &status)) {
		pr_perror("%s", source);
		return -ENOENT;
	}
	*is_file = !S_ISDIR(status.st_mode);
	if (make_mountpoint(mountpoint, *is_file) || mount(source, mountpoint, NULL, MS_BIND, NULL)) {
		pr_perror("cannot bind %s to %s", source, mountpoint);
		return -errno;
	}
	return 0;
}

static int init(int stage)
{
	pr_debug("stage %d\n", stage);
	return 0;
}

static void fini(int stage, int ret)
{
	pr_debug("end of stage %d: %d\n", stage, ret);
}

CR_PLUGIN_REGISTER("bind-current", init, fini)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, restore_mount)
