#include "tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void mount_both_ways(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "/t/%s", name);
	mount_tmpfs(path, NULL);
	snprintf(path, sizeof(path), "/t/%s/%s", name, name);
	make_directory(path);
	snprintf(path, sizeof(path), "/t/%s/%s/file", name, name);
	write_text(path, "here\n");
	/* The name in the root of a mount as well. */
	snprintf(path, sizeof(path), "/b/%s", name);
	make_directory(path);
	char source[4096];
	snprintf(source, sizeof(source), "/t/%s/%s", name, name);
	bind_mount(source, path);
}

/* A mount point whose path has about 4,000 bytes: walked, since calls take no more than 4,095. */
static void mount_at_long_path(void)
{
	char name[251];

	memset(name, 'l', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	mount_tmpfs("/long", NULL);
	if (chdir("/long"))
		die("enter /long");
	for (int i = 0; i < 15; i++) {
		make_directory(name);
		if (chdir(name))
			die("enter a long path");
	}
	memset(name, 'x', 220);
	name[220] = '\0';
	mount_tmpfs(name, NULL);
	if (chdir("/"))
		die("enter /");
}

void build_unusual_names(void)
{
	static const char *const names[] = {
		"with space", "with\nnewline", "with\ttab", "back\\slash", "\\040", "#hash", "a#b",
		"\xff\xfe not UTF-8", "\xc3\xa9", "deleted", " (deleted)", "(deleted)", "-dash",
		"quote'\"", "$(dollar)", "colon:comma,", "[brackets]", "...", " ", "\x01\x1b[31m",
	};

	mount_tmpfs("/t", NULL);
	make_directory("/b");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		mount_both_ways(names[i]);
	/* What mountinfo calls "/with space//deleted". */
	make_directory("/t/gone with space");
	make_directory("/b/deleted root");
	bind_mount("/t/gone with space", "/b/deleted root");
	if (rmdir("/t/gone with space"))
		die("remove a source");
	if (mount("source with space#", "/b", "tmpfs", 0, NULL))
		die("mount with an odd source");
	make_directory("/empty-source");
	if (mount("", "/empty-source", "tmpfs", 0, NULL))
		die("mount with an empty source");
	mount_at_long_path();
}
