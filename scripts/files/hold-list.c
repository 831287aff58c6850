#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void refuse(const char *word)
{
	errno = 0;
	die("%s: expected NUMBER=KIND[:ARGUMENT][,WORD]..., see --help", word);
}

static bool is_flag(struct held *file, const char *word)
{
	static const struct {
		const char *word;
		int flag;
	} flags[] = {
		{ "rdonly", O_RDONLY },	    { "wronly", O_WRONLY },   { "rdwr", O_RDWR },
		{ "append", O_APPEND },	    { "nonblock", O_NONBLOCK }, { "create", O_CREAT },
		{ "directory", O_DIRECTORY }, { "path", O_PATH },	      { "noatime", O_NOATIME },
		{ "nofollow", O_NOFOLLOW },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcmp(word, flags[i].word)) {
			file->flags |= flags[i].flag;
			return true;
		}
	return false;
}

static void take_word(struct held *file, const char *word, const char *all)
{
	if (is_flag(file, word))
		return;
	if (!strcmp(word, "cloexec"))
		file->closes_on_exec = true;
	else if (!strcmp(word, "dgram"))
		file->type = SOCK_DGRAM;
	else if (!strcmp(word, "stream"))
		file->type = SOCK_STREAM;
	else if (!strcmp(word, "seqpacket"))
		file->type = SOCK_SEQPACKET;
	else if (!strncmp(word, "bind=", 5))
		file->bound = word + 5;
	else if (!strncmp(word, "send=", 5))
		file->sends = atoi(word + 5);
	else if (!strncmp(word, "backlog=", 8))
		file->backlog = atoi(word + 8);
	else
		refuse(all);
}

static void parse(struct held *file, char *word)
{
	char *copy = strdup(word), *rest = strchr(copy, '='), *end;

	if (!rest)
		refuse(word);
	*rest++ = '\0';
	*file = (struct held){ .type = SOCK_STREAM, .backlog = 5, .stage = -1, .outer_end = -1 };
	file->number = strtol(copy, &end, 10);
	if (*end || end == copy || file->number < 0 || file->number >= FIRST_STAGE)
		refuse(word);
	file->kind = strsep(&rest, ",");
	end = strchr(file->kind, ':');
	if (end) {
		*end = '\0';
		file->argument = end + 1;
	}
	while (rest)
		take_word(file, strsep(&rest, ","), word);
}

void parse_list(struct list *list, char **words)
{
	int process = 0;

	for (; *words; words++) {
		struct held *file = &list->files[list->count];

		if (!strcmp(*words, "child") || !strcmp(*words, "thread")) {
			process++;
			list->is_thread[process] = **words == 't';
			continue;
		}
		if (!strcmp(*words, "sharer")) {
			list->sharers++;
			continue;
		}
		if (list->count == MOST_FILES || process == MOST_PROCESSES)
			die("more than %d files or %d processes", MOST_FILES, MOST_PROCESSES);
		parse(file, *words);
		file->process = process;
		list->count++;
	}
	list->processes = process + 1;
}

struct held *find_held(struct list *list, int process, int number)
{
	for (int i = 0; i < list->count; i++)
		if (list->files[i].process == process && list->files[i].number == number)
			return &list->files[i];
	errno = 0;
	die("there is no descriptor %d to take", number);
}
