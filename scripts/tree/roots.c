/*
 * Ways into a container's root other than pivot_root and unmounting what was there: what lies beneath stays
 * in the namespace, out of everybody's reach.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void enter(const char *directory)
{
	if (chroot(directory) || chdir("/"))
		die("make %s the root", directory);
}

/* The current directory becomes a private mount of its own, entered. */
static void bind_current_directory(void)
{
	int root;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("make the new namespace private");
	root = clone_tree(".", false);
	if (move_mount(root, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(root))
		die("bind the root to itself");
	close(root);
}

/* The current directory is a mount: it goes over the root. */
static void move_over_root(void)
{
	if (mount(".", "/", NULL, MS_MOVE, NULL))
		die("move the root over /");
	enter(".");
}

/* As systemd-nspawn, switch_root and runc --no-pivot do. */
static void move_root(void)
{
	bind_current_directory();
	move_over_root();
}

/* Each over the one before, which its successor covers for good. */
static void move_three_roots(void)
{
	move_root();
	for (int i = 0; i < 2; i++) {
		make_directory("/stage");
		attach_tree(clone_tree("/", false), "/stage");
		if (chdir("/stage"))
			die("go to the next root");
		move_over_root();
	}
}

/* Mounts of the first root remain beneath, one of them with attributes that nobody is to see. */
static void move_over_others(void)
{
	bind_current_directory();
	if (mkdir("beneath", 0755) && errno != EEXIST)
		die("make a directory");
	if (mount("beneath", "/proc", "tmpfs", 0, NULL) || mount("beneath", "/sys", "tmpfs", MS_RDONLY, NULL))
		die("mount what is to remain beneath");
	move_over_root();
}

/* As bubblewrap does: a base in memory, the old root put into it, the new one built there, pivoted to again. */
static void pivot_twice(void)
{
	int root;

	bind_current_directory();
	root = open(".", O_PATH | O_CLOEXEC);
	/* The base lies where the caller has a directory for certain. */
	if (mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, NULL) || chdir("/proc") ||
	    mkdir("newroot", 0755) || mkdir("oldroot", 0755))
		die("make the base");
	if (mount("newroot", "newroot", NULL, MS_BIND | MS_REC, NULL) ||
	    syscall(SYS_pivot_root, ".", "oldroot") || chdir("/"))
		die("pivot to the base");
	if (fchdir(root))
		die("go back to the root");
	attach_tree(clone_tree(".", true), "/newroot");
	close(root);
	if (umount2("/oldroot", MNT_DETACH))
		die("unmount the old root");
	root = open("/", O_PATH | O_CLOEXEC);
	if (chdir("/newroot") || syscall(SYS_pivot_root, ".", ".") || fchdir(root) ||
	    umount2(".", MNT_DETACH) || chdir("/"))
		die("pivot to the new root");
	close(root);
}

/* The caller's tree stays around it, in sight of whoever enters the namespace otherwise. */
static void chroot_to_mount(void)
{
	bind_current_directory();
	enter(".");
}

void enter_root(const char *scenario)
{
	static const struct {
		const char *scenario;
		void (*enter)(void);
	} ways[] = {
		{ "moved-root", move_root },
		{ "moved-root-over-mounts", move_over_others },
		{ "moved-roots-stacked", move_three_roots },
		{ "moved-root-covered", move_root },
		{ "root-of-bubblewrap", pivot_twice },
		{ "chroot-to-mount", chroot_to_mount },
		{ "chroot-to-mount-covered", chroot_to_mount },
	};

	for (size_t i = 0; scenario && i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(ways[i].scenario, scenario)) {
			ways[i].enter();
			return;
		}
	pivot();
}
