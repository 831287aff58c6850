#include "mooring-plugins.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "criu-plugin.h"

void *mooring_plugin_load(const char *path)
{
	return dlopen(path, RTLD_LAZY | RTLD_LOCAL);
}

const char *mooring_plugin_error(void)
{
	const char *text = dlerror();

	return text ? text : "the loader gives no reason";
}

void mooring_plugin_unload(void *handle)
{
	dlclose(handle);
}

/* dlsym goes on to what the object depends on, which may well be another plugin's library. */
static void *symbol_of(void *handle, const char *name)
{
	struct link_map *object, *owner = NULL;
	void *symbol = dlsym(handle, name);
	Dl_info info;

	if (!symbol || dlinfo(handle, RTLD_DI_LINKMAP, &object))
		return NULL;
	if (!dladdr1(symbol, &info, (void **)&owner, RTLD_DL_LINKMAP) || owner != object)
		return NULL;
	return symbol;
}

static const char *const legacy_names[] = {
	[CR_PLUGIN_HOOK__DUMP_UNIX_SK] = "cr_plugin_dump_unix_sk",
	[CR_PLUGIN_HOOK__RESTORE_UNIX_SK] = "cr_plugin_restore_unix_sk",
	[CR_PLUGIN_HOOK__DUMP_EXT_FILE] = "cr_plugin_dump_file",
	[CR_PLUGIN_HOOK__RESTORE_EXT_FILE] = "cr_plugin_restore_file",
	[CR_PLUGIN_HOOK__DUMP_EXT_MOUNT] = "cr_plugin_dump_ext_mount",
	[CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT] = "cr_plugin_restore_ext_mount",
	[CR_PLUGIN_HOOK__DUMP_EXT_LINK] = "cr_plugin_dump_ext_link",
	[CR_PLUGIN_HOOK__HANDLE_DEVICE_VMA] = "cr_plugin_handle_device_vma",
	[CR_PLUGIN_HOOK__UPDATE_VMA_MAP] = "cr_plugin_update_vma_map",
	[CR_PLUGIN_HOOK__RESUME_DEVICES_LATE] = "cr_plugin_resume_devices_late",
	[CR_PLUGIN_HOOK__PAUSE_DEVICES] = "cr_plugin_pause_devices",
	[CR_PLUGIN_HOOK__CHECKPOINT_DEVICES] = "cr_plugin_checkpoint_devices",
	[CR_PLUGIN_HOOK__POST_FORKING] = "cr_plugin_post_forking",
	[CR_PLUGIN_HOOK__RESTORE_INIT] = "cr_plugin_restore_init",
	[CR_PLUGIN_HOOK__DUMP_DEVICES_LATE] = "cr_plugin_dump_devices_late",
};
_Static_assert(sizeof(legacy_names) / sizeof(*legacy_names) == MOORING_HOOK_COUNT, "one name each");

static int read_legacy(void *handle, struct mooring_plugin *plugin)
{
	bool is_plugin;

	plugin->is_legacy = true;
	plugin->version = CRIU_PLUGIN_VERSION_OLD;
	plugin->max_hooks = MOORING_HOOK_COUNT;
	plugin->init = symbol_of(handle, "cr_plugin_init");
	plugin->exit = symbol_of(handle, "cr_plugin_fini");
	is_plugin = plugin->init || plugin->exit;
	for (int hook = 0; hook < MOORING_HOOK_COUNT; hook++) {
		plugin->hooks[hook] = symbol_of(handle, legacy_names[hook]);
		is_plugin |= plugin->hooks[hook] != NULL;
	}
	return is_plugin ? MOORING_PLUGIN_LEGACY : MOORING_PLUGIN_IS_NONE;
}

int mooring_plugin_read(void *handle, struct mooring_plugin *plugin)
{
	const cr_plugin_desc_t *descriptor = symbol_of(handle, "CR_PLUGIN_DESC");

	memset(plugin, 0, sizeof(*plugin));
	if (!descriptor)
		return read_legacy(handle, plugin);
	plugin->name = descriptor->name;
	plugin->version = descriptor->version;
	plugin->max_hooks = descriptor->max_hooks;
	if (descriptor->version > CRIU_PLUGIN_VERSION)
		return MOORING_PLUGIN_IS_NEWER;
	if (descriptor->max_hooks > MOORING_HOOK_COUNT)
		return MOORING_PLUGIN_HAS_MORE_HOOKS;
	plugin->init = (void *)descriptor->init;
	plugin->exit = (void *)descriptor->exit;
	memcpy(plugin->hooks, descriptor->hooks, descriptor->max_hooks * sizeof(void *));
	return MOORING_PLUGIN_CURRENT;
}

int mooring_plugin_init(const struct mooring_plugin *plugin, int stage)
{
	if (!plugin->init)
		return 0;
	if (plugin->is_legacy)
		return ((cr_plugin_init_t *)plugin->init)();
	return ((int (*)(int))plugin->init)(stage);
}

void mooring_plugin_exit(const struct mooring_plugin *plugin, int stage, int ret)
{
	if (!plugin->exit)
		return;
	if (plugin->is_legacy)
		((cr_plugin_fini_t *)plugin->exit)();
	else
		((void (*)(int, int))plugin->exit)(stage, ret);
}

#define HOOK(plugin, hook) ((hook##_fn *)(plugin)->hooks[hook])

int mooring_hook_restore_init(const struct mooring_plugin *plugin)
{
	return HOOK(plugin, CR_PLUGIN_HOOK__RESTORE_INIT)();
}

/* Both hooks of dumping a descriptor have this shape. */
int mooring_hook_dump_descriptor(const struct mooring_plugin *plugin, int hook, int fd, int id)
{
	return ((CR_PLUGIN_HOOK__DUMP_EXT_FILE_fn *)plugin->hooks[hook])(fd, id);
}

int mooring_hook_restore_socket(const struct mooring_plugin *plugin, int id)
{
	return HOOK(plugin, CR_PLUGIN_HOOK__RESTORE_UNIX_SK)(id);
}

int mooring_hook_restore_file(const struct mooring_plugin *plugin, int id, bool *retry_needed)
{
	if (plugin->is_legacy)
		return ((cr_plugin_restore_file_t *)plugin->hooks[CR_PLUGIN_HOOK__RESTORE_EXT_FILE])(id);
	return HOOK(plugin, CR_PLUGIN_HOOK__RESTORE_EXT_FILE)(id, retry_needed);
}

int mooring_hook_dump_mount(const struct mooring_plugin *plugin, char *mountpoint, int id)
{
	return HOOK(plugin, CR_PLUGIN_HOOK__DUMP_EXT_MOUNT)(mountpoint, id);
}

int mooring_hook_restore_mount(const struct mooring_plugin *plugin, int id, char *mountpoint,
			       char *old_root, int *is_file)
{
	return HOOK(plugin, CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT)(id, mountpoint, old_root, is_file);
}

int mooring_hook_dump_link(const struct mooring_plugin *plugin, int index, int type, char *kind)
{
	return HOOK(plugin, CR_PLUGIN_HOOK__DUMP_EXT_LINK)(index, type, kind);
}
