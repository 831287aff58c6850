/*
 * The functions that plugins call. The host sets up what they answer (mooring-plugins.h), and so pulls
 * this file into the program; Package.swift exports the names.
 */
#include "criu-log.h"
#include "criu-plugin.h"
#include "mooring-calls.h"
#include "mooring-plugins.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CRIU_PLUGIN_VERSION == (int)MOORING_PLUGIN_VERSION, "one version");
_Static_assert((int)CR_PLUGIN_HOOK__MAX == (int)MOORING_HOOK_COUNT, "one list of hooks");

static int image_dir = -1;
static unsigned log_level;
static int log_socket = -1;
static uint8_t log_kind;

void mooring_plugins_serve(int dir, unsigned level, int socket, uint8_t kind)
{
	image_dir = dir;
	log_level = level;
	log_socket = socket;
	log_kind = kind;
}

int criu_get_image_dir(void)
{
	return image_dir;
}

unsigned int log_get_loglevel(void)
{
	return log_level;
}

static void send_text(unsigned level, const char *text, size_t length)
{
	uint8_t packet[2 + MOORING_LOG_PIECE] = { log_kind, level > 254 ? 255 : level };

	for (size_t sent = 0; sent < length;) {
		size_t piece = length - sent;

		if (piece > MOORING_LOG_PIECE)
			piece = MOORING_LOG_PIECE;
		memcpy(packet + 2, text + sent, piece);
		if (mooring_send(log_socket, packet, piece + 2, NULL, 0) < 0)
			return;
		sent += piece;
	}
}

void print_on_level(unsigned int level, const char *format, ...)
{
	/* Plugins look at errno after they have logged it. */
	int saved_errno = errno;
	va_list arguments;
	char *text = NULL;
	int length;

	if (log_socket < 0 || (level > log_level && level != (unsigned)LOG_UNSET))
		return;
	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length > 0)
		send_text(level, text, length);
	if (length >= 0)
		free(text);
	errno = saved_errno;
}

struct names {
	char **list;
	size_t count;
};
static struct names required, added;
static bool is_required_unknown;

static long find(const struct names *names, const char *name, size_t length)
{
	for (size_t i = 0; i < names->count; i++)
		if (strlen(names->list[i]) == length && !memcmp(names->list[i], name, length))
			return i;
	return -1;
}

static int append(struct names *names, const char *name)
{
	char **list = realloc(names->list, (names->count + 1) * sizeof(*list));

	if (!list)
		return -1;
	names->list = list;
	list[names->count] = strdup(name);
	if (!list[names->count])
		return -1;
	names->count++;
	return 0;
}

int add_inventory_plugin(const char *name)
{
	if (!name || !*name) {
		errno = EINVAL;
		return -1;
	}
	return find(&added, name, strlen(name)) >= 0 ? 0 : append(&added, name);
}

bool check_and_remove_inventory_plugin(const char *name, size_t n)
{
	long place;

	if (is_required_unknown)
		return true;
	/* Callers count the terminating NUL or leave it out. */
	place = name ? find(&required, name, strnlen(name, n)) : -1;
	if (place < 0)
		return false;
	free(required.list[place]);
	required.list[place] = required.list[--required.count];
	return true;
}

void mooring_inventory_require(const char *name)
{
	append(&required, name);
}

void mooring_inventory_is_unknown(void)
{
	is_required_unknown = true;
}

size_t mooring_inventory_required_count(void)
{
	return required.count;
}

const char *mooring_inventory_required(size_t index)
{
	return required.list[index];
}

size_t mooring_inventory_added_count(void)
{
	return added.count;
}

const char *mooring_inventory_added(size_t index)
{
	return added.list[index];
}
