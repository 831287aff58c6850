/*
 * Plugins as the plugin host sees them: what a shared object says of itself, calls of its functions,
 * and what the five functions that plugins call (criu-plugin.h, criu-log.h) answer.
 *
 * Not thread-safe: one host, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MOORING_HOOK_COUNT = 15,
	MOORING_PLUGIN_VERSION = 0x000200,

	/* What mooring_plugin_read says of an object. */
	MOORING_PLUGIN_CURRENT = 0,
	MOORING_PLUGIN_LEGACY = 1,
	MOORING_PLUGIN_IS_NONE = -1,
	MOORING_PLUGIN_IS_NEWER = -2,
	MOORING_PLUGIN_HAS_MORE_HOOKS = -3,
};

/* A descriptor in one shape for both generations. */
struct mooring_plugin {
	/* Null in a legacy plugin. */
	const char *name;
	uint32_t version;
	uint32_t max_hooks;
	bool is_legacy;
	void *init;
	void *exit;
	void *hooks[MOORING_HOOK_COUNT];
};

/* dlopen with RTLD_LAZY and RTLD_LOCAL. Null: mooring_plugin_error has the loader's words. */
void *mooring_plugin_load(const char *path);
const char *mooring_plugin_error(void);
void mooring_plugin_unload(void *handle);

/* Looks in that object only, not in those it depends on. */
int mooring_plugin_read(void *handle, struct mooring_plugin *plugin);

/* Calls; the function must be there, but for init and exit. */
int mooring_plugin_init(const struct mooring_plugin *plugin, int stage);
void mooring_plugin_exit(const struct mooring_plugin *plugin, int stage, int ret);
int mooring_hook_restore_init(const struct mooring_plugin *plugin);
int mooring_hook_dump_descriptor(const struct mooring_plugin *plugin, int hook, int fd, int id);
int mooring_hook_restore_socket(const struct mooring_plugin *plugin, int id);
int mooring_hook_restore_file(const struct mooring_plugin *plugin, int id, bool *retry_needed);
int mooring_hook_dump_mount(const struct mooring_plugin *plugin, char *mountpoint, int id);
int mooring_hook_restore_mount(const struct mooring_plugin *plugin, int id, char *mountpoint,
			       char *old_root, int *is_file);
int mooring_hook_dump_link(const struct mooring_plugin *plugin, int index, int type, char *kind);

/*
 * From now on criu_get_image_dir answers image_dir, log_get_loglevel level, and each message of a
 * plugin goes over the packet socket: the byte `kind`, a byte for the level (255: none), the text.
 */
void mooring_plugins_serve(int image_dir, unsigned level, int socket, uint8_t kind);
/* The size of one such packet's text. */
enum { MOORING_LOG_PIECE = 32768 };

/* The names that images need: what restore starts with, what plugins have settled or added. */
void mooring_inventory_require(const char *name);
/* The images do not say what they need. */
void mooring_inventory_is_unknown(void);
size_t mooring_inventory_required_count(void);
const char *mooring_inventory_required(size_t index);
size_t mooring_inventory_added_count(void);
const char *mooring_inventory_added(size_t index);

/* What lies at a name below a directory; symbolic links are not followed. */
struct mooring_place {
	uint32_t mode;
	bool is_mount_root;
	/* The ID that is never reused (Linux 6.8), 0 where the kernel does not know it. */
	uint64_t unique_mount_id;
};
/* statx: 0, or -errno. */
long mooring_look_at(int dirfd, const char *name, struct mooring_place *place);

/* Whether a directory's names appear only when they are looked up. */
bool mooring_is_autofs(int fd);

/* Default action for every signal, none blocked. */
void mooring_reset_signals(void);
/* What is printed reaches the engine line by line. */
void mooring_line_buffer_output(void);
/* The bytes in a pipe, 0 for other things. */
int mooring_unread(int fd);
/* "SEGV" for SIGSEGV; null for a number that is no signal. */
const char *mooring_signal_name(int signal);
/*
 * The descriptors become 0, 1, 2 and so on, in the order given, the first `kept` without close-on-exec;
 * all others are closed. -errno where that fails.
 */
long mooring_arrange_descriptors(const int *fds, size_t count, size_t kept);
