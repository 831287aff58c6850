/*
 * Does what MOORING_MISBEHAVE says, and answers for every mount:
 *
 *	init-fail crash-init hang-init exit-init crash-load fail-restore-init
 *	dump-error crash hang exit close-all return-child print-forever
 *	restore-error wrong-kind nothing-mounted mountpoint-only lie-is-file mounts-below
 *	print-much print-bytes crash-exit hang-exit exit-exit
 */
#define LOG_PREFIX "misbehave: "

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "criu-log.h"
#include "criu-plugin.h"

static bool is(const char *what)
{
	const char *wanted = getenv("MOORING_MISBEHAVE");

	return wanted && !strcmp(wanted, what);
}

static void crash(void)
{
	raise(SIGSEGV);
}

static void hang(void)
{
	for (;;)
		pause();
}

static void __attribute__((constructor)) load(void)
{
	if (is("crash-load"))
		crash();
}

static int init(int stage)
{
	(void)stage;
	if (is("crash-init"))
		crash();
	if (is("hang-init"))
		hang();
	if (is("exit-init"))
		exit(7);
	return is("init-fail") ? -EPERM : 0;
}

static void fini(int stage, int ret)
{
	(void)stage;
	(void)ret;
	if (is("crash-exit"))
		crash();
	if (is("hang-exit"))
		hang();
	if (is("exit-exit"))
		exit(9);
}

static void print_much(void)
{
	char *text = malloc(200001);

	memset(text, 'x', 200000);
	text[200000] = 0;
	for (int i = 0; i < 5; i++)
		print_on_level(LOG_INFO, "%s\n", text);
	for (int i = 0; i < 20000; i++)
		printf("line %d of standard output\n", i);
	free(text);
}

static void print_bytes(void)
{
	pr_info("one ");
	print_on_level(LOG_INFO, "line\n");
	print_on_level(LOG_ERROR, "bell \a, escape \033[31m, byte \377\n");
	print_on_level(LOG_DEBUG, "not shown\n");
	print_on_level(LOG_WARN, "%s", "");
	printf("to standard output, unfinished");
	fprintf(stderr, "to standard error\n");
}

static int any_hook(void)
{
	if (is("crash"))
		crash();
	if (is("hang"))
		hang();
	if (is("exit"))
		exit(3);
	if (is("close-all"))
		for (int fd = 0; fd < 100; fd++)
			close(fd);
	if (is("return-child") && fork() == 0)
		return 0;
	while (is("print-forever"))
		pr_warn("again\n");
	if (is("print-much"))
		print_much();
	if (is("print-bytes"))
		print_bytes();
	return 0;
}

static int dump_mount(char *mountpoint, int id)
{
	(void)mountpoint;
	(void)id;
	any_hook();
	return is("dump-error") ? -EPERM : 0;
}

static void make_file(const char *path)
{
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static int restore_mount(int id, char *mountpoint, char *old_root, int *is_file)
{
	char below[64];

	(void)id;
	(void)old_root;
	any_hook();
	if (is("restore-error"))
		return -EACCES;
	if (is("nothing-mounted"))
		return 0;
	if (is("mountpoint-only"))
		return mkdir(mountpoint, 0700);
	if (is("wrong-kind")) {
		make_file(mountpoint);
		*is_file = 1;
		return mount("/etc/passwd", mountpoint, NULL, MS_BIND, NULL) ? -errno : 0;
	}
	*is_file = is("lie-is-file");
	if (mkdir(mountpoint, 0700) || mount("misbehave", mountpoint, "tmpfs", 0, NULL))
		return -errno;
	if (is("mounts-below")) {
		snprintf(below, sizeof(below), "%s/below", mountpoint);
		if (mkdir(below, 0700) || mount("misbehave", below, "tmpfs", 0, NULL))
			return -errno;
	}
	return 0;
}

static int restore_init(void)
{
	return is("fail-restore-init") ? -EIO : 0;
}

CR_PLUGIN_REGISTER("misbehave", init, fini)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, dump_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_EXT_MOUNT, restore_mount)
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__RESTORE_INIT, restore_init)
