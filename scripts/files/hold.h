/* hold-files: what it is to hold, in a list, and how each is opened. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "../tree/tree.h"

/* Files wait from this number on until all are there; none can be asked for at it or above. */
enum { FIRST_STAGE = 8000, MOST_FILES = 2000, MOST_PROCESSES = 50 };

/* From where a file is opened. */
enum phase {
	OUTSIDE,	/* by the caller's own process, before there is a container */
	LEAVING,	/* in the container's namespaces, with the caller's mounts in sight */
	INSIDE,		/* in the container */
	ARRANGING,	/* it is another one's descriptor */
};

/* One file: NUMBER=KIND[:ARGUMENT][,WORD]… */
struct held {
	int process;	/* 0: the container's first, from 1: its children */
	int number;
	const char *kind, *argument;
	int flags;	/* of open(2), without O_CLOEXEC */
	int type;	/* SOCK_… */
	bool closes_on_exec;
	const char *bound;	/* an address, "@" in front of an abstract one */
	int sends;	/* how many numbers are sent through it */
	int backlog;
	int stage;	/* where it waits; -1: it is not open yet */
	int outer_end;	/* kept by a process outside; -1: there is none */
};

struct list {
	struct held files[MOST_FILES];
	int count, processes;
	/* Of those from 1: a thread of the first process, with a table of descriptors of its own. */
	bool is_thread[MOST_PROCESSES + 1];
	/* How many children have the first process's table. */
	int sharers;
};

/* hold-list.c */
void parse_list(struct list *list, char **words);
/* The file at a number of a process; ends the program where there is none. */
struct held *find_held(struct list *list, int process, int number);

/* hold-open.c */
enum phase phase_of(const struct held *file);
/* Opens what a process has to open in a phase. */
void open_held(struct list *list, enum phase phase, int process);
