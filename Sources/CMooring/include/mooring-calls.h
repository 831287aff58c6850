/*
 * System calls that Swift cannot express, or that this C library does not declare: one function a
 * call. Each returns what the kernel returned, or -errno.
 */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>

/* mount API (Linux 5.2, 5.12) */
long mooring_open_tree(int dirfd, const char *path, unsigned flags);
/* open_tree_attr: attributes of the clone are cleared. */
long mooring_open_tree_clearing(int dirfd, const char *path, unsigned flags, uint64_t clear);
long mooring_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);
long mooring_fsopen(const char *type, unsigned flags);
long mooring_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux);
long mooring_fsmount(int fd, unsigned flags, unsigned attributes);
long mooring_fspick(int dirfd, const char *path, unsigned flags);
long mooring_mount_setattr(int dirfd, const char *path, unsigned flags, uint64_t set, uint64_t clear,
			   uint64_t propagation, int userns);
long mooring_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
long mooring_umount2(const char *path, int flags);
long mooring_pivot_root(const char *new_root, const char *put_old);
long mooring_mount(const char *source, const char *target, const char *type, unsigned long flags,
		   const char *data);

/* processes and namespaces */
long mooring_fork(void);
long mooring_unshare(int flags);
long mooring_setns(int fd, int type);
long mooring_pidfd_open(pid_t pid, unsigned flags);
/* SIGKILL to the process that the descriptor stands for (pidfd_send_signal, Linux 5.1). */
long mooring_pidfd_kill(int pidfd);
/* A descriptor of another process, duplicated (pidfd_getfd, Linux 5.6), with FD_CLOEXEC. */
long mooring_pidfd_getfd(int pidfd, int fd);
/* Compares what two processes have (kcmp, Linux 3.5): 0 the same, 1 less, 2 greater, 3 neither. */
enum { MOORING_KCMP_FILE = 0, MOORING_KCMP_FILES = 2 };
long mooring_kcmp(pid_t one, pid_t other, int type, unsigned long index, unsigned long other_index);
/* statx of what a name leads to, by what is known without asking a server (AT_STATX_DONT_SYNC). */
struct mooring_file_facts {
	uint32_t mode;
	uint32_t device_major, device_minor;
	uint32_t special_major, special_minor;
	uint64_t inode;
	uint64_t mount;
};
long mooring_file_facts(int dirfd, const char *name, struct mooring_file_facts *facts);
/* The same, of its type alone and of an absolute path; a symbolic link at its end is not followed. */
long mooring_file_facts_at(const char *path, struct mooring_file_facts *facts);
/* Whether it is a directory, by what is known without asking a server. */
long mooring_is_directory(int fd);
long mooring_close_range(unsigned first, unsigned last, unsigned flags);
long mooring_prctl(int option, unsigned long argument);
/* setresgid, setgroups (none) and setresuid to one ID */
long mooring_become_group(gid_t id);
long mooring_become_user(uid_t id);
long mooring_sethostname(const char *name, size_t length);
long mooring_setdomainname(const char *name, size_t length);
long mooring_ioctl_u64(int fd, unsigned long request, uint64_t *value);
long mooring_ioctl(int fd, unsigned long request);
long mooring_ioctl_pointer(int fd, unsigned long request, void *argument);
int mooring_exec(const char *const *arguments);
void mooring_exit(int status) __attribute__((noreturn));

/* Host and domain name of a UTS namespace (utsname, 65 bytes each), read by a child that enters it; userns
 * may be -1, else the child enters it where the UTS namespace alone is refused. Safe in a threaded process. */
