/*
 * The floor under a restore: the system calls for the same mounts, with no checks, in the order that
 * costs least. What it makes is what make-tree --binds N or --tmpfs N made.
 *
 *   restore-baseline binds|tmpfs COUNT ROOT    prints the PID that holds the namespace, once it stands
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_below(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	int file = syscall(SYS_openat2, root, path, &how, sizeof(how));

	if (file < 0)
		die(path);
	return file;
}

/* Sets what a restore sets of every mount: its flags, and that it is private. */
static void finish_mount(int mount)
{
	struct mount_attr attributes = { .attr_clr = MOUNT_ATTR__ATIME, .propagation = MS_PRIVATE };

	if (mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)))
		die("mount_setattr");
}

static void attach(int mount, int root, const char *path)
{
	int place = open_below(root, path);

	finish_mount(mount);
	if (move_mount(mount, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		die("move_mount");
	close(place);
}

static int new_tmpfs(void)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC), mount;

	if (fsconfig(context, FSCONFIG_SET_STRING, "source", "tmpfs", 0) ||
	    fsconfig(context, FSCONFIG_SET_STRING, "size", "64k", 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die("fsconfig");
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mount < 0)
		die("fsmount");
	close(context);
	return mount;
}

static void build(int root, int count, int binds)
{
	char path[64];
	int source = new_tmpfs(), directory, mount;

	attach(source, root, "source");
	if (mkdirat(source, "directory", 0755))
		die("mkdirat");
	/* Cloned once: from a mount without children each further clone costs the same. */
	directory = open_tree(source, "directory", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "many/%c%06d", binds ? 'b' : 't', i);
		mount = binds ? open_tree(directory, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)
			      : new_tmpfs();
		if (mount < 0)
			die("open_tree");
		attach(mount, root, path);
		close(mount);
	}
}

int main(int argc, char **argv)
{
	int ready[2], root;
	char byte;

	if (argc != 4)
		return 64;
	if (pipe2(ready, O_CLOEXEC))
		die("pipe");
	pid_t pid = fork();
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			return 1;
		printf("%d\n", pid);
		return 0;
	}
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("unshare");
	root = open_tree(AT_FDCWD, argv[3], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (root < 0 || move_mount(root, "", AT_FDCWD, argv[3], MOVE_MOUNT_F_EMPTY_PATH))
		die(argv[3]);
	build(root, atoi(argv[2]), !strcmp(argv[1], "binds"));
	if (fchdir(root) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH))
		die("pivot_root");
	if (write(ready[1], "", 1) != 1)
		return 1;
	for (int i = 0; i < 3; i++)
		close(i);
	pause();
	return 0;
}
