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
  # One only records, others are for links, files and sockets.
  recorder | link-* | socket-* | device-* | anonymous | wait-* | never) ;;
  *)
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

test_case "plugins are asked in the order of their names, in one process"
plugin_folder recorder
cp "$plugins/bind-legacy.so" "$folder/z-last.so"
cp "$plugins/dummy-current.so" "$folder/a-first.so"
make_tree --scenario external-private --outside "$work/outside"
export MOORING_RECORD=$work/record
dump_and_end -L "$folder"
# Both mounts were answered for by the first.
expect_equal "$(grep -c '^dump ' record)" 0 "mounts that the recorder was asked about"
mv "$folder/a-first.so" "$folder/t-later.so"
make_tree --scenario external-private --outside "$work/outside"
rm -f record
dump_and_end -L "$folder"
expect_equal "$(grep -c '^dump ' record)" 2 "mounts that the recorder was asked about"
expect_equal "$(cut -d' ' -f2,4,5 record | sort -u | wc -l)" 1 "processes and namespaces of a dump"
grep -q '^exit .* count=103 .* ret=0$' record || fail "exit did not see the counter or the result: $(cat record)"
rm -f record
restore_detached -L "$folder"
end_holder
expect_equal "$(cut -d' ' -f2,4,5 record | sort -u | wc -l)" 1 "processes and namespaces of a restore"
expect_equal "$(grep -o 'cwd=[^ ]*' record | sort -u)" "cwd=/" "the directory"
expect_equal "$(cut -d' ' -f1 record | sort | tr '\n' ' ')" "exit init restore restore restore-init " "what is called at a restore"
unset MOORING_RECORD

test_case "the images say which plugin is needed"
plugin_folder bind-current
make_tree --scenario external-private --outside "$work/outside"
dump_and_end -L "$folder"
for name in bind-legacy ""; do
  # shellcheck disable=SC2086 # a name or none
  plugin_folder $name
  remember_host "$root"
  run mooring restore -D images -r "$root" -L "$folder" -d
  case $status in 1 | 2) ;; *) fail "status $status without the plugin"; show_output ;; esac
  expect_error_has plugin
  expect_same_host
done
expect_status 2 mooring restore -D images -r "$root" -d
expect_error_has "-L"
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
