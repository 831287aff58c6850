/*
 * Plugins in C: what is read from a shared object, calls of its hooks, and what the five functions that
 * plugins call (criu-plugin.h, criu-log.h) do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MOORING_PLUGIN_HOOKS = 15,
	MOORING_PLUGIN_NONE = 1,
	MOORING_PLUGIN_TOO_NEW = 2,
	MOORING_PLUGIN_TOO_MANY_HOOKS = 3,
};

struct mooring_plugin {
	const char *name;
	uint32_t version;
	uint32_t max_hooks;
	bool is_legacy;
	int (*init)(int stage);
	void (*exit)(int stage, int ret);
	int (*legacy_init)(void);
	void (*legacy_exit)(void);
	void *hooks[MOORING_PLUGIN_HOOKS];
};

/* Loads an object (dlopen, RTLD_LAZY); NULL, and the loader's words in error, where it cannot. */
void *mooring_plugin_open(const char *path, char *error, size_t room);
/* What an object says of itself: 0, or one of MOORING_PLUGIN_*. */
int mooring_plugin_read(void *handle, struct mooring_plugin *plugin);

int mooring_plugin_init(const struct mooring_plugin *plugin, int stage);
void mooring_plugin_exit(const struct mooring_plugin *plugin, int stage, int ret);
int mooring_hook_int(void *hook, int one);
int mooring_hook_int_int(void *hook, int one, int other);
int mooring_hook_none(void *hook);
int mooring_hook_restore_file(const struct mooring_plugin *plugin, int id, bool *retry);
int mooring_hook_dump_mount(void *hook, char *mountpoint, int id);
int mooring_hook_restore_mount(void *hook, int id, char *mountpoint, char *old_root, int *is_file);
int mooring_hook_dump_link(void *hook, int index, int type, char *kind);

struct mooring_plugin_services {
	int image_dir;
	unsigned log_level;
	void (*log)(unsigned level, const char *text, size_t length);
	int (*add_inventory)(const char *name);
	bool (*take_inventory)(const char *name, size_t length);
};
/* What the functions that plugins call answer from now on. */
void mooring_plugin_serve(const struct mooring_plugin_services *services);

/* Ends the calling process after so many seconds, whatever it is doing; 0 calls it off. */
void mooring_end_after(unsigned seconds);
