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
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: make-tree [--seed N] [--size K] [--contents] [--userns] [--pidns] [--clocks]\n"
	"                 [--scenario NAME [--outside DIR]] [--binds N] [--tmpfs N] ROOT READYFILE\n"
	"                 [--commands FILE --results FILE]\n"
	"       make-tree --list\n";

static int build(void *data, int ready)
{
	const struct request *request = data;
	/* /dev/null of the outside: the container has none. */
	int null = open("/dev/null", O_RDWR);

	umask(022);
	if (request->scenario)
		prepare_scenario(request);
	if (request->commands)
		open_commands(request);
	enter_root(request->scenario);
	if (request->scenario)
		build_scenario(request);
	else if (request->commands)
		build_from_commands();
	else if (request->binds || request->tmpfs)
		build_scenario(&(struct request){ .scenario = "many", .binds = request->binds,
						  .tmpfs = request->tmpfs });
	else
		build_random(request);
	if (request->contents) {
		mount_tmpfs("/contents", "size=16m");
		fill("/contents", request->seed);
	}
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	close_others(ready);
	return ready;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },   { "size", required_argument, NULL, 'k' },
		{ "scenario", required_argument, NULL, 'n' }, { "outside", required_argument, NULL, 'o' },
		{ "binds", required_argument, NULL, 'b' },  { "tmpfs", required_argument, NULL, 't' },
		{ "userns", no_argument, NULL, 'u' },	    { "pidns", no_argument, NULL, 'p' },
		{ "clocks", no_argument, NULL, 'T' },
		{ "commands", required_argument, NULL, 'C' }, { "results", required_argument, NULL, 'R' },
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
		case 'T': request.clocks = true; break;
		case 'C': request.commands = optarg; break;
		case 'R': request.results = optarg; break;
		case 'l': list_scenarios(); return 0;
		default: fputs(usage_text, stderr); return 64;
		}
	}
	if (argc - optind != 2 || !request.commands != !request.results) {
		fputs(usage_text, stderr);
		return 64;
	}
	if (request.scenario && !scenario_exists(request.scenario)) {
		errno = 0;
		die("no scenario %s; --list prints their names", request.scenario);
	}
	write_pid(argv[optind + 1], start_container(&(struct container){
					     .root = argv[optind], .namespaces = namespaces,
					     .clocks = request.clocks, .build = build, .data = &request }));
	return 0;
}
