#!/bin/bash
# What cannot work is said in one sentence with the right status, and changes nothing.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

edit=$repository/Tests/Whole/edit-image

# $1: the statuses that are right, as "1" or "1 2"; then the command.
refused() {
  local wanted=$1
  shift
  run "$@"
  case " $wanted " in
  *" $status "*) ;;
  *)
    fail "exit status $status, not $wanted: $*"
    show_output
    ;;
  esac
  # Findings are a list below one sentence.
  if [ "$status" = 1 ]; then expect_one_sentence; fi
  [ -s err ] || fail "nothing was said: $*"
  expect_same_host
}

# $1: status; the rest: arguments that are refused before anything is looked at.
misused() {
  refused 64 mooring "$@"
  expect_error_has Usage
}

remember_host

test_case "the command line"
misused dump
misused dump -t 1
misused dump -t none -D images
misused dump -t 1 -D images --no-such-option
misused no-such-command
misused mounts
misused mounts -t 1 -D images
misused restore -D images
misused restore -D images -r / --as-pid-1 -d
misused verify -D images
run mooring
grep -q USAGE out err || fail "mooring alone does not say how it is used"
expect_status 0 mooring --help
for command in check mounts dump plan restore verify plugins; do
  expect_status 0 mooring "$command" --help
  expect_output_has "USAGE"
done
expect_status 0 mooring --version

test_case "no such process"
refused 1 mooring mounts -t 4000000
expect_error_has 4000000
refused 1 mooring dump -t 4000000 -D images
refused "1 64" mooring dump -t 0 -D images
refused "1 64" mooring dump -t -5 -D images
[ ! -e images ] || fail "images were written"

test_case "/proc is missing, or another's"
without_proc() { refused "$1" unshare --mount sh -c 'mount -t tmpfs none /proc; exec "$@"' - "${@:2}"; }
without_proc 1 mooring mounts -t 1
expect_error_has "mount -t proc"
refused 1 unshare --pid --fork mooring mounts -t 7
expect_error_has "mount -t proc"

test_case "no permission"
make_tree --seed 4
remember_host
unprivileged=(setpriv --reuid 65534 --regid 65534 --clear-groups)
cp "$mooring" "$work/mooring-for-all"
refused 1 "${unprivileged[@]}" "$work/mooring-for-all" mounts -t "$pid"
refused 1 "${unprivileged[@]}" "$work/mooring-for-all" dump -t "$pid" -D images
[ ! -e images ] || fail "images were written"
end_process "$pid"
rm mooring-for-all

test_case "the process ends half-way"
for milliseconds in 1 3 5 8 12 18 25 35 50 80; do
  make_tree --binds 1000 --tmpfs 300
  rm -rf images
  mooring dump -t "$pid" -D images >out 2>err </dev/null &
  engine=$!
  sleep "0.$(printf %03d "$milliseconds")"
  end_process "$pid"
  status=0
  wait "$engine" || status=$?
  case $status in
  0) ;;
  1)
    expect_one_sentence
    [ ! -e images ] || fail "half the images were written"
    ;;
  *)
    fail "status $status after $milliseconds ms"
    show_output
    ;;
  esac
done
rm -rf images

test_case "no images"
make_tree --scenario overmounted-parent-root --contents
cp -a "$root" kept-root
dump_and_end
mkdir empty
remember_host "$root"
for command in "mounts -D" "plan -r $root -D" "verify -t 1 -D" "restore -d -r $root -D"; do
  # shellcheck disable=SC2086 # a list of words
  refused 1 mooring $command no-images
  # shellcheck disable=SC2086
  refused 1 mooring $command empty
  # shellcheck disable=SC2086
  refused 1 mooring $command /dev/null
done
rmdir empty