long mooring_read_uts(int uts, int userns, char *host, char *domain);
/* The 32-bit ID of the mount the descriptor is on (statx, STATX_MNT_ID, Linux 5.8). */
long mooring_mount_id(int fd);
struct mooring_mount_facts {
	uint32_t id;
	/* Never reused (Linux 6.8); 0 where the kernel does not say it. */
	uint64_t unique_id;
	/* Whether the descriptor is at the root of the mount. */
	bool is_mount_root;
};
/* The same with what else statx says of the mount. */
long mooring_mount_facts(int fd, struct mooring_mount_facts *facts);
long mooring_pipe(int ends[2]);
/* The processors that the caller may run on, a bit each. */
long mooring_get_affinity(void *mask, size_t size);
long mooring_set_affinity(const void *mask, size_t size);
/* A file in memory (memfd_create), with FD_CLOEXEC. */
long mooring_memory_file(const char *name);
long mooring_wait(pid_t pid, int *status);

/* A message of bytes with at most 16 descriptors, over a SOCK_SEQPACKET socket. */
long mooring_send(int socket, const void *bytes, size_t length, const int *fds, size_t count);
/* The result is the number of bytes (0: closed); *count holds the room in fds, then what came. */
long mooring_receive(int socket, void *bytes, size_t room, int *fds, size_t *count);

/* listmount and statmount (Linux 6.8 to 6.15); the structures of include/uapi/linux/mount.h. */
struct mooring_mnt_id_req {
	uint32_t size;
	uint32_t spare;
	uint64_t mnt_id;
	uint64_t param;
	uint64_t mnt_ns_id;
};
long mooring_listmount(const struct mooring_mnt_id_req *request, uint64_t *ids, size_t count);
long mooring_statmount(const struct mooring_mnt_id_req *request, void *buffer, size_t size);

/* Bytes as a stream that belongs to one thread (no locks); NULL where memory is short. */
FILE *mooring_memory_stream(void *bytes, size_t length);
/* Whether the bytes hold the text (memmem). */
bool mooring_holds(const void *bytes, size_t length, const char *text);

/* Tells malloc to give nothing back to the kernel: tables of thousands of mounts come and go as a whole, and
 * what is given back between them comes again as a page fault each. */
void mooring_keep_memory(void);

/* Constants that are macros, or that older headers lack. */
enum {
	MOORING_OPEN_TREE_CLONE = 1,
	MOORING_OPEN_TREE_CLOEXEC = O_CLOEXEC,
	MOORING_AT_RECURSIVE = 0x8000,
	MOORING_AT_EMPTY_PATH = 0x1000,
	MOORING_AT_SYMLINK_NOFOLLOW = 0x100,
	MOORING_MOVE_F_EMPTY_PATH = 0x4,
	MOORING_MOVE_T_EMPTY_PATH = 0x40,
	MOORING_MOVE_SET_GROUP = 0x100,
	MOORING_FSCONFIG_SET_FLAG = 0,
	MOORING_FSCONFIG_SET_STRING = 1,
	MOORING_FSCONFIG_CMD_CREATE = 6,
	MOORING_FSCONFIG_CMD_RECONFIGURE = 7,
	MOORING_O_PATH = 010000000,
	MOORING_RESOLVE_NO_XDEV = 1,
	MOORING_RESOLVE_NO_MAGICLINKS = 2,
	MOORING_RESOLVE_NO_SYMLINKS = 4,
	MOORING_RESOLVE_BENEATH = 8,
	MOORING_RESOLVE_IN_ROOT = 16,
	MOORING_PR_SET_PDEATHSIG = 1,
	MOORING_PR_GET_DUMPABLE = 3,
	MOORING_PR_SET_DUMPABLE = 4,
	MOORING_PR_SET_CHILD_SUBREAPER = 36,
	MOORING_CLONE_NEWTIME = 0x80,
	MOORING_CLONE_NEWNS = 0x20000,
	MOORING_CLONE_NEWCGROUP = 0x02000000,
	MOORING_CLONE_NEWUTS = 0x04000000,
	MOORING_CLONE_NEWIPC = 0x08000000,
	MOORING_CLONE_NEWUSER = 0x10000000,
	MOORING_CLONE_NEWPID = 0x20000000,
	MOORING_CLONE_NEWNET = 0x40000000,
};
#define MOORING_ATTR_ATIME_MASK 0x70ull
#define MOORING_ATTR_IDMAP 0x100000ull
