/*
 * Appends a line to the file MOORING_RECORD for each call: what, PID, working directory, mount and user
 * namespace, a counter that init starts at 1000, and the arguments. Answers for nothing.
 *
 * MOORING_RECORD_NEEDS: a name that it adds to the inventory at dump, and asks for at restore.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "criu-plugin.h"

static int counter;

static unsigned long inode(const char *path)
{
	struct stat status;

	return stat(path, &status) ? 0 : status.st_ino;
}

static void __attribute__((format(printf, 2, 3))) record(const char *what, const char *format, ...)
{
	const char *path = getenv("MOORING_RECORD");
	char cwd[PATH_MAX] = "?", details[PATH_MAX + 64];
	va_list arguments;
	FILE *file = path ? fopen(path, "ae") : NULL;

	if (!file)
		return;
	va_start(arguments, format);
	vsnprintf(details, sizeof(details), format, arguments);
	va_end(arguments);
	fprintf(file, "%s pid=%d cwd=%s mnt=%lu user=%lu counter=%d %s\n", what, getpid(),
		getcwd(cwd, sizeof(cwd)) ? cwd : "?", inode("/proc/self/ns/mnt"),
		inode("/proc/self/ns/user"), counter, details);
	fclose(file);
}

static int init(int stage)
{
	const char *name = getenv("MOORING_RECORD_NEEDS");
	struct stat status;
	bool is_needed = true;

	counter = 1000;
	if (name && stage == CR_PLUGIN_STAGE__DUMP && add_inventory_plugin(name))
		return -1;
	if (name && stage == CR_PLUGIN_STAGE__RESTORE)
		is_needed = check_and_remove_inventory_plugin(name, strlen(name));
	record("init", "stage=%d images=%d needed=%d", stage,
	       !fstat(criu_get_image_dir(), &status) && S_ISDIR(status.st_mode), is_needed);
	return 0;
}

static void fini(int stage, int ret)
{
	record("exit", "stage=%d ret=%d", stage, ret);
}

static int dump_mount(char *mountpoint, int id)
{
	counter++;
	record("dump-mount", "mountpoint=%s id=%d", mountpoint, id);
	return -ENOTSUP;
}

static int restore_mount(int id, char *mountpoint, char *old_root, int *is_file)
{
	counter++;
	record("restore-mount", "mountpoint=%s id=%d old_root=%s is_file=%d exists=%d", mountpoint, id,
	       old_root, *is_file, !access(mountpoint, F_OK));
	/* The buffers are there to be written to. */
	memset(mountpoint, 0, PATH_MAX);
	memset(old_root, 0, PATH_MAX);
	return -ENOTSUP;
}

static int dump_link(int index, int type, char *kind)
{
	counter++;
	record("dump-link", "index=%d type=%d kind=%s", index, type, kind);
	return index == 7 ? 0 : -ENOTSUP;
}

static int restore_init(void)
{
	counter++;
	record("restore-init", "%s", "");
	return 0;
}

CR_PLUGIN_REGISTER("recorder", init, fini)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, restore_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_LINK, dump_link)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_INIT, restore_init)