# $1: what is done to the images in bad/; it must be refused by each command.
bad_images() {
  local statuses=$1 file=$2
  shift 2
  rm -rf bad
  cp -a images bad
  [ $# -eq 0 ] || "$edit" "bad/$file" "$@"
  remember_host "$root"
  # What can be read is shown, though it cannot be restored.
  [ "$statuses" != 1 ] || refused 1 mooring mounts -D bad
  refused "$statuses" mooring restore -D bad -r "$root" -d
}

mountpoints=$(cd images && echo mountpoints-*.img)

test_case "images are missing"
for file in "$mountpoints" inventory.img; do
  rm -rf bad
  cp -a images bad
  rm "bad/$file"
  refused 1 mooring restore -D bad -r "$root" -d
  expect_error_has "${file%%-*}"
done
archive=$(cd images && echo tmpfs-dev-*.tar.gz.img | cut -d' ' -f1)
rm -rf bad
cp -a images bad
rm "bad/$archive"
refused "1 2" mooring restore -D bad -r "$root" -d

test_case "images are truncated"
for bytes in 0 3 4 7 9 11 13 30; do bad_images 1 "$mountpoints" truncate "$bytes"; done
bad_images 1 "$mountpoints" truncate $(($(stat -c %s "images/$mountpoints") - 1))
bad_images 1 inventory.img truncate 5

test_case "a wrong magic"
bad_images 1 "$mountpoints" magic 50273030
bad_images 1 "$mountpoints" magic 0
bad_images 1 "$mountpoints" magic FFFFFFFF

test_case "lengths that lie"
for length in 0 1 4294967295 2147483647 1000000; do
  bad_images 1 "$mountpoints" length 0 "$length"
done

test_case "references that lie"
bad_images "1 2" "$mountpoints" set 1 parent_mnt_id 999999
# Its own parent, and two that are each other's.
ids=$("$edit" "images/$mountpoints" field mnt_id | tr '\n' ' ')
# shellcheck disable=SC2086 # numbers
set -- $ids
bad_images "1 2" "$mountpoints" set 1 parent_mnt_id "$2"
bad_images "1 2" "$mountpoints" set 2 mnt_id "$2"
bad_images "1 2" "$mountpoints" set 1 fstype 9999
rm -rf twisted
cp -a images twisted
"$edit" "twisted/$mountpoints" set 1 parent_mnt_id "$3"
mv images images-right
mv twisted images
bad_images "1 2" "$mountpoints" set 2 parent_mnt_id "$2"
rm -rf images
mv images-right images

test_case "paths that lead out"
for path in '/../outside' '/p/../../outside' '/p/..' 'p' '' '/p//x' '/p\000x'; do
  bad_images "1 2" "$mountpoints" set 1 mountpoint "$path"
done
for path in '/../outside' '..' ''; do bad_images "1 2" "$mountpoints" set 1 root "$path"; done

# Replaces an archive by one that python3 makes, and restores.
bad_archive() {
  local name=$1
  rm -rf bad
  cp -a images bad
  python3 - "bad/$archive" "$name" <<'PYTHON'
import io, sys, tarfile
path, name = sys.argv[1:]
with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
    def add(name, kind=tarfile.REGTYPE, link="", text=b"evil\n"):
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mode = kind, link, 0o755
        info.size = len(text) if kind == tarfile.REGTYPE else 0
        tar.addfile(info, io.BytesIO(text))
    if name == "parent":
        add("../canary/evil")
    elif name == "absolute":
        add("/var/tmp/mooring-evil")
    elif name == "link":
        add("out", tarfile.SYMTYPE, "../canary")
        add("out/evil")
    elif name == "hard link":
        add("hard", tarfile.LNKTYPE, "../canary/target")
    elif name == "absolute link":
        add("out", tarfile.SYMTYPE, "/")
        add("out/var/tmp/mooring-evil")
    elif name == "file as directory":
        add("file")
        add("file/evil")
PYTHON
  remember_host "$root" "$work/canary"
  refused 1 mooring restore -D bad -r "$root" -d
}

mkdir -p canary
echo target >canary/target
for name in parent absolute link "hard link" "absolute link" "file as directory"; do
  test_case "an archive: $name"
  bad_archive "$name"
done

test_case "an archive that is none, or is cut off"
cp -a images/. bad/
echo "no archive" >"bad/$archive"
remember_host "$root"
refused 1 mooring restore -D bad -r "$root" -d
expect_error_has "Unrecognized archive format"
# With a script there is more to undo, and the worker has ended when its failure is looked at.
for attempt in 1 2 3 4 5 6 7 8; do
  refused 1 mooring restore -D bad -r "$root" -d --action-script /bin/true
  expect_error_has "Unrecognized archive format"
done
cp "images/$archive" "bad/$archive"
truncate -s $(($(stat -c %s "images/$archive") / 2)) "bad/$archive"
refused 1 mooring restore -D bad -r "$root" -d

test_case "a symbolic link in the root that leads out"
for target in "$work/canary" ../../canary /; do
  rm -rf --one-file-system "$root"
  cp -a kept-root "$root"
  rm -rf "$root/p"
  ln -s "$target" "$root/p"
  remember_host "$root" "$work/canary"
  run mooring restore -D images -r "$root" -d --pidfile holder-pid
  # Within the root a link may lead somewhere; out of it never.
  if [ "$status" = 0 ]; then
    end_process "$(cat holder-pid)"
    rm holder-pid
  else
    refused "1 2" mooring restore -D images -r "$root" -d
  fi
  expect_same_host
done
rm -rf --one-file-system "$root"
cp -a kept-root "$root"

test_case "a root that is none"
remember_host
refused 2 mooring restore -D images -r "$work/no-root" -d
refused 2 mooring restore -D images -r /dev/null -d

# $1: the status; the folder is $folder
bad_folder() {
  remember_host
  refused "$1" mooring restore -D images -r "$root" -L "$folder" -d
  refused "$1" mooring plugins -L "$folder"
}

test_case "a plugin folder that others can write to"
plugin_folder bind-current
chmod o+w "$folder"
bad_folder "1 2"
plugin_folder bind-current
chmod o+w "$folder/bind-current.so"
bad_folder "1 2"
plugin_folder bind-current
chown 65534 "$folder/bind-current.so"
bad_folder "1 2"
expect_error_has bind-current.so

test_case "a plugin that is none"
plugin_folder
echo "text" >"$folder/text.so"
chmod 755 "$folder/text.so"
bad_folder 1
expect_error_has text.so
plugin_folder
echo 'int nothing_of_a_plugin;' | cc -shared -fPIC -x c - -o "$folder/empty.so"
bad_folder 1
expect_error_has empty.so
folder=$work/no-such-folder
bad_folder "1 2"

test_case "a text that is no mountinfo"
printf 'nonsense\n' >text
refused 1 mooring mounts --file text
refused 1 mooring mounts --file no-such-file
head -c 40 /proc/self/mountinfo >text
refused 1 mooring mounts --file text
: >text
refused 1 mooring mounts --file text

finish
