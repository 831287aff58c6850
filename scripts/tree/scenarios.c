#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Made while the caller's mounts can be seen, attached after the pivot. */
static int outside_directory = -1, outside_file = -1, process_files_mount = -1, mapping_of_owners = -1;

static void empty(const struct request *request)
{
	(void)request;
}

/* Two mounts from outside that share nothing with it. */
static void external_private(const struct request *request)
{
	(void)request;
	make_directory("/dir");
	write_text("/file", "");
	attach_tree(outside_directory, "/dir");
	attach_tree(outside_file, "/file");
	set_propagation("/dir", MS_PRIVATE);
	set_propagation("/file", MS_PRIVATE);
}

/* What is mounted outside shows inside. */
static void external_master(const struct request *request)
{
	(void)request;
	make_directory("/dir");
	attach_tree(outside_directory, "/dir");
	set_propagation("/dir", MS_SLAVE);
}

/* Peers across the border. */
static void external_sharing(const struct request *request)
{
	(void)request;
	make_directory("/dir");
	write_text("/file", "");
	attach_tree(outside_directory, "/dir");
	attach_tree(outside_file, "/file");
}

/* A slave of the outside that shares inside. */
static void external_master_and_sharing(const struct request *request)
{
	(void)request;
	make_directory("/dir");
	make_directory("/peer");
	attach_tree(outside_directory, "/dir");
	set_propagation("/dir", MS_SLAVE);
	set_propagation("/dir", MS_SHARED);
	bind_mount("/dir", "/peer");
}

/* Mounts whose source was removed: a directory, a file, on a tmpfs and on the root's disk. */
static void deleted_root(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	make_directory("/t/directory");
	make_directory("/gone");
	make_directory("/1");
	make_directory("/2");
	write_text("/t/file", "");
	write_text("/3", "");
	bind_mount("/t/directory", "/1");
	bind_mount("/gone", "/2");
	bind_mount("/t/file", "/3");
	if (rmdir("/t/directory") || rmdir("/gone") || unlink("/t/file"))
		die("remove the sources");
}

/* The file's bytes live on in the mount alone. */
static void deleted_file_with_contents(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	write_text("/t/file", "only here\n");
	write_text("/kept", "");
	bind_mount("/t/file", "/kept");
	if (unlink("/t/file"))
		die("remove the source");
}

/* What has no name any more, or not this one: data, owners and rights, a fifo, one file at two places,
   another name that lives on, and two files that had one name. */
static void unlinked_contents(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	for (int i = 1; i <= 8; i++) {
		char place[] = { '/', (char)('0' + i), 0 };
		if (i == 4)
			make_directory(place);
		else
			write_text(place, "");
	}
	write_text("/t/file", "only here\n");
	if (chmod("/t/file", 0640) || lchown("/t/file", 7, 8))
		die("file");
	bind_mount("/t/file", "/1");
	bind_mount("/t/file", "/2");
	write_text("/t/name", "two names\n");
	if (link("/t/name", "/t/other"))
		die("link");
	bind_mount("/t/name", "/3");
	make_directory("/t/directory");
	if (chmod("/t/directory", 01711))
		die("chmod");
	bind_mount("/t/directory", "/4");
	if (mkfifo("/t/fifo", 0600))
		die("mkfifo");
	bind_mount("/t/fifo", "/5");
	write_text("/t/again", "first\n");
	bind_mount("/t/again", "/6");
	if (unlink("/t/again"))
		die("unlink");
	write_text("/t/again", "second\n");
	bind_mount("/t/again", "/7");
	write_text("/on-root", "on the root\n");
	bind_mount("/on-root", "/8");
	if (unlink("/t/file") || unlink("/t/name") || rmdir("/t/directory") || unlink("/t/fifo") ||
	    unlink("/t/again") || unlink("/on-root"))
		die("remove the sources");
}

