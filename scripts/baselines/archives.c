/*
 * The floor under saving and restoring memory file systems: the same archives (tar, gzip) through
 * libarchive, one after the other, in one process.
 *
 *   archives-baseline save PID COUNT DIR      the tmpfs at /many/t000000 and so on, into DIR
 *   archives-baseline restore COUNT DIR       into new tmpfs mounts in a namespace of its own
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void save_entry(struct archive *archive, int directory, const char *name)
{
	struct archive_entry *entry = archive_entry_new();
	struct stat status;
	char bytes[4096];

	if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW))
		die(name);
	archive_entry_copy_stat(entry, &status);
	archive_entry_set_pathname(entry, name);
	if (archive_write_header(archive, entry) != ARCHIVE_OK)
		die(archive_error_string(archive));
	if (S_ISREG(status.st_mode)) {
		int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
		ssize_t count;

		while ((count = read(file, bytes, sizeof(bytes))) > 0)
			archive_write_data(archive, bytes, count);
		close(file);
	}
	archive_entry_free(entry);
}

static void save(int images, const char *path, int number)
{
	struct archive *archive = archive_write_new();
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file;
	char name[64];
	DIR *listing;

	if (directory < 0)
		die(path);
	snprintf(name, sizeof(name), "%06d.tar.gz", number);
	file = openat(images, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	archive_write_add_filter_gzip(archive);
	archive_write_set_format_pax_restricted(archive);
	if (archive_write_open_fd(archive, file) != ARCHIVE_OK)
		die(archive_error_string(archive));
	save_entry(archive, directory, ".");
	listing = fdopendir(dup(directory));
	for (struct dirent *each; (each = readdir(listing));)
		if (strcmp(each->d_name, ".") && strcmp(each->d_name, ".."))
			save_entry(archive, directory, each->d_name);
	closedir(listing);
	archive_write_close(archive);
	archive_write_free(archive);
	close(file);
	close(directory);
}

static void restore(int images, int number)
{
	struct archive *archive = archive_read_new(), *disk = archive_write_disk_new();
	struct archive_entry *entry;
	char name[64];
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC), mount, file;

	if (fsconfig(context, FSCONFIG_SET_STRING, "size", "64k", 0) ||
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die("fsconfig");
	mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	close(context);
	/* Into the mount before it is attached anywhere. */
	if (mount < 0 || fchdir(mount))
		die("fsmount");
	snprintf(name, sizeof(name), "%06d.tar.gz", number);
	file = openat(images, name, O_RDONLY | O_CLOEXEC);
	archive_read_support_filter_gzip(archive);
	archive_read_support_format_tar(archive);
	archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_TIME);
	if (archive_read_open_fd(archive, file, 16384) != ARCHIVE_OK)
		die(name);
	while (archive_read_next_header(archive, &entry) == ARCHIVE_OK)
		if (archive_read_extract2(archive, entry, disk) != ARCHIVE_OK)
			die(archive_error_string(disk));
	archive_write_free(disk);
	archive_read_free(archive);
	close(file);
	/* Its contents live as long as the mount. */
	if (chdir("/"))
		die("chdir");
	close(mount);
}

int main(int argc, char **argv)
{
	int saves = argc == 5 && !strcmp(argv[1], "save");
	char path[64];

	if (!saves && !(argc == 4 && !strcmp(argv[1], "restore")))
		return 64;
	int images = open(argv[argc - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (images < 0)
		die(argv[argc - 1]);
	if (saves) {
		snprintf(path, sizeof(path), "/proc/%s/ns/mnt", argv[2]);
		int namespace = open(path, O_RDONLY | O_CLOEXEC);
		if (namespace < 0 || unshare(CLONE_FS) || setns(namespace, CLONE_NEWNS))
			die(path);
	} else if (unshare(CLONE_NEWNS)) {
		die("unshare");
	}
	for (int i = 0; i < atoi(argv[argc - 2]); i++) {
		snprintf(path, sizeof(path), "/many/t%06d", i);
		if (saves)
			save(images, path, i);
		else
			restore(images, i);
	}
	return 0;
}
