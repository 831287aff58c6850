#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

static int opened(const struct held *file)
{
	return open(file->argument, file->flags | O_NOCTTY, 0644);
}

/* A file that has no name any more. */
static int unlinked(const struct held *file)
{
	int fd = open(file->argument, file->flags | O_CREAT | O_EXCL, 0644);

	if (fd >= 0 && unlink(file->argument))
		return -1;
	return fd;
}

/* A device, MAJOR:MINOR, whose node is no more. */
static int device(const struct held *file)
{
	unsigned major, minor;
	int fd;

	if (sscanf(file->argument, "%u:%u", &major, &minor) != 2)
		die("%s is no MAJOR:MINOR", file->argument);
	if (mknod("/unlinked-device", S_IFCHR | 0600, makedev(major, minor)))
		return -1;
	fd = open("/unlinked-device", file->flags | O_NOCTTY);
	if (unlink("/unlinked-device"))
		return -1;
	return fd;
}

static int inherited(const struct held *file)
{
	return fcntl(atoi(file->argument), F_DUPFD, 3);
}

static int user_fault(const struct held *file)
{
	return syscall(SYS_userfaultfd, (file->flags & O_NONBLOCK) | UFFD_USER_MODE_ONLY);
}

static int io_ring(const struct held *file)
{
	struct io_uring_params parameters = { 0 };

	(void)file;
	return syscall(SYS_io_uring_setup, 4, &parameters);
}

static int performance(const struct held *file)
{
	struct perf_event_attr attributes = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes),
					      .config = PERF_COUNT_SW_TASK_CLOCK, .exclude_kernel = 1 };

	(void)file;
	return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static int event(const struct held *file)
{
	return eventfd(7, file->flags & O_NONBLOCK ? EFD_NONBLOCK : 0);
}

static int poller(const struct held *file)
{
	(void)file;
	return epoll_create1(0);
}

static int timer(const struct held *file)
{
	(void)file;
	return timerfd_create(CLOCK_MONOTONIC, 0);
}

static int signals(const struct held *file)
{
	sigset_t set;

	(void)file;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return signalfd(-1, &set, 0);
}

static int watcher(const struct held *file)
{
	(void)file;
	return inotify_init1(0);
}

static int process(const struct held *file)
{
	(void)file;
	return syscall(SYS_pidfd_open, getpid(), 0);
}

static int memory(const struct held *file)
{
	return memfd_create(file->argument ? file->argument : "memory", 0);
}

static int namespace(const struct held *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", file->argument);
	return open(path, O_RDONLY);
}

static int internet(const struct held *file)
{
	return socket(AF_INET, file->type, 0);
}

/* The address of a path or, with "@" in front, an abstract name; its length. */
static socklen_t address_of(const char *name, struct sockaddr_un *address)
{
	size_t length = strlen(name);

	if (length >= sizeof(address->sun_path))
		die("%s is too long for an address", name);
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, name, length);
	if (*name != '@')
		return sizeof(*address);
	address->sun_path[0] = '\0';
	return offsetof(struct sockaddr_un, sun_path) + length;
}

static int connected(const struct held *file)
{
	struct sockaddr_un address;
	socklen_t length;
	int fd = socket(AF_UNIX, file->type, 0);

	if (file->bound) {
		length = address_of(file->bound, &address);
		if (bind(fd, (struct sockaddr *)&address, length))
			die("bind to %s", file->bound);
	}
	length = address_of(file->argument, &address);
	if (connect(fd, (struct sockaddr *)&address, length))
		return -1;
	for (int i = 1; i <= file->sends; i++) {
		char text[32];

		snprintf(text, sizeof(text), "number %08d\n", i);
		if (send(fd, text, 16, 0) != 16)
			die("send %d to %s", i, file->argument);
	}
	return fd;
}

static int unconnected(const struct held *file)
{
	return socket(AF_UNIX, file->type, 0);
}

static int listening(const struct held *file)
{
	struct sockaddr_un address;
	socklen_t length = address_of(file->argument, &address);
	int fd = socket(AF_UNIX, file->type, 0);

	if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, file->backlog))
		return -1;
	return fd;
}

/* What has two ends is made with its first one; the other one waits here, by its name. */
static struct {
	const char *name;
	int end;
} others[64];
static int other_count;

static int end_of(const struct held *file, int place, int (*make)(const struct held *, int *))
{
	int ends[2];

	for (int i = 0; i < other_count; i++)
		if (others[i].end >= 0 && !strcmp(others[i].name, file->argument)) {
			int end = others[i].end;

			others[i].end = -1;
			return end;
		}
	if (other_count == sizeof(others) / sizeof(*others))
		die("too many pairs");
	if (make(file, ends))
		return -1;
	others[other_count].name = file->argument;
	others[other_count++].end = ends[1 - place];
	return ends[place];
}

