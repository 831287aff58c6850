/*
 * The first generation: functions in place of a descriptor. Binds MOORING_LEGACY_SOURCE, a directory,
 * to the mount point MOORING_LEGACY_MOUNTPOINT.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "criu-log.h"
#include "criu-plugin.h"

extern cr_plugin_init_t cr_plugin_init;
extern cr_plugin_fini_t cr_plugin_fini;
extern cr_plugin_dump_ext_mount_t cr_plugin_dump_ext_mount;
extern cr_plugin_restore_ext_mount_t cr_plugin_restore_ext_mount;
extern cr_plugin_restore_file_t cr_plugin_restore_file;

static int calls;

int cr_plugin_init(void)
{
	calls = 100;
	return 0;
}

void cr_plugin_fini(void)
{
	pr_info("legacy fini after %d calls\n", calls - 100);
}

int cr_plugin_dump_ext_mount(char *mountpoint, int id)
{
	const char *mine = getenv("MOORING_LEGACY_MOUNTPOINT");

	(void)id;
	calls++;
	return mine && !strcmp(mountpoint + 1, mine) ? 0 : -ENOTSUP;
}

int cr_plugin_restore_ext_mount(int id, char *mountpoint, char *old_root, int *is_file)
{
	const char *source = getenv("MOORING_LEGACY_SOURCE");
	char path[256];

	(void)id;
	calls++;
	if (!source)
		return -ENOTSUP;
	snprintf(path, sizeof(path), "%s%s", old_root, source);
	if (mkdir(mountpoint, 0700) || mount(path, mountpoint, NULL, MS_BIND, NULL))
		return -errno;
	*is_file = 0;
	return 0;
}

int cr_plugin_restore_file(int id)
{
	(void)id;
	return -ENOTSUP;
}
