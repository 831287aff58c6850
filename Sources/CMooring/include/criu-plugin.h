/*
 * What a plugin and the engine that loads it agree on: the plugin interface of CRIU, version 0.2.0.
 *
 * A plugin is a shared object with one descriptor and any number of hooks:
 *
 *	static int init(int stage) { return 0; }
 *	static void fini(int stage, int ret) { }
 *	CR_PLUGIN_REGISTER("example", init, fini)
 *
 *	static int dump_mount(char *mountpoint, int id) { return -ENOTSUP; }
 *	CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
 *
 * A hook that returns -ENOTSUP passes the question on to the next plugin. Whatever else it returns is
 * the answer, an error too: then the operation fails and names the plugin.
 */
#ifndef CRIU_PLUGIN_H
#define CRIU_PLUGIN_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CRIU_PLUGIN_GEN_VERSION(major, minor, sublevel) (((major) << 16) + ((minor) << 8) + (sublevel))

#define CRIU_PLUGIN_VERSION_MAJOR    0
#define CRIU_PLUGIN_VERSION_MINOR    2
#define CRIU_PLUGIN_VERSION_SUBLEVEL 0

#define CRIU_PLUGIN_VERSION                                                   \
	CRIU_PLUGIN_GEN_VERSION(CRIU_PLUGIN_VERSION_MAJOR,                    \
				CRIU_PLUGIN_VERSION_MINOR, CRIU_PLUGIN_VERSION_SUBLEVEL)

/* What the engine fills in for an object of functions without a descriptor (see the end). */
#define CRIU_PLUGIN_VERSION_OLD CRIU_PLUGIN_GEN_VERSION(0, 1, 0)

/* What the engine is doing: the argument of init and exit. */
enum {
	CR_PLUGIN_STAGE__DUMP = 0,
	CR_PLUGIN_STAGE__PRE_DUMP = 1,
	CR_PLUGIN_STAGE__RESTORE = 2,

	CR_PLUGIN_STAGE_MAX = INT_MAX,
};

/*
 * Hooks 7 to 12 and 14 are about the memory and the devices of processes. Mooring accepts them in a
 * descriptor and never calls them.
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

	CR_PLUGIN_HOOK__MAX,
};

/* The type of a hook's function; CR_PLUGIN_REGISTER_HOOK checks against it. */
#define DECLARE_PLUGIN_HOOK_ARGS(hook, ...) typedef int(hook##_fn)(__VA_ARGS__)

/*
 * A unix socket whose peer is outside: fd is a duplicate, id the socket's inode. Restore returns a new
 * descriptor.
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_UNIX_SK, int fd, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_UNIX_SK, int id);

/*
 * An open file of a kind that the engine does not know; id is the engine's number for it. Restore
 * returns a new descriptor, or 0 or more with *retry_needed set: "ask me again later".
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_FILE, int fd, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, int id, bool *retry_needed);

/*
 * A mount that comes from outside. mountpoint is its path in the container with a dot in front
 * ("./data"), id its number in /proc/PID/mountinfo; 0 says "mine".
 *
 * Restore gets that id again. It makes mountpoint, a path that does not exist yet, as a file or a
 * directory; mounts there what it finds below old_root; and writes to *is_file whether it made a file
 * (1) or a directory (0).
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, char *mountpoint, int id);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, int id, char *mountpoint, char *old_root,
			 int *is_file);

/*
 * A network link that the engine cannot create: its index, its ARPHRD_* number, its kind ("" where it
 * has none).
 */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_EXT_LINK, int index, int type, char *kind);

DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA, int fd, const struct stat *status);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__UPDATE_VMA_MAP, const char *path, const uint64_t addr,
			 const uint64_t old_pgoff, uint64_t *new_pgoff, int *plugin_fd);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESUME_DEVICES_LATE, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__PAUSE_DEVICES, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__CHECKPOINT_DEVICES, int pid);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__POST_FORKING, void);
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__DUMP_DEVICES_LATE, int id);

/* At restore, when every plugin has been initialised. */
DECLARE_PLUGIN_HOOK_ARGS(CR_PLUGIN_HOOK__RESTORE_INIT, void);

