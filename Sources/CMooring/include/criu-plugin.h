/*
 * The interface between a checkpoint engine and its plugins: CRIU's, as Mooring offers it.
 *
 * A plugin is a shared object with a descriptor, which CR_PLUGIN_REGISTER defines, and hooks, which
 * CR_PLUGIN_REGISTER_HOOK writes into it when the object is loaded:
 *
 *	static int init(int stage) { return 0; }
 *	static void fini(int stage, int ret) { }
 *	static int dump_mount(char *mountpoint, int id) { return -ENOTSUP; }
 *	CR_PLUGIN_REGISTER("example", init, fini)
 *	CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
 *
 * A hook that answers -ENOTSUP has no answer, and the next plugin is asked. Anything else is the answer;
 * what is negative fails the operation.
 */
#ifndef CRIU_PLUGIN_H
#define CRIU_PLUGIN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CRIU_PLUGIN_GEN_VERSION(major, minor, sublevel) (((major) << 16) + ((minor) << 8) + (sublevel))
#define CRIU_PLUGIN_VERSION_MAJOR 0
#define CRIU_PLUGIN_VERSION_MINOR 2
#define CRIU_PLUGIN_VERSION_SUBLEVEL 0
#define CRIU_PLUGIN_VERSION                                                        \
	CRIU_PLUGIN_GEN_VERSION(CRIU_PLUGIN_VERSION_MAJOR, CRIU_PLUGIN_VERSION_MINOR, \
				CRIU_PLUGIN_VERSION_SUBLEVEL)
/* What the engine gives a plugin of the first generation, which has no descriptor. */
#define CRIU_PLUGIN_VERSION_OLD CRIU_PLUGIN_GEN_VERSION(0, 1, 0)

/* What the engine is doing: the argument of init and exit. */
enum {
	CR_PLUGIN_STAGE__DUMP = 0,
	CR_PLUGIN_STAGE__PRE_DUMP = 1,
	CR_PLUGIN_STAGE__RESTORE = 2,

	CR_PLUGIN_STAGE_MAX = INT_MAX,
};

/*
 * Mooring calls the hooks of mounts, links, files and sockets, and RESTORE_INIT. Those that belong to
 * the memory and devices of processes may be in a descriptor; nobody calls them.
 */
enum {
	CR_PLUGIN_HOOK__DUMP_UNIX_SK = 0,
	CR_PLUGIN_HOOK__RESTORE_UNIX_SK = 1,
	CR_PLUGIN_HOOK__DUMP_EXT_FILE = 2,
	CR_PLUGIN_HOOK__RESTORE_EXT_FILE = 3,
	CR_PLUGIN_HOOK__DUMP_EXT_MOUNT = 4,
	CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT = 5,
	CR_PLUGIN_HOOK__DUMP_EXT_LINK = 6,
	CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA = 7,
	CR_PLUGIN_HOOK__UPDATE_VMA_MAP = 8,
	CR_PLUGIN_HOOK__RESUME_DEVICES_LATE = 9,
	CR_PLUGIN_HOOK__PAUSE_DEVICES = 10,
	CR_PLUGIN_HOOK__CHECKPOINT_DEVICES = 11,
	CR_PLUGIN_HOOK__POST_FORKING = 12,
	CR_PLUGIN_HOOK__RESTORE_INIT = 13,
	CR_PLUGIN_HOOK__DUMP_DEVICES_LATE = 14,

	CR_PLUGIN_HOOK__MAX
};

/* One pointer type a hook, so that a function of another shape does not compile. */
#define DECLARE_PLUGIN_HOOK_ARGS(hook, ...) typedef int(__##hook##_t)(__VA_ARGS__)

/* A unix socket whose peer is outside; id is its inode. Restore returns a new descriptor. */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_UNIX_SK, int fd, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_UNIX_SK, int id);
/*
 * An open file of a kind the engine does not know; id is the engine's, one for each open file. Restore
 * returns a new descriptor; with *retry_needed set it is asked again.
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_FILE, int fd, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, int id, bool *retry_needed);
/*
 * A mount from outside. mountpoint is where it is in the container, with a leading dot ("./data"); id is
 * its number in /proc/PID/mountinfo. Restore gets the same id: it makes mountpoint, a path that does not
 * exist yet, as a file or a directory, mounts there what it finds below old_root, and writes 1 for a
 * file or 0 for a directory to *is_file. is_file may be null where the engine made the mount point.
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, char *mountpoint, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, int id, char *mountpoint, char *old_root,
			 int *is_file);
/* A link the engine cannot save: interface index, ARPHRD_* number, kind ("" for none). */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_LINK, int index, int type, char *kind);

