#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

void make_directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		die("mkdir %s", path);
}

void write_text(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (file < 0)
		die("open %s", path);
	if (write(file, text, strlen(text)) != (ssize_t)strlen(text))
		die("write %s", path);
	close(file);
}


void mount_tmpfs(const char *path, const char *options)
{
	make_directory(path);
	if (mount("tmpfs", path, "tmpfs", 0, options))
		die("mount a tmpfs on %s", path);
}

void bind_mount(const char *source, const char *target)
{
	if (mount(source, target, NULL, MS_BIND, NULL))
		die("bind %s to %s", source, target);
}

void bind_recursive(const char *source, const char *target)
{
	if (mount(source, target, NULL, MS_BIND | MS_REC, NULL))
		die("bind %s and what is below to %s", source, target);
}

void set_propagation(const char *path, unsigned long propagation)
{
	if (mount(NULL, path, NULL, propagation, NULL))
		die("set the propagation of %s", path);
}

void set_attributes(const char *path, uint64_t set, uint64_t clear)
{
	struct mount_attr attributes = { .attr_set = set, .attr_clr = clear };

	if (mount_setattr(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &attributes, sizeof(attributes)))
		die("set the attributes of %s", path);
}

int new_proc(void)
{
	int context = fsopen("proc", FSOPEN_CLOEXEC), tree;

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die("create a proc");
	tree = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (tree < 0)
		die("mount a proc");
	close(context);
	return tree;
}

int clone_tree(const char *path, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
	int tree = open_tree(AT_FDCWD, path, flags);

	if (tree < 0)
		die("clone the mount at %s", path);
	return tree;
}

void attach_tree(int tree, const char *path)
{
	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH))
		die("attach a mount from outside at %s", path);
	close(tree);
}
