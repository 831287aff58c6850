#include "mooring-plugins.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "criu-log.h"
#include "criu-plugin.h"

_Static_assert(CR_PLUGIN_HOOK__MAX == MOORING_PLUGIN_HOOKS, "one list of hooks");

static struct mooring_plugin_services services = { .image_dir = -1 };

void mooring_plugin_serve(const struct mooring_plugin_services *new_services)
{
	services = *new_services;
}

int criu_get_image_dir(void)
{
	return services.image_dir;
}

unsigned int log_get_loglevel(void)
{
	return services.log_level;
}

void print_on_level(unsigned int level, const char *format, ...)
{
	int saved = errno;
	char *text = NULL;
	va_list arguments;

	if (level > services.log_level || !services.log)
		return;
	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length >= 0) {
		services.log(level, text, length);
		free(text);
	}
	/* Plugins read errno after they have logged it. */
	errno = saved;
}

int add_inventory_plugin(const char *name)
{
	return services.add_inventory ? services.add_inventory(name) : -1;
}

bool check_and_remove_inventory_plugin(const char *name, size_t n)
{
	return services.take_inventory ? services.take_inventory(name, strnlen(name, n)) : true;
}

void *mooring_plugin_open(const char *path, char *error, size_t room)
{
	void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);

	if (!handle) {
		const char *text = dlerror();
		snprintf(error, room, "%s", text ? text : "");
	}
	return handle;
}

/* A symbol of this very object, not of one it depends on. */
static void *own_symbol(void *handle, const char *name)
{
	struct link_map *own = NULL, *found = NULL;
	Dl_info info;
	void *symbol = dlsym(handle, name);

	if (!symbol || dlinfo(handle, RTLD_DI_LINKMAP, &own))
		return NULL;
	if (!dladdr1(symbol, &info, (void **)&found, RTLD_DL_LINKMAP) || found != own)
		return NULL;
	return symbol;
}

/* In the order of the hooks. */
static const char *const legacy_names[MOORING_PLUGIN_HOOKS] = {
	"cr_plugin_dump_unix_sk",	"cr_plugin_restore_unix_sk",	  "cr_plugin_dump_file",
	"cr_plugin_restore_file",	"cr_plugin_dump_ext_mount",	  "cr_plugin_restore_ext_mount",
	"cr_plugin_dump_ext_link",	"cr_plugin_handle_device_vma",	  "cr_plugin_update_vma_map",
	"cr_plugin_resume_devices_late", "cr_plugin_pause_devices",	  "cr_plugin_checkpoint_devices",
	"cr_plugin_post_forking",	"cr_plugin_restore_init",	  "cr_plugin_dump_devices_late",
};

static int read_legacy(void *handle, struct mooring_plugin *plugin)
{
	bool found;

	plugin->legacy_init = (int (*)(void))own_symbol(handle, "cr_plugin_init");
	plugin->legacy_exit = (void (*)(void))own_symbol(handle, "cr_plugin_fini");
	found = plugin->legacy_init || plugin->legacy_exit;
	for (int i = 0; i < MOORING_PLUGIN_HOOKS; i++) {
		plugin->hooks[i] = own_symbol(handle, legacy_names[i]);
		found = found || plugin->hooks[i];
	}
	plugin->is_legacy = true;
	plugin->version = CRIU_PLUGIN_VERSION_OLD;
	plugin->max_hooks = MOORING_PLUGIN_HOOKS;
	return found ? 0 : MOORING_PLUGIN_NONE;
}

int mooring_plugin_read(void *handle, struct mooring_plugin *plugin)
{
	const cr_plugin_desc_t *description = own_symbol(handle, "CR_PLUGIN_DESC");

	memset(plugin, 0, sizeof(*plugin));
	if (!description)
		return read_legacy(handle, plugin);
	plugin->name = description->name;
	plugin->version = description->version;
	plugin->max_hooks = description->max_hooks;
	plugin->init = description->init;
	plugin->exit = description->exit;
	if (plugin->version > CRIU_PLUGIN_VERSION)
		return MOORING_PLUGIN_TOO_NEW;
	if (plugin->max_hooks > MOORING_PLUGIN_HOOKS)
		return MOORING_PLUGIN_TOO_MANY_HOOKS;
	memcpy(plugin->hooks, description->hooks, plugin->max_hooks * sizeof(void *));
	return 0;
}

int mooring_plugin_init(const struct mooring_plugin *plugin, int stage)
{
	if (plugin->legacy_init)
		return plugin->legacy_init();
	return plugin->init ? plugin->init(stage) : 0;
}

void mooring_plugin_exit(const struct mooring_plugin *plugin, int stage, int ret)
{
	if (plugin->legacy_exit)
		plugin->legacy_exit();
	else if (plugin->exit)
		plugin->exit(stage, ret);
}

int mooring_hook_int(void *hook, int one)
{
	return ((int (*)(int))hook)(one);
}

int mooring_hook_int_int(void *hook, int one, int other)
{
	return ((int (*)(int, int))hook)(one, other);
}

int mooring_hook_none(void *hook)
{
	return ((int (*)(void))hook)();
}

int mooring_hook_restore_file(const struct mooring_plugin *plugin, int id, bool *retry)
{
	void *hook = plugin->hooks[CR_PLUGIN_HOOK__RESTORE_EXT_FILE];

	*retry = false;
	if (plugin->is_legacy)
		return ((cr_plugin_restore_file_t *)hook)(id);
	return ((__CR_PLUGIN_HOOK__RESTORE_EXT_FILE_t *)hook)(id, retry);
}

int mooring_hook_dump_mount(void *hook, char *mountpoint, int id)
{
	return ((cr_plugin_dump_ext_mount_t *)hook)(mountpoint, id);
}

int mooring_hook_restore_mount(void *hook, int id, char *mountpoint, char *old_root, int *is_file)
{
	return ((cr_plugin_restore_ext_mount_t *)hook)(id, mountpoint, old_root, is_file);
}

int mooring_hook_dump_link(void *hook, int index, int type, char *kind)
{
	return ((cr_plugin_dump_ext_link_t *)hook)(index, type, kind);
}

void mooring_end_after(unsigned seconds)
{
	/* A timer of its own: alarm(2) is the plugins'. */
	static timer_t timer;
	static bool is_made;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value.tv_sec = seconds };

	if (!is_made && timer_create(CLOCK_MONOTONIC, &event, &timer))
		return;
	is_made = true;
	timer_settime(timer, 0, &when, NULL);
}
