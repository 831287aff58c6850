/*
 * System calls on files that Swift cannot express: extended attributes of a name below a
 * descriptor, renaming with flags, device numbers. Each returns what the kernel returned, or -errno.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Flags of renameat2 that need _GNU_SOURCE. */
enum {
	MOORING_RENAME_NOREPLACE = 1,
	MOORING_RENAME_EXCHANGE = 2,
};
/* Opens /proc, once: whoever enters a container calls it before. The descriptor is not for closing. */
int mooring_hold_proc(void);
long mooring_renameat2(int from, const char *old_name, int to, const char *new_name, unsigned flags);

/*
 * Extended attributes of `name` below `directory`, links not followed; of the descriptor itself
 * where `name` is null. listxattrat and its kin (Linux 6.13), else /proc/thread-self/fd.
 */
long mooring_list_attributes(int directory, const char *name, char *names, size_t room);
long mooring_get_attribute(int directory, const char *name, const char *attribute, void *value,
			   size_t room);
long mooring_set_attribute(int directory, const char *name, const char *attribute, const void *value,
			   size_t size);

/* Where data and holes begin at or after `offset`. */
long mooring_seek_data(int fd, long offset);
long mooring_seek_hole(int fd, long offset);

uint64_t mooring_device(unsigned major, unsigned minor);
unsigned mooring_device_major(uint64_t device);
unsigned mooring_device_minor(uint64_t device);

/* The type of the file system and the flags of the mount that a descriptor is on (fstatfs). */
long mooring_file_system(int fd, unsigned long *type, unsigned long *flags);

/* 1 where the descriptor is the root of a mount, 0 where not. */
long mooring_is_mount_root(int fd);

enum { MOORING_O_NOATIME = 01000000 };
