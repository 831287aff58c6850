#!/bin/bash
# Plugins of both generations: listed, asked in order of their names, and restored by; and `mooring check`.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

mkdir outside
mount -t tmpfs outside outside
mkdir outside/directory
echo outside >outside/directory/file
echo outside >outside/file
export MOORING_TEST_BINDS="/dir=$work/outside/directory:/file=$work/outside/file"

test_case "mooring plugins lists what a folder holds"
names=$(cd "$plugins" && for file in *.so; do echo "${file%.so}"; done)
# shellcheck disable=SC2086 # names
plugin_folder $names
expect_status 0 mooring plugins -L "$folder"
for name in $names; do expect_output_has "$name"; done
expect_output_has DUMP_EXT_MOUNT
expect_output_has RESTORE_EXT_MOUNT
expect_status 0 mooring plugins -L "$folder" --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"
[ "$(echo "$names" | wc -l)" -ge 5 ] || fail "fewer than five fixture plugins"

test_case "the folder from CRIU_LIBS_DIR"
CRIU_LIBS_DIR=$folder expect_status 0 mooring plugins
expect_output_has bind-current

test_case "an empty folder"
plugin_folder
expect_status 0 mooring plugins -L "$folder"

for name in $names; do
  case $name in
  bind-*)
    test_case "$name binds a directory and a file"
    plugin_folder "$name"
    make_tree --scenario external-private --outside "$work/outside"
    expect_status 0 mooring mounts -t "$pid" -L "$folder"
    expect_output_has plugin
    dump_and_end -L "$folder"
    restore_detached -L "$folder"
    [ -n "$holder" ] || continue
    expect_equal "$(cat "/proc/$holder/root/dir/file" "/proc/$holder/root/file")" "outside
outside" "the files"
    expect_status 0 mooring verify -D images -t "$holder"
    end_holder
    ;;
  esac
done

test_case "the images say which plugin is needed"
plugin_folder
remember_host "$root"
expect_status 2 mooring restore -D images -r "$root" -L "$folder" -d
expect_error_has plugin
expect_same_host
expect_status 2 mooring restore -D images -r "$root" -d
expect_same_host

test_case "looking leaves no files of plugins"
plugin_folder bind-current
make_tree --scenario external-private --outside "$work/outside"
remember_host "$work"
mooring mounts -t "$pid" -L "$folder" >/dev/null 2>&1 || fail "mounts"
expect_same_host
end_process "$pid"

test_case "mooring check"
expect_status 0 mooring check
[ -s out ] || fail "it says nothing"
expect_status 0 mooring check --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"

finish
