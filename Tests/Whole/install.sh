#!/bin/bash
# What scripts/install puts in place works from there, and --remove takes exactly that away.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

time_limit=1200
place=$work/place
mkdir -p "$place/bin" "$place/share/man/man1"
echo "not ours" >"$place/bin/other"
(cd "$place" && find . | sort) >before

test_case "install"
expect_status 0 "$scripts/install" --prefix "$place"
expect_status 0 "$place/bin/mooring" --version
ldd "$place/bin/mooring" | grep swift >/dev/null && fail "it needs a Swift runtime"
cat >plugin.c <<'C'
#include <criu-plugin.h>
#include <criu-log.h>
static int ask(char *mountpoint, int id)
{
	pr_info("%s %d\n", mountpoint, id);
	return -ENOTSUP;
}
CR_PLUGIN_REGISTER_DUMMY("installed")
CR_PLUGIN_REGISTER_HOOK(CR_PLUGIN_HOOK__DUMP_EXT_MOUNT, ask)
C
flags=$(PKG_CONFIG_PATH=$place/lib/pkgconfig pkg-config --cflags mooring)
mkdir folder
# shellcheck disable=SC2086 # a list of flags
expect_status 0 cc -shared -fPIC -Wall -include errno.h $flags -o folder/installed.so plugin.c
expect_status 0 "$place/bin/mooring" plugins -L folder
expect_output_has installed
expect_output_has DUMP_EXT_MOUNT
[ -n "$(PKG_CONFIG_PATH=$place/lib/pkgconfig pkg-config --variable=pluginsdir mooring)" ] || fail "no pluginsdir"

test_case "the man page and the completions"
tr -d '\\' <"$place/share/man/man8/mooring.8" >man-page
for word in "mooring dump" "EXIT STATUS" "die" "pidfile"; do
  grep -q -e "$word" man-page || fail "the man page lacks $word"
done
bash -n "$place/share/bash-completion/completions/mooring" || fail "the completion for bash"

test_case "install over an installation"
expect_status 0 "$scripts/install" --prefix "$place"
expect_status 0 "$place/bin/mooring" --version

test_case "remove"
expect_status 0 "$scripts/install" --remove --prefix "$place"
(cd "$place" && find . | sort) >after
cmp -s before after || fail "left or lost: $(diff before after)"
expect_status 1 "$scripts/install" --remove --prefix "$place"
expect_one_sentence

finish
