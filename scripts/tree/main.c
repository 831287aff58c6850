/*
 * A container to test on: a process with a mount namespace of its own and a tree of mounts in it, random
 * (from a seed) or one of the named scenarios.
 *
 *   make-tree [options] ROOT READYFILE
 *
 * ROOT is a directory that becomes the container's root. When the tree is complete, the PID of the
 * container as the caller sees it is in READYFILE, and the command returns; the container stays until
 * it is killed. The caller's own namespace is never touched.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The range of the host that --userns maps to, where the caller is root. */
enum { FIRST_ID = 100000, ID_COUNT = 65536 };

static const char usage_text[] =
	"usage: make-tree [--seed N] [--size K] [--contents] [--userns] [--pidns]\n"
	"                 [--scenario NAME [--outside DIR]] [--binds N] [--tmpfs N] ROOT READYFILE\n"
	"       make-tree --list\n";

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
static void pivot(void)
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

static void build(const struct request *request)
{
	umask(022);
	if (request->scenario)
		prepare_scenario(request);
	pivot();
	if (request->scenario)
		build_scenario(request);
	else if (request->binds || request->tmpfs)
		build_scenario(&(struct request){ .scenario = "many", .binds = request->binds,
						  .tmpfs = request->tmpfs });
	else
		build_random(request);
	if (request->contents) {
		mount_tmpfs("/contents", "size=16m");
		fill("/contents", request->seed);
	}
}

/* Runs in the container: one byte on go once the IDs are mapped, one on ready once the tree stands. */
static void container(const struct request *request, int go, int ready, bool userns)
{
	char byte;
	/* /dev/null of the outside: the container has none. */
	int null = open("/dev/null", O_RDWR);

	if (read(go, &byte, 1) != 1)
		exit(1);
	if (userns && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		die("become root of the user namespace");
	build(request);
	if (write(ready, "", 1) != 1)
		exit(1);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	syscall(SYS_close_range, 3, ~0U, 0);
	/* PID 1 of a pid namespace reaps; the kernel does it where SIGCHLD is ignored. */
	signal(SIGCHLD, SIG_IGN);
	setsid();
	for (;;)
		pause();
}

static void write_pid(const char *ready_file, pid_t pid)
{
	char temporary[4096];
	FILE *file;

	/* Renamed into place, so that whoever waits for the file finds it whole. */
	snprintf(temporary, sizeof(temporary), "%s.new", ready_file);
	file = fopen(temporary, "we");
	if (!file || fprintf(file, "%d\n", pid) < 0 || fclose(file) || rename(temporary, ready_file))
		die("write %s", ready_file);
}

static int start(const struct request *request, const char *root, const char *ready_file, int namespaces)
{
	int go[2], ready[2], status, here = open(".", O_PATH | O_CLOEXEC);
	char byte;
	bool userns = namespaces & CLONE_NEWUSER;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		die("pipe");
	if (userns && geteuid() == 0 && chown(root, FIRST_ID, FIRST_ID))
		die("chown %s", root);
	/* The container starts in its root: a user namespace may be unable to walk there. */
	if (here < 0 || chdir(root))
		die("enter %s", root);
	fflush(NULL);
	/* A raw clone without a stack is a fork that also makes namespaces. */
	pid = syscall(SYS_clone, namespaces | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		die("make the container's namespaces");
	if (pid == 0) {
		close(go[1]);
		close(ready[0]);
		container(request, go[0], ready[1], userns);
	}
	close(go[0]);
	close(ready[1]);
	if (userns)
		map_ids(pid);
	if (write(go[1], "", 1) != 1)
		die("start the container");
	if (read(ready[0], &byte, 1) != 1) {
		waitpid(pid, &status, 0);
		return 1;
	}
	if (fchdir(here))
		die("return to the caller's directory");
	write_pid(ready_file, pid);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },   { "size", required_argument, NULL, 'k' },
		{ "scenario", required_argument, NULL, 'n' }, { "outside", required_argument, NULL, 'o' },
		{ "binds", required_argument, NULL, 'b' },  { "tmpfs", required_argument, NULL, 't' },
		{ "userns", no_argument, NULL, 'u' },	    { "pidns", no_argument, NULL, 'p' },
		{ "contents", no_argument, NULL, 'c' },	    { "list", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	struct request request = { .seed = 1, .size = 20 };
	int namespaces = 0, option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's': request.seed = strtoull(optarg, NULL, 10); break;
		case 'k': request.size = atoi(optarg); break;
		case 'n': request.scenario = optarg; break;
		case 'o': request.outside = optarg; break;
		case 'b': request.binds = atoi(optarg); break;
		case 't': request.tmpfs = atoi(optarg); break;
		case 'u': namespaces |= CLONE_NEWUSER; break;
		case 'p': namespaces |= CLONE_NEWPID; break;
		case 'c': request.contents = true; break;
		case 'l': list_scenarios(); return 0;
		default: fputs(usage_text, stderr); return 64;
		}
	}
	if (argc - optind != 2) {
		fputs(usage_text, stderr);
		return 64;
	}
	if (request.scenario && !scenario_exists(request.scenario)) {
		errno = 0;
		die("no scenario %s; --list prints their names", request.scenario);
	}
	return start(&request, argv[optind], argv[optind + 1], namespaces);
}
