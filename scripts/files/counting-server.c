/*
 * A daemon outside of the container, on a unix socket: counts the numbers that clients send.
 *
 *   counting-server [--stream|--seqpacket] [--no-accept] SOCKET COUNTFILE PIDFILE
 *
 * A message is "number 00000004\n". In COUNTFILE is how many there were, "4\n", with the word "wrong" after it
 * once a number was not the next one; the server goes on from what it finds there. A client that is bound is
 * answered, "counted 00000004\n". The command returns when the server listens; its PID is in PIDFILE.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE = 16, MOST_CLIENTS = 100 };

static const char *count_file;
static int count;
static bool wrong;

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "counting-server: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Renamed into place: a reader finds it whole. */
static void write_whole(const char *path, const char *text)
{
	char temporary[4096];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "we");
	if (!file || fputs(text, file) < 0 || fclose(file) || rename(temporary, path))
		fail(path);
}

static void keep_count(void)
{
	char text[64];

	snprintf(text, sizeof(text), "%d%s\n", count, wrong ? " wrong" : "");
	write_whole(count_file, text);
}

static void find_count(void)
{
	FILE *file = fopen(count_file, "re");
	char word[16] = "";

	if (!file)
		return;
	if (fscanf(file, "%d %15s", &count, word) < 1)
		count = 0;
	wrong = !strcmp(word, "wrong");
	fclose(file);
}

/* False at the end of a connection. */
static bool receive(int fd)
{
	struct sockaddr_un sender;
	socklen_t length = sizeof(sender);
	char text[64] = "", expected[64];
	ssize_t got = recvfrom(fd, text, MESSAGE, 0, (struct sockaddr *)&sender, &length);

	if (got <= 0)
		return false;
	count++;
	snprintf(expected, sizeof(expected), "number %08d\n", count);
	if (got != MESSAGE || memcmp(text, expected, MESSAGE))
		wrong = true;
	keep_count();
	if (length > sizeof(sa_family_t)) {
		snprintf(text, sizeof(text), "counted %08d\n", count);
		sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sender, length);
	}
	return true;
}

static void serve(int fd, bool accepts, bool is_stream)
{
	struct pollfd clients[MOST_CLIENTS + 1] = { { .fd = fd, .events = accepts ? POLLIN : 0 } };
	int clients_count = 1;

	for (;;) {
		if (poll(clients, clients_count, -1) < 0)
			fail("poll");
		for (int i = clients_count - 1; i > 0; i--)
			if (clients[i].revents && !receive(clients[i].fd)) {
				close(clients[i].fd);
				clients[i] = clients[--clients_count];
			}
		if (!(clients[0].revents & POLLIN))
			continue;
		if (!is_stream)
			receive(fd);
		else if (clients_count <= MOST_CLIENTS)
			clients[clients_count++] = (struct pollfd){ .fd = accept(fd, NULL, NULL), .events = POLLIN };
	}
}

static int bound_socket(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		fail("socket");
	strcpy(address.sun_path, path);
	/* One that was left by a server before. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0666))
		fail(path);
	if (type != SOCK_DGRAM && listen(fd, 10))
		fail("listen");
	return fd;
}

int main(int argc, char **argv)
{
	int type = SOCK_DGRAM, at = 1, fd;
	bool accepts = true;
	char pid[32];

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "--stream"))
			type = SOCK_STREAM;
		else if (!strcmp(argv[at], "--seqpacket"))
			type = SOCK_SEQPACKET;
		else if (!strcmp(argv[at], "--no-accept"))
			accepts = false;
		else
			break;
	}
	if (argc - at != 3) {
		fprintf(stderr,
			"usage: counting-server [--stream|--seqpacket] [--no-accept] SOCKET COUNTFILE PIDFILE\n");
		return 64;
	}
	fd = bound_socket(argv[at], type);
	count_file = argv[at + 1];
	find_count();
	keep_count();
	fflush(NULL);
	switch (fork()) {
	case -1:
		fail("fork");
	case 0:
		/* The caller reads the PID when the server is its own process already. */
		snprintf(pid, sizeof(pid), "%d\n", getpid());
		setsid();
		write_whole(argv[at + 2], pid);
		if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout))
			fail("/dev/null");
		serve(fd, accepts, type != SOCK_DGRAM);
	}
	/* Until the PID is there. */
	while (access(argv[at + 2], F_OK))
		usleep(1000);
	return 0;
}