static int make_pipe(const struct held *file, int *ends)
{
	(void)file;
	return pipe(ends);
}

static int make_pair(const struct held *file, int *ends)
{
	return socketpair(AF_UNIX, file->type, 0, ends);
}

static int pipe_read(const struct held *file)
{
	return end_of(file, 0, make_pipe);
}

static int pipe_write(const struct held *file)
{
	return end_of(file, 1, make_pipe);
}

static int pair(const struct held *file)
{
	return end_of(file, 0, make_pair);
}

/* One end of which the other is outside. */
static int with_outer_end(const struct held *file, int place, int (*make)(const struct held *, int *))
{
	int ends[2];

	if (make(file, ends))
		return -1;
	((struct held *)file)->outer_end = fcntl(ends[1 - place], F_DUPFD_CLOEXEC, FIRST_STAGE);
	close(ends[1 - place]);
	return ends[place];
}

static int outer_pipe_read(const struct held *file)
{
	return with_outer_end(file, 0, make_pipe);
}

static int outer_pipe_write(const struct held *file)
{
	return with_outer_end(file, 1, make_pipe);
}

static int outer_pair(const struct held *file)
{
	return with_outer_end(file, 0, make_pair);
}

static int make_terminal(const struct held *file, int *ends)
{
	(void)file;
	ends[1] = posix_openpt(O_RDWR | O_NOCTTY);
	if (ends[1] < 0 || grantpt(ends[1]) || unlockpt(ends[1]))
		return -1;
	ends[0] = open(ptsname(ends[1]), O_RDWR | O_NOCTTY);
	return ends[0] < 0;
}

static int terminal(const struct held *file)
{
	return with_outer_end(file, 0, make_terminal);
}

static const struct kind {
	const char *name;
	enum phase phase;
	bool takes_argument;
	int (*open)(const struct held *);
} kinds[] = {
	{ "inherit", OUTSIDE, true, inherited },
	{ "outside", OUTSIDE, true, opened },
	{ "outer-pair", OUTSIDE, false, outer_pair },
	{ "outer-pipe-read", OUTSIDE, false, outer_pipe_read },
	{ "outer-pipe-write", OUTSIDE, false, outer_pipe_write },
	{ "terminal", OUTSIDE, false, terminal },
	{ "client", LEAVING, true, connected },
	{ "pipe-read", LEAVING, true, pipe_read },
	{ "pipe-write", LEAVING, true, pipe_write },
	{ "pair", LEAVING, true, pair },
	{ "open", INSIDE, true, opened },
	{ "unlinked", INSIDE, true, unlinked },
	{ "device", INSIDE, true, device },
	{ "userfaultfd", INSIDE, false, user_fault },
	{ "io_uring", INSIDE, false, io_ring },
	{ "perf_event", INSIDE, false, performance },
	{ "eventfd", INSIDE, false, event },
	{ "eventpoll", INSIDE, false, poller },
	{ "timerfd", INSIDE, false, timer },
	{ "signalfd", INSIDE, false, signals },
	{ "inotify", INSIDE, false, watcher },
	{ "pidfd", INSIDE, false, process },
	{ "memfd", INSIDE, false, memory },
	{ "namespace", INSIDE, true, namespace },
	{ "inet", INSIDE, false, internet },
	{ "unix", INSIDE, false, unconnected },
	{ "listen", INSIDE, true, listening },
	{ "client-inside", INSIDE, true, connected },
	{ "dup", ARRANGING, true, NULL },
};

static const struct kind *kind_of(const struct held *file)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, file->kind)) {
			errno = 0;
			if (kinds[i].takes_argument && !file->argument)
				die("%s wants an argument", file->kind);
			return &kinds[i];
		}
	errno = 0;
	die("there is no kind %s", file->kind);
}

enum phase phase_of(const struct held *file)
{
	return kind_of(file)->phase;
}

static void stage(struct held *file)
{
	int fd = kind_of(file)->open(file);

	if (fd < 0)
		die("open %s %s", file->kind, file->argument ? file->argument : "");
	file->stage = fcntl(fd, F_DUPFD, FIRST_STAGE);
	if (file->stage < 0)
		die("put %s aside", file->kind);
	close(fd);
	if (file->flags & O_NONBLOCK && !(file->flags & O_PATH))
		fcntl(file->stage, F_SETFL, fcntl(file->stage, F_GETFL) | O_NONBLOCK);
}

void open_held(struct list *list, enum phase phase, int process)
{
	for (int i = 0; i < list->count; i++) {
		struct held *file = &list->files[i];

		if (phase_of(file) == phase && (phase != INSIDE || file->process == process))
			stage(file);
	}
}
