#!/bin/bash
# The options that say what comes from outside, what is left out and what is allowed.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

mkdir outside
mount -t tmpfs outside outside
mount --make-shared outside
mkdir outside/directory elsewhere
echo "outside" >outside/directory/file
echo "outside" >outside/file
echo "elsewhere" >elsewhere/file

outside_tree() { make_tree --scenario "$1" --outside "$work/outside"; }

test_case "--external at dump and restore: another place stands for the key"
outside_tree external-private
dump_and_end --external 'mnt[/dir]:one' --external 'mnt[/file]:two words'
restore_detached --external "mnt[one]:$work/elsewhere" --external "mnt[two words]:$work/elsewhere/file"
if [ -n "$holder" ]; then
  expect_equal "$(cat "/proc/$holder/root/dir/file" "/proc/$holder/root/file")" "elsewhere
elsewhere"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
fi

remember_host "$root"

test_case "a key without its place at restore"
expect_status 2 mooring restore -D images -r "$root" -d --external "mnt[one]:$work/elsewhere"
expect_error_has 'mnt[two words]:'
expect_same_host
expect_status 2 mooring plan -D images -r "$root"
expect_error_has 'mnt[one]:'

test_case "a place that does not exist, or is of the other kind"
expect_status 2 mooring restore -D images -r "$root" -d --external "mnt[one]:$work/nothing" \
  --external "mnt[two words]:$work/elsewhere/file"
expect_error_has "$work/nothing"
expect_same_host
run mooring restore -D images -r "$root" -d --external "mnt[one]:$work/elsewhere/file" \
  --external "mnt[two words]:$work/elsewhere/file"
case $status in 1 | 2) ;; *) fail "status $status for a file on a directory"; show_output ;; esac
expect_error_has /dir
expect_same_host

test_case "a key of no mount at restore"
expect_status 2 mooring restore -D images -r "$root" -d --external "mnt[one]:$work/elsewhere" \
  --external "mnt[two words]:$work/elsewhere/file" --external "mnt[three]:$work/elsewhere"
expect_error_has three
expect_same_host

test_case "--ext-mount-map"
outside_tree external-private
dump_and_end --ext-mount-map /dir:one --ext-mount-map /file:two
restore_detached --ext-mount-map "one:$work/elsewhere" --ext-mount-map "two:$work/elsewhere/file"
[ -z "$holder" ] || expect_status 0 mooring verify -D images -t "$holder"
end_holder

test_case "mappings that match nothing at dump"
outside_tree external-private
rm -rf images
remember_host
for option in "--external=mnt[/nothing]:key" "--external=dev[99/99]:key" "--skip-mnt=/nothing"; do
  expect_status 2 mooring dump -t "$pid" -D images --external 'mnt[/dir]:one' \
    --external 'mnt[/file]:two' "$option"
  expect_error_has "${option#*=}"
  expect_same_host
done
[ ! -e images ] || fail "images were written"

test_case "mappings that say nothing"
for value in mnt 'mnt[' 'foo[x]:y' 'mnt[]:q' 'mnt[/dir]' 'mnt[/dir]:' 'dev[8/1]' 'dev[a]' ''; do
  expect_status 64 mooring dump -t "$pid" -D images --external "$value"
done
expect_status 64 mooring dump -t "$pid" -D images --external "mnt[one]:$work"
expect_status 64 mooring restore -D images -r "$root" -d --external 'dev[8/1]:one'

test_case "mnt[] finds what shows outside"
dump_and_end --external 'mnt[]'
restore_detached --external 'mnt[]'
if [ -n "$holder" ]; then
  expect_status 0 mooring verify -D images -t "$holder"
  expect_equal "$(cat "/proc/$holder/root/dir/file")" outside
  end_holder
fi

# What is mounted outside later: does the container see it, and the outside what the container mounts?
test_case "mnt[]:m and mnt[]:s, repeated and together"
for options in "--external=mnt[]:m --external=mnt[]:s" "--external=mnt[]:ms"; do
  outside_tree external-sharing
  # shellcheck disable=SC2086 # a list of options
  dump_and_end $options
  # shellcheck disable=SC2086
  restore_detached $options
  [ -n "$holder" ] || continue
  expect_status 0 mooring verify -D images -t "$holder"
  mkdir -p outside/directory/later
  mount -t tmpfs later outside/directory/later
  grep -q ' /dir/later ' "/proc/$holder/mountinfo" || fail "nothing propagates with $options"
  umount outside/directory/later
  end_holder