/* What was unlinked had the names of what is a mount point now. */
static void unlinked_mount_points(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	make_directory("/t/directory");
	make_directory("/1");
	bind_mount("/t/directory", "/1");
	write_text("/t/file", "the former\n");
	write_text("/2", "");
	bind_mount("/t/file", "/2");
	if (rmdir("/t/directory") || unlink("/t/file"))
		die("remove the sources");
	mount_tmpfs("/t/directory", NULL);
	write_text("/t/file", "the later\n");
	bind_mount("/t/file", "/t/file");
}

/* What covers the root was unlinked, on a tmpfs. */
static void unlinked_cover(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	make_directory("/t/directory");
	bind_mount("/t/directory", "/");
	if (rmdir("/t/directory"))
		die("remove the source");
}

/* What was unlinked lay in directories whose names others have now: a file, a symbolic link. */
static void unlinked_in_former_directories(const struct request *request)
{
	static const char *const directories[] = { "/t/d", "/t/e", "/t/e/f", "/d" };

	(void)request;
	mount_tmpfs("/t", NULL);
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++)
		make_directory(directories[i]);
	write_text("/t/d/file", "one\n");
	write_text("/t/e/f/file", "two\n");
	write_text("/d/file", "three\n");
	write_text("/1", "");
	write_text("/2", "");
	write_text("/3", "");
	bind_mount("/t/d/file", "/1");
	bind_mount("/t/e/f/file", "/2");
	bind_mount("/d/file", "/3");
	if (unlink("/t/d/file") || rmdir("/t/d") || unlink("/t/e/f/file") || rmdir("/t/e/f") ||
	    rmdir("/t/e") || unlink("/d/file") || rmdir("/d"))
		die("remove the sources");
	write_text("/t/d", "a file\n");
	if (symlink("/etc", "/t/e") || symlink("t", "/d"))
		die("symlink");
}

/* A mount point whose path the kernel takes only in pieces. */
static void long_path(const struct request *request)
{
	char name[201];

	(void)request;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (int i = 0; i < 40; i++) {
		make_directory(name);
		if (chdir(name))
			die("chdir %s", name);
	}
	mount_tmpfs("mount", NULL);
	bind_mount("mount", ".");
	if (chdir("/"))
		die("chdir /");
}

/* Put together from directories of the container. */
static void overlay(const struct request *request)
{
	static const char *const layers[] = { "/t/lower", "/t/upper", "/t/work", "/merged", "/part" };

	(void)request;
	mount_tmpfs("/t", NULL);
	for (size_t i = 0; i < sizeof(layers) / sizeof(*layers); i++)
		make_directory(layers[i]);
	write_text("/t/lower/kept", "lower\n");
	write_text("/t/lower/removed", "lower\n");
	make_directory("/t/lower/directory");
	if (mount("overlay", "/merged", "overlay", 0, "lowerdir=/t/lower,upperdir=/t/upper,workdir=/t/work"))
		die("mount an overlay");
	write_text("/merged/added", "upper\n");
	if (unlink("/merged/removed"))
		die("remove a file");
	bind_mount("/merged/directory", "/part");
	mount_tmpfs("/merged/directory", NULL);
}

/* A symbolic link that is mounted on one, and one on a file. */
static void symbolic_links(const struct request *request)
{
	static const char *const places[] = { "/link", "/file", "/t/link" };

	(void)request;
	mount_tmpfs("/t", NULL);
	write_text("/file", "");
	if (symlink("target", "/t/source") || symlink("other", "/link") || symlink("other", "/t/link"))
		die("symlink");
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		int tree = open_tree(AT_FDCWD, "/t/source", OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);

		if (tree < 0 || move_mount(tree, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH))
			die("mount a symbolic link at %s", places[i]);
		close(tree);
	}
}