/* The descriptor. The engine accepts a table of fewer hooks than its own, and refuses a longer one. */
typedef struct {
	const char *name;
	/* Another value than 0 refuses: the operation fails, and exit is not called. May be null. */
	int (*init)(int stage);
	/* ret is 0 where the operation succeeded. May be null. */
	void (*exit)(int stage, int ret);
	unsigned int version;
	unsigned int max_hooks;
	void *hooks[CR_PLUGIN_HOOK__MAX];
} cr_plugin_desc_t;

extern cr_plugin_desc_t CR_PLUGIN_DESC;

/*
 * The macros below may be followed by a semicolon. ISO C knows no empty declaration, so the complaint
 * about it is switched off where the first one is used.
 */
#define CR_PLUGIN_SEMICOLON_MAY_FOLLOW _Pragma("GCC diagnostic ignored \"-Wpedantic\"")

#define CR_PLUGIN_REGISTER(plugin_name, plugin_init, plugin_exit)                   \
	CR_PLUGIN_SEMICOLON_MAY_FOLLOW                                              \
	cr_plugin_desc_t CR_PLUGIN_DESC = {                                         \
		plugin_name, plugin_init,	  plugin_exit, CRIU_PLUGIN_VERSION, \
		CR_PLUGIN_HOOK__MAX, { NULL },                                      \
	};

/* A plugin that only has hooks. */
#define CR_PLUGIN_REGISTER_DUMMY(plugin_name) CR_PLUGIN_REGISTER(plugin_name, NULL, NULL)

/* The variable in between has the hook's type, so that a function of another one is a warning. */
#define CR_PLUGIN_REGISTER_HOOK(hook, function)                                             \
	CR_PLUGIN_SEMICOLON_MAY_FOLLOW                                                      \
	static void __attribute__((constructor)) cr_plugin_register_hook_##function(void) \
	{                                                                                   \
		hook##_fn *typed = function;                                                \
		CR_PLUGIN_DESC.hooks[hook] = (void *)typed;                                 \
	}

/*
 * The first generation, still loaded, with a warning: no descriptor, but functions of these types under
 * the name of the type without its _t.
 */
typedef int(cr_plugin_init_t)(void);
typedef void(cr_plugin_fini_t)(void);
typedef int(cr_plugin_dump_unix_sk_t)(int fd, int id);
typedef int(cr_plugin_restore_unix_sk_t)(int id);
typedef int(cr_plugin_dump_file_t)(int fd, int id);
typedef int(cr_plugin_restore_file_t)(int id);
typedef int(cr_plugin_dump_ext_mount_t)(char *mountpoint, int id);
typedef int(cr_plugin_restore_ext_mount_t)(int id, char *mountpoint, char *old_root, int *is_file);
typedef int(cr_plugin_dump_ext_link_t)(int index, int type, char *kind);
typedef int(cr_plugin_handle_device_vma_t)(int fd, const struct stat *status);
typedef int(cr_plugin_update_vma_map_t)(const char *path, const uint64_t addr, const uint64_t old_pgoff,
					uint64_t *new_pgoff, int *plugin_fd);
typedef int(cr_plugin_resume_devices_late_t)(int pid);
typedef int(cr_plugin_pause_devices_t)(int pid);
typedef int(cr_plugin_checkpoint_devices_t)(int pid);
typedef int(cr_plugin_post_forking_t)(void);
typedef int(cr_plugin_restore_init_t)(void);
typedef int(cr_plugin_dump_devices_late_t)(int id);

/* What the engine offers to plugins. */

/* The folder of the images: an open directory descriptor, which stays the engine's. */
extern int criu_get_image_dir(void);

/* At dump: the images cannot be restored without the plugin of this name. 0, or -1. */
extern int add_inventory_plugin(const char *name);

/*
 * At restore, from init: whether the images need the plugin of this name (n bytes at most), which is
 * then settled. A name that nobody settles fails the restore. Always true for images that do not say.
 */
extern bool check_and_remove_inventory_plugin(const char *name, size_t n);

#ifdef __cplusplus
}
#endif

#endif
