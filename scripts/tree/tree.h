/*
 * make-tree: live containers for tests. Everything here works inside the container's own mount
 * namespace, after it has pivoted: paths are those of the container.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the command line asked for. */
struct request {
	uint64_t seed;
	int size;		/* operations of a random tree */
	int binds, tmpfs;	/* how many of each, where not random */
	bool contents, clocks;
	const char *scenario;	/* NULL: random */
	const char *outside;	/* directory of the caller's namespace, or NULL */
	const char *commands;	/* a list of them, or NULL */
	const char *results;	/* what became of each */
};

/* container.c */
struct container {
	const char *root;	/* a directory that becomes its root */
	int namespaces;		/* CLONE_NEW…; mounts are always its own */
	bool clocks;		/* a time namespace with offsets */
	/*
	 * Runs in its namespaces, in that directory, with the caller's mounts still in sight: pivots, builds,
	 * and closes every descriptor that the container is not to have but ready; returns where that is.
	 */
	int (*build)(void *data, int ready);
	void *data;
};
/* Returns when all is built; the container stays until it is killed. */
pid_t start_container(const struct container *container);
/* The current directory becomes the root, a mount of its own; everything else goes out of sight. */
void pivot(void);
/* All descriptors but the standard streams and kept. */
void close_others(int kept);
/* Renamed into place, so that whoever waits for the file finds it whole. */
void write_pid(const char *path, pid_t pid);

/* calls.c: calls that end the program with one sentence when they fail. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void make_directory(const char *path);
void mount_tmpfs(const char *path, const char *options);
void bind_mount(const char *source, const char *target);
void bind_recursive(const char *source, const char *target);
void set_propagation(const char *path, unsigned long propagation);
void set_attributes(const char *path, uint64_t set, uint64_t clear);
void write_text(const char *path, const char *text);
/* A new proc; in a user namespace only possible while another is in sight. */
int new_proc(void);
/* A copy of the mount at path that keeps its peer group and master; attach_tree spends it. */
int clone_tree(const char *path, bool recursive);
void attach_tree(int tree, const char *path);

/* commands.c: opened while the caller's files can be seen. */
void open_commands(const struct request *request);
void build_from_commands(void);

/* random.c */
void build_random(const struct request *request);

/* scenarios.c */
void build_scenario(const struct request *request);
/* What must be done before the container's namespace is made private. */
void prepare_scenario(const struct request *request);
void list_scenarios(void);
bool scenario_exists(const char *name);

/* roots.c: by pivot(), or as the scenario wants it. */
void enter_root(const char *scenario);

/* names.c */
void build_unusual_names(void);

/* contents.c */
void fill(const char *directory, uint64_t seed);
