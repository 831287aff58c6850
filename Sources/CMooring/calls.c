#include "mooring-calls.h"
