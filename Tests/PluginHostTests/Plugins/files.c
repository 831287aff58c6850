/*
 * Files and sockets. Writes down in the images what a descriptor was (its link in /proc/self/fd), and
 * restores a pipe's reading end with that text in it. A file asks to be asked again once; one with an
 * ID of 1000 or more returns a number that is no descriptor.
 */
#define LOG_PREFIX "files: "

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "criu-log.h"
#include "criu-plugin.h"

static int open_note(const char *kind, int id, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "files-plugin-%s-%d.img", kind, id);
	return openat(criu_get_image_dir(), name, flags | O_CLOEXEC, 0600);
}

static int dump(const char *kind, int fd, int id)
{
	char link[32], text[256];
	ssize_t length, written;
	int note;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, text, sizeof(text));
	if (length < 0)
		return -errno;
	note = open_note(kind, id, O_WRONLY | O_CREAT | O_TRUNC);
	if (note < 0)
		return -errno;
	written = write(note, text, length);
	close(note);
	return written == length ? 0 : -EIO;
}

static int restore(const char *kind, int id)
{
	char text[256];
	int ends[2], note = open_note(kind, id, O_RDONLY);
	ssize_t length;

	if (note < 0)
		return -ENOTSUP;
	length = read(note, text, sizeof(text));
	close(note);
	if (length < 0 || pipe2(ends, O_CLOEXEC))
		return -EIO;
	if (write(ends[1], text, length) != length)
		return -EIO;
	close(ends[1]);
	return ends[0];
}

static int dump_socket(int fd, int id)
{
	return dump("socket", fd, id);
}

static int restore_socket(int id)
{
	return restore("socket", id);
}

static int dump_file(int fd, int id)
{
	return dump("file", fd, id);
}

static int restore_file(int id, bool *retry_needed)
{
	static bool has_waited;

	if (id >= 1000)
		return 1;
	if (!has_waited) {
		has_waited = true;
		*retry_needed = true;
		return 0;
	}
	return restore("file", id);
}

CR_PLUGIN_REGISTER_DUMMY("files")
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_UNIX_SK, dump_socket)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_UNIX_SK, restore_socket)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_FILE, dump_file)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_FILE, restore_file)
