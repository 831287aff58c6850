/*
 * A tree from a list of commands, one a line, as Tests/Support/KernelModel understands them too. What the
 * kernel refuses is no error: each line's outcome goes to the results, "done" or the name of the errno.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *lines, *results;

void open_commands(const struct request *request)
{
	lines = fopen(request->commands, "re");
	if (!lines)
		die("open %s", request->commands);
	results = fopen(request->results, "we");
	if (!results)
		die("open %s", request->results);
}

/* A mount's own flags, of a list in the words of mount(8). */
static int add_flags(const char *path, const char *words)
{
	static const struct {
		const char *word;
		uint64_t flag;
	} names[] = { { "ro", MOUNT_ATTR_RDONLY },
		      { "nosuid", MOUNT_ATTR_NOSUID },
		      { "nodev", MOUNT_ATTR_NODEV },
		      { "noexec", MOUNT_ATTR_NOEXEC } };
	struct mount_attr attributes = { 0 };
	char list[64], *rest = list, *word;

	snprintf(list, sizeof(list), "%s", words);
	while ((word = strsep(&rest, ",")))
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (!strcmp(word, names[i].word))
				attributes.attr_set |= names[i].flag;
	return mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof(attributes));
}

static int propagate(const char *name, const char *path)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} kinds[] = { { "shared", MS_SHARED },
		      { "slave", MS_SLAVE },
		      { "private", MS_PRIVATE },
		      { "unbindable", MS_UNBINDABLE } };
	unsigned long recursive = *name == 'r' ? MS_REC : 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(name + (recursive ? 1 : 0), kinds[i].name))
			return mount(NULL, path, NULL, kinds[i].flag | recursive, NULL);
	errno = 0;
	die("no such command: %s", name);
	return -1;
}

static int perform(const char *word, const char *path, const char *more)
{
	if (!strcmp(word, "directory"))
		return mkdir(path, 0755);
	if (!strcmp(word, "file"))
		return mknod(path, S_IFREG | 0644, 0);
	if (!strcmp(word, "remove"))
		return remove(path);
	if (!strcmp(word, "tmpfs"))
		return mount("tmpfs", path, "tmpfs", 0, more);
	if (!strcmp(word, "bind"))
		return mount(path, more, NULL, MS_BIND, NULL);
	if (!strcmp(word, "rbind"))
		return mount(path, more, NULL, MS_BIND | MS_REC, NULL);
	if (!strcmp(word, "move"))
		return mount(path, more, NULL, MS_MOVE, NULL);
	if (!strcmp(word, "umount"))
		return umount2(path, 0);
	if (!strcmp(word, "flags"))
		return add_flags(path, more);
	if (!strcmp(word, "read-only"))
		return mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL);
	return propagate(word, path);
}

void build_from_commands(void)
{
	char *line = NULL, *rest, *word, *path, *more;
	size_t size = 0;

	while (getline(&line, &size, lines) > 0) {
		line[strcspn(line, "\n")] = 0;
		rest = line;
		word = strsep(&rest, " ");
		if (!*word)
			continue;
		path = rest ? strsep(&rest, " ") : "/";
		more = rest;
		fprintf(results, "%s\n", perform(word, path, more) ? strerrorname_np(errno) : "done");
	}
	free(line);
	fclose(lines);
	if (fclose(results))
		die("write the results");
}