/* Two users are others here; a tmpfs that no other mount shows, and one that several show. */
static void mapped_owners(const struct request *request)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = mapping_of_owners };
	static const char *const sources[] = { "/alone", "/common", "/directory" };
	static const char *const places[] = { "/1", "/2", "/3" };

	(void)request;
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++) {
		char file[32];
		int tree;

		if (i < 2)
			mount_tmpfs(sources[i], NULL);
		make_directory(sources[i]);
		make_directory(places[i]);
		snprintf(file, sizeof(file), "%s/file", sources[i]);
		write_text(file, "of somebody\n");
		if (chown(file, 5, 6))
			die("chown %s", file);
		tree = clone_tree(sources[i], false);
		if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)))
			die("map the owners of %s", sources[i]);
		attach_tree(tree, places[i]);
	}
	if (umount2("/alone", 0))
		die("unmount /alone");
	close(mapping_of_owners);
}

static void overmounted_file(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	write_text("/t/under", "under\n");
	write_text("/t/over", "over\n");
	write_text("/t/top", "top\n");
	bind_mount("/t/over", "/t/under");
	bind_mount("/t/top", "/t/under");
	write_text("/onroot", "");
	bind_mount("/t/over", "/onroot");
}

static void shared_parent(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	set_propagation("/t", MS_SHARED);
	make_directory("/u");
	bind_mount("/t", "/u");
	mount_tmpfs("/t/child", NULL);
	mount_tmpfs("/u/child/grandchild", NULL);
	write_text("/t/child/file", "seen twice\n");
}

static void read_only_root(const struct request *request)
{
	(void)request;
	make_directory("/below");
	mount_tmpfs("/t", NULL);
	make_directory("/t/bound");
	bind_mount("/t/bound", "/below");
	set_attributes("/", MOUNT_ATTR_RDONLY, 0);
}

/* Peers, slaves, a slave that shares, and children that propagated through all of them. */
static void complex_sharing(const struct request *request)
{
	static const char *const places[] = { "/b", "/c", "/d", "/e", "/f" };

	(void)request;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		make_directory(places[i]);
	mount_tmpfs("/a", NULL);
	make_directory("/a/x");
	make_directory("/a/y");
	set_propagation("/a", MS_SHARED);
	bind_mount("/a", "/b");
	bind_mount("/a", "/c");
	set_propagation("/c", MS_SLAVE);
	bind_mount("/a", "/d");
	set_propagation("/d", MS_SLAVE);
	set_propagation("/d", MS_SHARED);
	bind_mount("/d", "/e");
	bind_mount("/a/x", "/f");
	mount_tmpfs("/a/x/one", NULL);
	mount_tmpfs("/d/y", NULL);
	mount_tmpfs("/c/y", NULL);
	set_propagation("/b/x/one", MS_SLAVE);
	mount_tmpfs("/a/y/two", NULL);
	set_propagation("/e", MS_PRIVATE);
}

static void overmounted_parent_root(const struct request *request)
{
	(void)request;
	mount_tmpfs("/p", NULL);
	write_text("/p/hidden", "below the cover\n");
	mount_tmpfs("/p/child", NULL);
	write_text("/p/child/hidden", "below it too\n");
	mount_tmpfs("/p", "mode=700");
	mount_tmpfs("/p/child", NULL);
	mount_tmpfs("/p", "mode=711");
	write_text("/p/visible", "on top\n");
}

static void hiding_siblings(const struct request *request)
{
	(void)request;
	mount_tmpfs("/p", NULL);
	make_directory("/p/x");
	make_directory("/p/x/y");
	mount_tmpfs("/p/x/y/z", NULL);
	write_text("/p/x/y/z/hidden", "twice hidden\n");
	mount_tmpfs("/p/x/y", NULL);
	write_text("/p/x/y/hidden", "hidden\n");
	mount_tmpfs("/p/x", NULL);
	make_directory("/p/a");
	mount_tmpfs("/p/a/b", NULL);
	bind_mount("/p/x", "/p/a");
}

static void nested_binds(const struct request *request)
{
	static const char *const places[] = { "/1", "/2", "/3", "/4" };

	(void)request;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		make_directory(places[i]);
	mount_tmpfs("/t", NULL);
	make_directory("/t/a");
	make_directory("/t/a/b");
	make_directory("/t/a/b/c");
	bind_mount("/t/a", "/1");
	bind_mount("/1/b", "/2");
	bind_mount("/2/c", "/1/b/c");
	mount_tmpfs("/2/c", NULL);
	bind_recursive("/t", "/3");
	bind_recursive("/1", "/4");
	bind_mount("/t/a/b", "/4/b");
}

