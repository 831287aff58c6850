/*
 * Starts a container: a process with namespaces of its own, in whose root somebody builds something. The
 * caller's own namespaces are never touched.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The range of the host that --userns maps to, where the caller is root. */
enum { FIRST_ID = 100000, ID_COUNT = 65536 };

static void map_ids(pid_t pid)
{
	char path[64], map[64];
	bool root = geteuid() == 0;

	snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
	if (!root)
		write_text(path, "deny");
	snprintf(map, sizeof(map), "0 %d %d", root ? FIRST_ID : (int)geteuid(), root ? ID_COUNT : 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	write_text(path, map);
	snprintf(map, sizeof(map), "0 %d %d", root ? FIRST_ID : (int)getegid(), root ? ID_COUNT : 1);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	write_text(path, map);
}

/* The current directory becomes the root, a mount of its own; everything else goes out of sight. */
void pivot(void)
{
	int root;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("make the new namespace private");
	root = clone_tree(".", false);
	if (move_mount(root, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) || fchdir(root))
		die("bind the root to itself");
	if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		die("pivot into the root");
	close(root);
}

void close_others(int kept)
{
	if (kept > 3)
		syscall(SYS_close_range, 3, kept - 1, 0);
	syscall(SYS_close_range, kept < 3 ? 3 : kept + 1, ~0U, 0);
}

/* A time namespace whose clocks are ahead, entered at once. Wants the caller's /proc. */
static void set_clocks(void)
{
	int namespace;

	if (unshare(CLONE_NEWTIME) || prctl(PR_SET_DUMPABLE, 1))
		die("make a time namespace");
	write_text("/proc/self/timens_offsets", "monotonic 7200 0\nboottime 86400 0\n");
	namespace = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	if (namespace < 0 || setns(namespace, CLONE_NEWTIME))
		die("enter the time namespace");
	close(namespace);
}

/* Runs in the container: one byte on go once the IDs are mapped, one on ready once all is there. */
static void run(const struct container *container, int go, int ready)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		exit(1);
	if (container->namespaces & CLONE_NEWUSER && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		die("become root of the user namespace");
	if (container->clocks)
		set_clocks();
	ready = container->build(container->data, ready);
	if (write(ready, "", 1) != 1)
		exit(1);
	close(ready);
	/* PID 1 of a pid namespace reaps; the kernel does it where SIGCHLD is ignored. */
	signal(SIGCHLD, SIG_IGN);
	setsid();
	for (;;)
		pause();
}

void write_pid(const char *ready_file, pid_t pid)
{
	char temporary[4096];
	FILE *file;

	/* Renamed into place, so that whoever waits for the file finds it whole. */
	snprintf(temporary, sizeof(temporary), "%s.new", ready_file);
	file = fopen(temporary, "we");
	if (!file || fprintf(file, "%d\n", pid) < 0 || fclose(file) || rename(temporary, ready_file))
		die("write %s", ready_file);
}

pid_t start_container(const struct container *container)
{
	int go[2], ready[2], status, here = open(".", O_PATH | O_CLOEXEC);
	char byte;
	bool userns = container->namespaces & CLONE_NEWUSER;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		die("pipe");
	if (userns && geteuid() == 0 && chown(container->root, FIRST_ID, FIRST_ID))
		die("chown %s", container->root);
	/* The container starts in its root: a user namespace may be unable to walk there. */
	if (here < 0 || chdir(container->root))
		die("enter %s", container->root);
	fflush(NULL);
	/* A raw clone without a stack is a fork that also makes namespaces. */
	pid = syscall(SYS_clone, container->namespaces | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		die("make the container's namespaces");
	if (pid == 0) {
		close(go[1]);
		close(ready[0]);
		run(container, go[0], ready[1]);
	}
	close(go[0]);
	close(ready[1]);
	if (userns)
		map_ids(pid);
	if (write(go[1], "", 1) != 1)
		die("start the container");
	close(go[1]);
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, &status, 0);
		exit(1);
	}
	/* To its end: from then on the container has no descriptor of ours. */
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
	if (fchdir(here))
		die("return to the caller's directory");
	close(here);
	return pid;
}
