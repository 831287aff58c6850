/* Objects that are refused: REFUSED_NEWER, REFUSED_MORE_HOOKS, REFUSED_NOTHING; else an older one. */
#include "criu-plugin.h"

struct descriptor {
	const char *name;
	int (*init)(int stage);
	void (*exit)(int stage, int ret);
	unsigned int version;
	unsigned int max_hooks;
	void *hooks[CR_PLUGIN_HOOK__MAX + 1];
};

#if defined(REFUSED_NEWER)
#define VERSION CRIU_PLUGIN_GEN_VERSION(0, 2, 1)
#define HOOKS	CR_PLUGIN_HOOK__MAX
#elif defined(REFUSED_MORE_HOOKS)
#define VERSION CRIU_PLUGIN_VERSION
#define HOOKS	(CR_PLUGIN_HOOK__MAX + 1)
#else
/* Its table ends before the last hooks; what follows it is not to be read as hooks. */
#define VERSION CRIU_PLUGIN_GEN_VERSION(0, 2, 0)
#define HOOKS	7
#endif

#ifdef REFUSED_NOTHING
int not_a_plugin;
#else
/* Under a name of its own in C, for the header has declared another type. */
struct descriptor descriptor __asm__("CR_PLUGIN_DESC") = {
	"refused", NULL, NULL, VERSION, HOOKS, { [7] = &descriptor },
};
#endif