/* Peers that do not have the same children. */
static void non_uniform_shares(const struct request *request)
{
	(void)request;
	make_directory("/b");
	make_directory("/c");
	mount_tmpfs("/a", NULL);
	make_directory("/a/sub");
	mount_tmpfs("/a/x", NULL);
	set_propagation("/a", MS_SHARED);
	bind_mount("/a", "/b");
	mount_tmpfs("/b/y", NULL);
	bind_mount("/a/sub", "/c");
	mount_tmpfs("/a/sub/z", NULL);
	set_propagation("/c", MS_SLAVE);
	mount_tmpfs("/c/only", NULL);
}

static void unusual_names(const struct request *request)
{
	(void)request;
	build_unusual_names();
}

static void chain_of_masters(const struct request *request)
{
	char above[16], here[16];

	(void)request;
	mount_tmpfs("/m0", NULL);
	set_propagation("/m0", MS_SHARED);
	for (int i = 1; i < 8; i++) {
		snprintf(above, sizeof(above), "/m%d", i - 1);
		snprintf(here, sizeof(here), "/m%d", i);
		make_directory(here);
		bind_mount(above, here);
		set_propagation(here, MS_SLAVE);
		set_propagation(here, MS_SHARED);
	}
	mount_tmpfs("/m3/from-the-middle", NULL);
	set_propagation("/m6", MS_PRIVATE);
}

static void unbindable(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	mount_tmpfs("/t/child", NULL);
	set_propagation("/t", MS_UNBINDABLE);
	set_propagation("/t/child", MS_UNBINDABLE);
}