/* Devices and memory of processes. */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA, int fd, const struct stat *stat);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__UPDATE_VMA_MAP, const char *path, const uint64_t addr,
			 const uint64_t old_pgoff, uint64_t *new_pgoff, int *plugin_fd);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESUME_DEVICES_LATE, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__PAUSE_DEVICES, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__POST_FORKING, void);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_DEVICES_LATE, int id);

/* After every plugin's init, at restore. */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_INIT, void);

typedef struct {
	const char *name;
	/* Non-zero refuses: the operation fails. */
	int (*init)(int stage);
	/* ret is non-zero where the operation failed. Not called after an init that refused. */
	void (*exit)(int stage, int ret);
	unsigned int version;
	unsigned int max_hooks;
	void *hooks[CR_PLUGIN_HOOK__MAX];
} cr_plugin_desc_t;

extern cr_plugin_desc_t CR_PLUGIN_DESC;

/* The declarations at the end let a semicolon follow, and nothing. */
#define CR_PLUGIN_REGISTER(plugin_name, plugin_init, plugin_exit) \
	cr_plugin_desc_t CR_PLUGIN_DESC = {                       \
		plugin_name,                                      \
		plugin_init,                                      \
		plugin_exit,                                      \
		CRIU_PLUGIN_VERSION,                              \
		CR_PLUGIN_HOOK__MAX,                              \
		{ NULL },                                         \
	};                                                        \
	extern cr_plugin_desc_t CR_PLUGIN_DESC;

#define CR_PLUGIN_REGISTER_DUMMY(plugin_name) CR_PLUGIN_REGISTER(plugin_name, NULL, NULL)

#define CR_PLUGIN_REGISTER_HOOK(hook, function)                                                    \
	static void __attribute__((constructor)) cr_plugin_register_hook_##function(void)         \
	{                                                                                          \
		__##hook##_t *typed = function;                                                    \
		CR_PLUGIN_DESC.hooks[hook] = (void *)typed;                                        \
	}                                                                                          \
	extern cr_plugin_desc_t CR_PLUGIN_DESC;

/* The first generation: no descriptor, but functions of these types under these names. */
typedef int(cr_plugin_init_t)(void);
typedef void(cr_plugin_fini_t)(void);
typedef int(cr_plugin_dump_unix_sk_t)(int fd, int id);
typedef int(cr_plugin_restore_unix_sk_t)(int id);
typedef int(cr_plugin_dump_file_t)(int fd, int id);
typedef int(cr_plugin_restore_file_t)(int id);
typedef int(cr_plugin_dump_ext_mount_t)(char *mountpoint, int id);
typedef int(cr_plugin_restore_ext_mount_t)(int id, char *mountpoint, char *old_root, int *is_file);
typedef int(cr_plugin_dump_ext_link_t)(int index, int type, char *kind);
typedef int(cr_plugin_handle_device_vma_t)(int fd, const struct stat *stat);
typedef int(cr_plugin_update_vma_map_t)(const char *path, const uint64_t addr, const uint64_t old_pgoff,
					uint64_t *new_pgoff, int *plugin_fd);
typedef int(cr_plugin_resume_devices_late_t)(int pid);
typedef int(cr_plugin_pause_devices_t)(int pid);
typedef int(cr_plugin_checkpoint_devices_t)(int pid);
typedef int(cr_plugin_post_forking_t)(void);
typedef int(cr_plugin_restore_init_t)(void);
typedef int(cr_plugin_dump_devices_late_t)(int id);

/* What the engine offers. */

/* The folder of images, open; not for closing. */
extern int criu_get_image_dir(void);
/* At dump: the images need the plugin of this name. */
extern int add_inventory_plugin(const char *name);
/*
 * At restore, from init: whether the images need this plugin, and that it is here. A plugin that they
 * need and nobody asks for fails the restore. n is the length of name with its NUL.
 */
extern bool check_and_remove_inventory_plugin(const char *name, size_t n);

#ifdef __cplusplus
}
#endif

#endif
