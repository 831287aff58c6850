/*
 * As plugins are that know only an engine which makes the mount point: makes none, and writes no
 * is_file. Binds MOORING_NO_MOUNTPOINT_SOURCE.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "criu-plugin.h"

static int dump_mount(char *mountpoint, int id)
{
	(void)mountpoint;
	(void)id;
	return getenv("MOORING_NO_MOUNTPOINT_SOURCE") ? 0 : -ENOTSUP;
}

static int restore_mount(int id, char *mountpoint, char *old_root, int *is_file)
{
	const char *source = getenv("MOORING_NO_MOUNTPOINT_SOURCE");

	(void)id;
	(void)old_root;
	(void)is_file;
	if (!source)
		return -ENOTSUP;
	return mount(source, mountpoint, NULL, MS_BIND, NULL) ? -errno : 0;
}

CR_PLUGIN_REGISTER_DUMMY("no-mountpoint")
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, restore_mount)