static void flags(const struct request *request)
{
	static const struct {
		const char *path;
		uint64_t set, clear;
	} cases[] = {
		{ "/ro", MOUNT_ATTR_RDONLY, 0 },
		{ "/nosuid", MOUNT_ATTR_NOSUID, 0 },
		{ "/nodev", MOUNT_ATTR_NODEV, 0 },
		{ "/noexec", MOUNT_ATTR_NOEXEC, 0 },
		{ "/noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
		{ "/strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
		{ "/nodiratime", MOUNT_ATTR_NODIRATIME, 0 },
		{ "/nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
		{ "/all", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0 },
	};

	(void)request;
	mount_tmpfs("/t", NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		make_directory(cases[i].path);
		bind_mount("/t", cases[i].path);
		set_attributes(cases[i].path, cases[i].set, cases[i].clear);
	}
}

static void superblock_options(const struct request *request)
{
	(void)request;
	mount_tmpfs("/size", "size=1m");
	mount_tmpfs("/inodes", "nr_inodes=100");
	mount_tmpfs("/mode", "mode=1777");
	mount_tmpfs("/owner", "uid=12,gid=34,mode=700");
	mount_tmpfs("/readonly", NULL);
	write_text("/readonly/file", "written before\n");
	if (mount(NULL, "/readonly", NULL, MS_REMOUNT | MS_RDONLY, NULL))
		die("make a superblock read-only");
	make_directory("/synchronous");
	if (mount("tmpfs", "/synchronous", "tmpfs", MS_DIRSYNC | MS_SYNCHRONOUS, NULL))
		die("mount /synchronous");
	write_text("/synchronous/file", "written before\n");
	if (mount(NULL, "/synchronous", NULL, MS_REMOUNT | MS_RDONLY | MS_DIRSYNC | MS_SYNCHRONOUS, NULL))
		die("make a synchronous superblock read-only");
	make_directory("/writable-bind");
	bind_mount("/readonly", "/writable-bind");
}

/* The one mount that showed both parts has left the group. */
static void peers_without_common_root(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	make_directory("/t/a");
	make_directory("/t/b");
	make_directory("/a");
	make_directory("/b");
	set_propagation("/t", MS_SHARED);
	bind_mount("/t/a", "/a");
	bind_mount("/t/b", "/b");
	set_propagation("/t", MS_PRIVATE);
}

/* Only parts of a file system are mounted. */
static void no_root_mount(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", NULL);
	make_directory("/t/part");
	write_text("/t/part/file", "part\n");
	make_directory("/part");
	bind_mount("/t/part", "/part");
	if (umount2("/t", 0))
		die("unmount /t");
}

static void shared_root(const struct request *request)
{
	(void)request;
	set_propagation("/", MS_SHARED);
	make_directory("/sub");
	make_directory("/peer");
	bind_mount("/sub", "/peer");
	mount_tmpfs("/sub/child", NULL);
	make_directory("/slave");
	bind_mount("/sub", "/slave");
	set_propagation("/slave", MS_SLAVE);
}

static void contents(const struct request *request)
{
	mount_tmpfs("/files", "size=32m,mode=1777");
	fill("/files", request->seed);
	mount_tmpfs("/files", "size=32m");
	fill("/files", request->seed + 1);
}

static void process_files(const struct request *request)
{
	(void)request;
	make_directory("/proc");
	attach_tree(process_files_mount, "/proc");
	bind_mount("/proc/sys", "/proc/sys");
	set_attributes("/proc/sys", MOUNT_ATTR_RDONLY, 0);
	mount_tmpfs("/proc/acpi", "ro");
	mount_tmpfs("/run", NULL);
	write_text("/run/empty", "");
	bind_mount("/run/empty", "/proc/keys");
}

/* --binds and --tmpfs: the mount points are on the root's disk, so that only mounts are measured. */
static void many(const struct request *request)
{
	char path[64];

	mount_tmpfs("/source", "size=64k");
	make_directory("/source/directory");
	make_directory("/many");
	for (int i = 0; i < request->binds; i++) {
		snprintf(path, sizeof(path), "/many/b%06d", i);
		make_directory(path);
		bind_mount("/source/directory", path);
	}
	for (int i = 0; i < request->tmpfs; i++) {
		snprintf(path, sizeof(path), "/many/t%06d", i);
		mount_tmpfs(path, "size=64k");
		strcat(path, "/file");
		write_text(path, "nearly empty\n");
	}
}

/* The directory and the file of --outside, tied to what they are copies of. */
static void take_from_outside(const struct request *request)
{
	char path[4096];

	if (!request->outside) {
		errno = 0;
		die("%s wants --outside DIR", request->scenario);
	}
	snprintf(path, sizeof(path), "%s/directory", request->outside);
	outside_directory = clone_tree(path, false);
	snprintf(path, sizeof(path), "%s/file", request->outside);
	outside_file = clone_tree(path, false);
}

static void mount_process_files(const struct request *request)
{
	(void)request;
	process_files_mount = new_proc();
}

/* A user namespace with another mapping: a child has it until it is open. Wants the caller's /proc. */
static void open_mapping(const struct request *request)
{
	static const char *const maps[] = { "uid_map", "gid_map" };
	int done[2], ready[2];
	char byte, path[64];
	pid_t child;

	(void)request;
	if (pipe2(done, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		die("pipe");
	child = fork();
	if (child == 0) {
		close(done[1]);
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
			_exit(1);
		_exit(read(done[0], &byte, 1) != 0);
	}
	close(ready[1]);
	if (child < 0 || read(ready[0], &byte, 1) != 1)
		die("make a user namespace");
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", child, maps[i]);
		write_text(path, "0 5000 1000\n");
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
	mapping_of_owners = open(path, O_RDONLY | O_CLOEXEC);
	if (mapping_of_owners < 0)
		die("open %s", path);
	close(done[1]);
	close(done[0]);
	close(ready[0]);
	waitpid(child, NULL, 0);
}

/* What a container may have in its root, however it came there: covers, binds, peers, content. */
static void some_of_everything(const struct request *request)
{
	(void)request;
	mount_tmpfs("/t", "size=4m");
	write_text("/t/file", "kept\n");
	make_directory("/t/sub");
	make_directory("/bound");
	make_directory("/again");
	set_propagation("/t", MS_SHARED);
	bind_mount("/t/sub", "/bound");
	set_attributes("/bound", MOUNT_ATTR_RDONLY, 0);
	mount_tmpfs("/t", "mode=711");
	write_text("/t/cover", "on top\n");
	bind_recursive("/t", "/again");
	set_propagation("/again", MS_SLAVE);
}

/* The same, and a mount over the root that its processes go on seeing. */
static void covered_root(const struct request *request)
{
	some_of_everything(request);
	if (mount("cover", "/", "tmpfs", 0, "size=1m") || mount("cover", "/", "tmpfs", 0, "size=2m"))
		die("mount over the root");
}

static const struct scenario {
	const char *name;
	void (*build)(const struct request *);
	/* Runs before the pivot, and before the namespace is private. */
	void (*prepare)(const struct request *);
} scenarios[] = {
	{ "empty", empty, NULL },
	{ "external-private", external_private, take_from_outside },
	{ "external-master", external_master, take_from_outside },
	{ "external-sharing", external_sharing, take_from_outside },
	{ "external-master-and-sharing", external_master_and_sharing, take_from_outside },
	{ "deleted-root", deleted_root, NULL },
	{ "deleted-file-with-contents", deleted_file_with_contents, NULL },
	{ "unlinked-contents", unlinked_contents, NULL },
	{ "unlinked-mount-points", unlinked_mount_points, NULL },
	{ "overlay", overlay, NULL },
	{ "unlinked-in-former-directories", unlinked_in_former_directories, NULL },
	{ "long-path", long_path, NULL },
	{ "unlinked-cover", unlinked_cover, NULL },
	{ "symbolic-links", symbolic_links, NULL },
	{ "mapped-owners", mapped_owners, open_mapping },
	{ "overmounted-file", overmounted_file, NULL },
	{ "shared-parent", shared_parent, NULL },
	{ "read-only-root", read_only_root, NULL },
	{ "complex-sharing", complex_sharing, NULL },
	{ "overmounted-parent-root", overmounted_parent_root, NULL },
	{ "hiding-siblings", hiding_siblings, NULL },
	{ "nested-binds", nested_binds, NULL },
	{ "non-uniform-shares", non_uniform_shares, NULL },
	{ "unusual-names", unusual_names, NULL },
	{ "chain-of-masters", chain_of_masters, NULL },
	{ "unbindable", unbindable, NULL },
	{ "flags", flags, NULL },
	{ "superblock-options", superblock_options, NULL },
	{ "peers-without-common-root", peers_without_common_root, NULL },
	{ "no-root-mount", no_root_mount, NULL },
	{ "shared-root", shared_root, NULL },
	{ "moved-root", some_of_everything, NULL },
	{ "moved-root-over-mounts", some_of_everything, NULL },
	{ "moved-roots-stacked", some_of_everything, NULL },
	{ "moved-root-covered", covered_root, NULL },
	{ "root-of-bubblewrap", some_of_everything, NULL },
	{ "chroot-to-mount", some_of_everything, NULL },
	{ "chroot-to-mount-covered", covered_root, NULL },
	{ "contents", contents, NULL },
	{ "process-files", process_files, mount_process_files },
	{ "many", many, NULL },
};

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (!strcmp(scenarios[i].name, name))
			return &scenarios[i];
	return NULL;
}

bool scenario_exists(const char *name)
{
	return find(name) != NULL;
}

void list_scenarios(void)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		printf("%s\n", scenarios[i].name);
}

void prepare_scenario(const struct request *request)
{
	const struct scenario *scenario = find(request->scenario);

	if (scenario->prepare)
		scenario->prepare(request);
}

void build_scenario(const struct request *request)
{
	find(request->scenario)->build(request);
}