done

test_case "a peer outside that no option allows"
outside_tree external-sharing
expect_status 2 mooring dump -t "$pid" -D images2 --external 'mnt[]'
expect_error_has 'mnt[]:s'
end_process "$pid"
outside_tree external-master
expect_status 2 mooring dump -t "$pid" -D images2 --external 'mnt[]'
expect_error_has 'mnt[]:m'
end_process "$pid"

test_case "--skip-mnt"
make_tree --scenario overmounted-parent-root --contents
dump_and_end --skip-mnt /contents
restore_detached
if [ -n "$holder" ]; then
  grep -q ' /contents ' "/proc/$holder/mountinfo" && fail "/contents is there"
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
fi

test_case "--enable-fs"
make_tree --scenario empty
cp "$(command -v busybox)" "$root/busybox"
mkdir "$root/lower" "$root/lower2" "$root/overlay"
nsenter -t "$pid" -m -- /busybox mount -t overlay -o lowerdir=/lower:/lower2 overlay /overlay
rm -rf images
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "--enable-fs overlay"
for value in overlay xfs,overlay all; do
  rm -rf images
  expect_status 0 mooring dump -t "$pid" -D images --enable-fs "$value"
done
end_process "$pid"
expect_status 2 mooring plan -D images -r "$root"
expect_status 0 mooring plan -D images -r "$root" --enable-fs overlay

if [ -e /dev/loop-control ] && command -v mkfs.ext4 >/dev/null && truncate -s 8M disk &&
  mkfs.ext4 -q disk && device=$(losetup --find --show disk 2>/dev/null); then
  test_case "dev[MAJOR/MINOR]"
  make_tree --scenario empty
  cp "$(command -v busybox)" "$root/busybox"
  mkdir "$root/disk" "$root/dev"
  mknod "$root/dev/disk" b $(("0x$(stat -c %t "$device")")) $(("0x$(stat -c %T "$device")"))
  nsenter -t "$pid" -m -- /busybox mount -t ext4 /dev/disk /disk
  number=$(awk '$5 == "/disk" { sub(":", "/", $3); print $3 }' "/proc/$pid/mountinfo")
  rm -rf images
  expect_status 2 mooring dump -t "$pid" -D images
  dump_and_end --external "dev[$number]:thedisk"
  restore_detached --external "dev[thedisk]:$device"
  if [ -n "$holder" ]; then
    expect_status 0 mooring verify -D images -t "$holder"
    end_holder
  fi
  losetup -d "$device"
fi

test_case "--enable-fs overlay: its layers are those of the container"
make_tree --scenario overlay
expect_status 2 mooring dump -t "$pid" -D images
expect_error_has "--enable-fs overlay"
dump_and_end --enable-fs overlay
expect_status 2 mooring restore -D images -r "$root" -d
restore_detached --enable-fs overlay
if [ -n "$holder" ]; then
  merged=/proc/$holder/root/merged
  expect_equal "$(cat "$merged/kept" "$merged/added" | tr '\n' ' ')$(ls -m "$merged")" \
    "lower upper added, directory, kept" "what the overlay shows"
  echo new >"$merged/new"
  expect_equal "$(cat "/proc/$holder/root/t/upper/new")" new "its upper layer"
  end_holder
fi

test_case "every way to look at a tree"
make_tree --seed 5
dump_and_end
mooring mounts -D images >from-images || fail "mounts -D"
expect_status 0 mooring mounts -D images --json
python3 -m json.tool out >/dev/null || fail "mounts --json is no JSON"
expect_status 0 mooring plan -D images -r "$root" --json
python3 -m json.tool out >/dev/null || fail "plan --json is no JSON"
for file in "$fixtures"/mountinfo/*.txt; do
  expect_status 0 mooring mounts --file "$file"
  expect_equal "$(wc -l <out)" "$(grep -c '^[0-9]' "$file")" "lines for $(basename "$file")"
done
status=0
mooring mounts --file - <"$fixtures/mountinfo/runc-container.txt" >out 2>err || status=$?
expect_equal "$status" 0 "status of --file -"

test_case "-o and -v"
make_tree --seed 6
expect_status 0 mooring dump -t "$pid" -D images -v4 -o log
[ -s log ] || fail "the log is empty"
expect_equal "$(cat err)" "" "standard error, the log being elsewhere"
end_process "$pid"

finish
