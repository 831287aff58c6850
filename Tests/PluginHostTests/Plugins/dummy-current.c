/* A plugin that does nothing. */
#include "criu-plugin.h"

CR_PLUGIN_REGISTER_DUMMY("dummy-current");
