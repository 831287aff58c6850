/*
 * A FUSE file system whose server hangs: it is mounted, and every question but the first greeting is taken
 * and never answered. Who asks cannot be killed until the server has ended.
 *
 *   hanging-fuse DIRECTORY READYFILE     returns once it is mounted; the server's PID is in READYFILE
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "hanging-fuse: %s: %s\n", what, strerror(errno));
	return 1;
}

static int greet(int device, const char *request)
{
	const struct fuse_in_header *in = (const void *)request;
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} reply = { 0 };

	if (in->opcode != FUSE_INIT)
		return -1;
	reply.header.len = sizeof(reply);
	reply.header.unique = in->unique;
	reply.init.major = FUSE_KERNEL_VERSION;
	reply.init.minor = FUSE_KERNEL_MINOR_VERSION;
	reply.init.max_write = 4096;
	return write(device, &reply, sizeof(reply)) == sizeof(reply) ? 0 : -1;
}

int main(int argc, char **argv)
{
	static char request[1 << 17];
	char options[128];
	int device, ready[2];
	struct stat status;
	char byte;
	FILE *file;
	pid_t pid;

	if (argc != 3)
		return 64;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0 || stat(argv[1], &status) || pipe(ready))
		return failed("/dev/fuse");
	snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other", device,
		 status.st_mode & S_IFMT);
	if (mount("hanging", argv[1], "fuse", MS_NOSUID | MS_NODEV, options))
		return failed(argv[1]);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		for (int i = 0; i < 3; i++)
			dup2(null, i);
		setsid();
		if (read(device, request, sizeof(request)) < 0 || greet(device, request))
			_exit(1);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		close(ready[0]);
		close(ready[1]);
		while (read(device, request, sizeof(request)) > 0 || errno == EINTR || errno == ENOENT)
			;
		_exit(0);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return failed("the server");
	file = fopen(argv[2], "we");
	if (!file || fprintf(file, "%d\n", pid) < 0 || fclose(file))
		return failed(argv[2]);
	return 0;
}
