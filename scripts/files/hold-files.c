#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: hold-files [--userns] ROOT READYFILE [FILE...] [child|thread [FILE...]]... [sharer]...\n"
	"\n"
	"Starts a container in ROOT (with a proc at /proc, a tmpfs at /tmp, and namespaces of its own for\n"
	"mounts, processes, the network and the host name) whose first process and children hold the files of\n"
	"their lists and no others; at 0 to 2 it is /dev/null. Its PID is in READYFILE when all are open. A\n"
	"thread of the first process has descriptors of its own; a sharer is a child that has the first's.\n"
	"A FILE is NUMBER=KIND[:ARGUMENT][,WORD]...:\n"
	"\n"
	"  of the caller:    inherit:N outside:PATH\n"
	"  other end there:  outer-pair outer-pipe-read outer-pipe-write terminal client:ADDRESS\n"
	"  both ends here:   pair:NAME pipe-read:NAME pipe-write:NAME client-inside:ADDRESS listen:ADDRESS\n"
	"  paths inside:     open:PATH unlinked:PATH namespace:KIND\n"
	"  without a path:   device:MAJOR:MINOR userfaultfd io_uring perf_event eventfd eventpoll timerfd\n"
	"                    signalfd inotify pidfd memfd[:NAME] inet unix\n"
	"  the same one:     dup:N (of the process's own; of a child: the first process's)\n"
	"\n"
	"WORDs: rdonly wronly rdwr append nonblock create directory path noatime nofollow cloexec stream\n"
	"dgram seqpacket bind=ADDRESS backlog=N, and send=N: so many numbers are sent to a counting-server.\n"
	"An ADDRESS is a path, or @NAME.\n";

/* Gives a process its files at their numbers, and takes everything else but kept away. */
static void arrange(struct list *list, int process, int kept, int null)
{
	bool taken[FIRST_STAGE] = { false };
	int first = 0;

	for (int i = 0; i < list->count; i++) {
		struct held *file = &list->files[i], *source = file;

		if (file->process != process)
			continue;
		while (phase_of(source) == ARRANGING)
			source = find_held(list, 0, atoi(source->argument));
		if (dup2(source->stage, file->number) < 0)
			die("put %s at %d", file->kind, file->number);
		if (file->closes_on_exec)
			fcntl(file->number, F_SETFD, FD_CLOEXEC);
		taken[file->number] = true;
	}
	for (int i = 0; i < 3; i++)
		if (!taken[i]) {
			dup2(null, i);
			taken[i] = true;
		}
	for (int i = 0; i <= FIRST_STAGE; i++)
		if (i == FIRST_STAGE || taken[i]) {
			if (i > first)
				syscall(SYS_close_range, first, i - 1, 0);
			first = i + 1;
		}
	if (kept > FIRST_STAGE)
		syscall(SYS_close_range, FIRST_STAGE, kept - 1, 0);
	syscall(SYS_close_range, kept + 1, ~0U, 0);
}

/* A child or a thread: whose files it takes, and where it says that it has them. */
struct member {
	struct list *list;
	int process, null, ready;
};

static void *live(void *data)
{
	struct member member = *(struct member *)data;
	int kept;

	if (member.list->is_thread[member.process] && unshare(CLONE_FILES))
		die("unshare(CLONE_FILES)");
	kept = fcntl(member.ready, F_DUPFD, FIRST_STAGE);
	open_held(member.list, INSIDE, member.process);
	arrange(member.list, member.process, kept, member.null);
	if (write(kept, "", 1) != 1)
		_exit(1);
	close(kept);
	for (;;)
		pause();
}

/* Returns when the child or thread has its files. */
static void start_member(struct list *list, int process, int null)
{
	struct member member = { list, process, null, -1 };
	pthread_t thread;
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		die("pipe");
	member.ready = ready[1];
	if (list->is_thread[process]) {
		if (pthread_create(&thread, NULL, live, &member))
			die("start a thread");
	} else {
		pid = fork();
		if (pid < 0)
			die("fork");
		if (pid == 0)
			live(&member);
		close(ready[1]);
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(1);
	/* Until then a thread needs it: it is in this table only. */
	if (list->is_thread[process])
		close(ready[1]);
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
}

static int build(void *data, int ready)
{
	struct list *list = data;
	int kept = fcntl(ready, F_DUPFD, FIRST_STAGE);
	int null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, FIRST_STAGE);
	int proc = new_proc();

	umask(022);
	for (int i = 0; i < list->count; i++)
		if (list->files[i].outer_end >= 0)
			close(list->files[i].outer_end);
	close(ready);
	open_held(list, LEAVING, 0);
	pivot();
	make_directory("/proc");
	attach_tree(proc, "/proc");
	mount_tmpfs("/tmp", "size=4m");
	open_held(list, INSIDE, 0);
	for (int i = 1; i < list->processes; i++)
		start_member(list, i, null);
	arrange(list, 0, kept, null);
	for (int i = 0; i < list->sharers; i++)
		if (!syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0))
			for (;;)
				pause();
	return kept;
}

/* A process that keeps the outer ends as long as there is the container. */
static void keep_outer_ends(const struct list *list, pid_t container)
{
	int ends[MOST_FILES], count = 0, null = open("/dev/null", O_RDWR);
	struct pollfd ended = { .events = POLLIN };

	for (int i = 0; i < list->count; i++)
		if (list->files[i].outer_end >= 0)
			ends[count++] = list->files[i].outer_end;
	if (!count || fork())
		return;
	setsid();
	prctl(PR_SET_NAME, "outer-ends");
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	ended.fd = syscall(SYS_pidfd_open, container, 0);
	for (int fd = 3; fd < FIRST_STAGE * 2; fd++) {
		bool kept = fd == ended.fd;

		for (int i = 0; i < count; i++)
			kept = kept || fd == ends[i];
		if (!kept)
			close(fd);
	}
	poll(&ended, 1, -1);
	_exit(0);
}

int main(int argc, char **argv)
{
	static struct list list;
	struct container container = { .namespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS,
				       .build = build, .data = &list };
	struct rlimit limit;
	pid_t pid;

	if (argc > 1 && !strcmp(argv[1], "--help")) {
		fputs(usage_text, stdout);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "--userns")) {
		container.namespaces |= CLONE_NEWUSER;
		argv++;
		argc--;
	}
	if (argc < 3 || argv[1][0] == '-') {
		fputs(usage_text, stderr);
		return 64;
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	container.root = argv[1];
	parse_list(&list, argv + 3);
	open_held(&list, OUTSIDE, 0);
	pid = start_container(&container);
	keep_outer_ends(&list, pid);
	write_pid(argv[2], pid);
	return 0;
}
