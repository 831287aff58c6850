/*
 * The floor under reading a mount table: what a plain C program needs for the same calls.
 *
 *   read-baseline PID TIMES   reads its table TIMES times; prints the fastest, in microseconds
 */
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct request {
	uint32_t size, spare;
	uint64_t mount, parameter, namespace;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static size_t read_once(int pid)
{
	static uint64_t ids[1 << 17];
	static char path[64], answer[4096];
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iterator = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *entry;
	struct request request = { 32, 0, UINT64_MAX, 0, 0 };
	size_t bytes = 0;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	FILE *stream = fdopen(dup(file), "r");
	setvbuf(stream, NULL, _IOFBF, 4096);
	if (mnt_table_parse_stream(table, stream, "mountinfo"))
		die("libmount");
	fclose(stream);
	while (mnt_table_next_fs(table, iterator, &entry) == 0)
		bytes += strlen(mnt_fs_get_target(entry)) + strlen(mnt_fs_get_root(entry));

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	int namespace = open(path, O_RDONLY | O_CLOEXEC);
	if (ioctl(namespace, _IOR(0xb7, 5, uint64_t), &request.namespace))
		die("NS_GET_MNTNS_ID");
	long count = syscall(458, &request, ids, sizeof(ids) / sizeof(*ids), 0);
	for (long i = 0; i < count; i++) {
		struct request one = { 32, 0, ids[i], 0x6002, request.namespace };
		if (syscall(457, &one, answer, sizeof(answer), 0))
			die("statmount");
	}
	struct pollfd question = { file, POLLPRI, 0 };
	poll(&question, 1, 0);
	close(namespace);
	close(file);
	mnt_free_iter(iterator);
	mnt_unref_table(table);
	return bytes;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 64;
	double best = 1e18;
	for (int i = 0; i < atoi(argv[2]); i++) {
		struct timespec start, end;
		clock_gettime(CLOCK_MONOTONIC, &start);
		if (read_once(atoi(argv[1])) == 0)
			return 1;
		clock_gettime(CLOCK_MONOTONIC, &end);
		double spent = (end.tv_sec - start.tv_sec) * 1e6 + (end.tv_nsec - start.tv_nsec) / 1e3;
		best = spent < best ? spent : best;
	}
	printf("%.0f\n", best);
	return 0;
}
