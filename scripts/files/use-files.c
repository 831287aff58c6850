/*
 * A COMMAND for restored containers: says what descriptors it was given, and uses them. Linked statically.
 *
 *   use-files [--to FILE] ACTION...
 *
 *   show                  MOORING_FDS, a line a descriptor, and a line for each two that share an open file
 *   send FD FIRST COUNT   sends so many numbers to a counting-server
 *   receive FD            prints what comes within five seconds
 *   write FD TEXT         writes the text and a newline
 *   read FD               prints what can be read at once, up to 100 bytes
 *   seek FD OFFSET        moves the offset
 *
 * A line a descriptor: FD KIND FLAGS[,cloexec] OFFSET WHAT, KIND being char:MAJOR:MINOR, unix:TYPE, … What is
 * printed goes to FILE where standard output is one of the descriptors to look at.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *out;

static int fail(const char *what)
{
	fprintf(out, "failed: %s: %s\n", what, strerror(errno));
	return 1;
}

static void print_kind(int fd, const struct stat *status)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);

	switch (status->st_mode & S_IFMT) {
	case S_IFREG: fprintf(out, "file"); break;
	case S_IFDIR: fprintf(out, "directory"); break;
	case S_IFIFO: fprintf(out, "fifo"); break;
	case S_IFBLK: fprintf(out, "block"); break;
	case S_IFCHR:
		fprintf(out, "char:%u:%u", major(status->st_rdev), minor(status->st_rdev));
		break;
	case S_IFSOCK:
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
		fprintf(out, "%s:%s", domain == AF_UNIX ? "unix" : "socket",
			type == SOCK_DGRAM ? "dgram" : type == SOCK_STREAM ? "stream" : "seqpacket");
		break;
	default: fprintf(out, "anonymous");
	}
}

static void print_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;

	fprintf(out, " %s", flags & O_PATH ? "path" : access == O_RDWR ? "rdwr" : access ? "wronly" : "rdonly");
	if (flags & O_APPEND)
		fputs(",append", out);
	if (flags & O_NONBLOCK)
		fputs(",nonblock", out);
	if (flags & O_NOATIME)
		fputs(",noatime", out);
	if (fcntl(fd, F_GETFD) & FD_CLOEXEC)
		fputs(",cloexec", out);
}

static void print_address(const char *word, int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (get(fd, (struct sockaddr *)&address, &length) || address.sun_family != AF_UNIX ||
	    length <= sizeof(sa_family_t))
		return;
	if (!address.sun_path[0])
		fprintf(out, " %s=@%.*s", word, (int)(length - sizeof(sa_family_t) - 1), address.sun_path + 1);
	else
		fprintf(out, " %s=%s", word, address.sun_path);
}

static int own_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getsockname(fd, address, length);
}

static int peer_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

static void print_descriptor(int fd)
{
	struct stat status;
	char path[64], link[4096];
	ssize_t length;

	if (fstat(fd, &status))
		return;
	fprintf(out, "%d ", fd);
	print_kind(fd, &status);
	print_flags(fd);
	fprintf(out, " %ld", (long)lseek(fd, 0, SEEK_CUR));
	if (S_ISSOCK(status.st_mode)) {
		print_address("bound", fd, own_name);
		print_address("peer", fd, peer_name);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link));
	if (length > 0)
		fprintf(out, " %.*s", (int)length, link);
	fputc('\n', out);
}

static int show(void)
{
	static int held[20000];
	struct rlimit limit;
	int count = 0;
	const char *files = getenv("MOORING_FDS");

	getrlimit(RLIMIT_NOFILE, &limit);
	/* out is a memory stream: it has no descriptor. */
	for (rlim_t fd = 0; fd < limit.rlim_cur && count < 20000; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			held[count++] = fd;
	fprintf(out, files ? "MOORING_FDS=%s\n" : "no MOORING_FDS\n", files);
	for (int i = 0; i < count; i++)
		print_descriptor(held[i]);
	for (int i = 0; i < count; i++)
		for (int j = i + 1; j < count; j++)
			if (!syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (long)held[i], (long)held[j]))
				fprintf(out, "same %d %d\n", held[i], held[j]);
	return 0;
}

static int send_numbers(int fd, int first, int count)
{
	char text[32];

	for (int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "number %08d\n", first + i);
		if (send(fd, text, 16, MSG_NOSIGNAL) != 16)
			return fail("send");
	}
	return 0;
}

static int receive(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char text[100];
	ssize_t got;

	if (poll(&ready, 1, 5000) < 1)
		return fail("wait");
	got = read(fd, text, sizeof(text));
	if (got < 0)
		return fail("read");
	fprintf(out, "%.*s", (int)got, text);
	return 0;
}

/* Takes one action off the list; another number than 0 where it failed. */
static int act(char ***words)
{
	char *action = *(*words)++, **rest = *words;
	int count = 0, fd;
	char text[1000];

	while (rest[count])
		count++;
	if (!strcmp(action, "show"))
		return show();
	if (count < 1)
		return 64;
	fd = atoi(rest[0]);
	*words += 1;
	if (!strcmp(action, "receive") || !strcmp(action, "read"))
		return receive(fd);
	if (count < 2)
		return 64;
	*words += 1;
	if (!strcmp(action, "seek"))
		return lseek(fd, atol(rest[1]), SEEK_SET) < 0 ? fail("seek") : 0;
	if (!strcmp(action, "write")) {
		snprintf(text, sizeof(text), "%s\n", rest[1]);
		return write(fd, text, strlen(text)) < 0 ? fail("write") : 0;
	}
	if (!strcmp(action, "send") && count >= 3) {
		*words += 1;
		return send_numbers(fd, atoi(rest[1]), atoi(rest[2]));
	}
	return 64;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	char *text;
	size_t size;
	int result = 0, target = STDOUT_FILENO;

	argv++;
	if (argc > 2 && !strcmp(argv[0], "--to")) {
		path = argv[1];
		argv += 2;
	}
	out = open_memstream(&text, &size);
	while (*argv && !result)
		result = act(&argv);
	fclose(out);
	if (path)
		target = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (target < 0 || write(target, text, size) != (ssize_t)size)
		return 1;
	return result;
}
