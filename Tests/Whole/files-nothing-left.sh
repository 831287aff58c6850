#!/bin/bash
# Open files and unix sockets where something goes wrong: one sentence, the right status, nothing left behind.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

for device in 229 237; do
  grep -q "^ *$device " /proc/misc || cannot_run "the kernel has no device 10:$device"
done
export MOORING_TEST_SERVER=$work/server MOORING_TEST_DEVICES=10:229,10:237
edit=$repository/Tests/Whole/edit-image

# Runs the command and wants one of the statuses; nothing may be left. $1: the statuses, as "1 2".
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
  [ -s err ] || fail "nothing was said: $*"
  if grep -qE 'Fatal error|Swift/|Segmentation|Optional\(' err; then
    fail "that is no sentence for a person"
    show_output
  fi
  expect_same_host
}

restore=(mooring restore -D images)
use=(-- /use-files show)

start_server
plugin_folder misbehave
hold_files 3=open:/fuse,rdwr 4=client:"$work/server,dgram" 5=open:/loop-control,rdwr 6=client:"$work/server,dgram"
for hook in file socket; do
  for kind in error crash hang exit; do
    test_case "a plugin at dump: $hook-dump-$kind"
    rm -rf images
    remember_host "$root"
    MOORING_MISBEHAVE=$hook-dump-$kind refused 1 mooring dump -t "$pid" -D images --files -L "$folder" --plugin-timeout 1
    expect_one_sentence
    expect_error_has misbehave
    [ -z "$(find . -maxdepth 1 -name '*images*')" ] || fail "left: $(echo ./*images*)"
    MOORING_MISBEHAVE=$hook-dump-$kind refused 1 mooring files -t "$pid" -L "$folder" --plugin-timeout 1
    expect_one_sentence
  done
  # The descriptor is the plugin's own copy: what it does with it is its matter.
  for kind in close number; do
    test_case "a plugin at dump: $hook-dump-$kind"
    rm -rf images
    MOORING_MISBEHAVE=$hook-dump-$kind expect_status 0 mooring dump -t "$pid" -D images --files -L "$folder"
    remember_host "$root"
    MOORING_MISBEHAVE='' expect_status 0 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
    expect_same_host
  done
done

test_case "a plugin that hangs at dump, and an engine that is killed"
rm -rf images
for hook in file socket; do
  remember_host "$root"
  MOORING_MISBEHAVE=$hook-dump-hang mooring dump -t "$pid" -D images --files -L "$folder" >out 2>err </dev/null &
  engine=$!
  sleep 0.7
  is_gone "$engine" && fail "it does not hang"
  kill -KILL "$engine"
  wait "$engine" 2>/dev/null || true
  # The keeper takes away what a killed engine cannot.
  wait_until eval '[ -z "$(find . -maxdepth 1 -name "*images*")" ]'
  expect_same_host
done

test_case "a plugin that behaves"
dump_and_end --files -L "$folder"
remember_host "$root"
expect_status 0 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
expect_same_host

for hook in file socket; do
  for kind in error crash hang exit nothing zero images closed old; do
    test_case "a plugin at restore: $hook-restore-$kind"
    remember_host "$root"
    MOORING_MISBEHAVE=$hook-restore-$kind refused 125 "${restore[@]}" -r "$root" -L "$folder" --plugin-timeout 1 "${use[@]}"
    expect_one_sentence
    expect_error_has misbehave
    expect_equal "$(cat out)" '' "what COMMAND said"
  done
  test_case "a plugin at restore: $hook-restore-kept"
  remember_host "$root"
  MOORING_MISBEHAVE=$hook-restore-kept expect_status 0 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
  expect_equal "$(grep -cE '^[0-9]+ ' out)" 7 "descriptors of COMMAND"
  expect_same_host
done

test_case "a plugin that fails where COMMAND was to stay (-d, --pin)"
rm -f holder-pid
for hook in file socket; do
  remember_host "$root"
  MOORING_MISBEHAVE=$hook-restore-error refused 125 "${restore[@]}" -r "$root" -L "$folder" -d --pidfile holder-pid "${use[@]}"
  [ ! -e holder-pid ] || fail "a PID file is left"
  MOORING_MISBEHAVE=$hook-restore-error refused 125 "${restore[@]}" -r "$root" -L "$folder" --pin pins "${use[@]}"
  [ ! -e pins ] || fail "pins are left"
done

test_case "a plugin that fails in init, in exit, in RESTORE_INIT"
for kind in init-fail exit-crash exit-hang restore-init-error; do
  remember_host "$root"
  MOORING_MISBEHAVE=$kind refused 125 "${restore[@]}" -r "$root" -L "$folder" --plugin-timeout 1 "${use[@]}"
  expect_one_sentence
done

test_case "a plugin that hangs at restore, and an engine that is killed or told to end"
for signal in KILL TERM INT; do
  for hook in file socket; do
    remember_host "$root"
    # A shell's background processes ignore SIGINT unless told otherwise.
    MOORING_MISBEHAVE=$hook-restore-hang python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "${restore[@]}" -r "$root" -L "$folder" "${use[@]}" >out 2>err </dev/null &
    engine=$!
    sleep 1.2
    is_gone "$engine" && fail "it does not hang"
    kill "-$signal" "$engine"
    wait "$engine" 2>/dev/null || true
    expect_same_host
    expect_equal "$(cat out)" '' "what COMMAND said"
  done
done

test_case "a server that is gone"
end_process "$server"
remember_host "$root"
refused 125 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
expect_error_has 'restore: plugin misbehave'
expect_error_has ECONNREFUSED
rm server
refused 125 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
rm -rf images

test_case "numbers that COMMAND cannot have"
plugin_folder device-current
hold_files 3=open:/fuse,rdwr 300=dup:3 301=open:/fuse,rdwr
dump_and_end --files -L "$folder"
remember_host "$root"
refused 125 prlimit --nofile=256:256 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
expect_error_has 'descriptor 300 '
expect_error_has 'descriptor 301 '
expect_error_has 'ulimit -n'
refused 125 prlimit --nofile=301:4096 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
expect_error_has 'descriptor 301 '
refused 2 prlimit --nofile=256:256 mooring plan -D images -r "$root" -L "$folder"
expect_status 0 prlimit --nofile=302:4096 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
grep -q '^301 char' out || fail "301 is not there"
expect_same_host

test_case "no number that is free"
mv images images-right
files=()
for number in $(seq 3 102); do files+=("$number=open:/fuse,rdwr"); done
hold_files "${files[@]}"
dump_and_end --files -L "$folder"
for limit in 103 104 108 112 120 160; do
  remember_host "$root"
  refused 125 prlimit "--nofile=$limit:$limit" "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
  expect_one_sentence
done
expect_status 0 prlimit --nofile=103:1000 "${restore[@]}" -r "$root" -L "$folder" "${use[@]}"
expect_equal "$(grep -c 10:229 out)" 100 "files of COMMAND"
rm -r images
mv images-right images

test_case "few descriptors"
for limit in 8 12 16 20 24 30 40 60; do
  remember_host "$root"
  run prlimit "--nofile=$limit:$limit" "${restore[@]}" -r "$root" -L "$folder" --skip-file 300 --skip-file 301 "${use[@]}"
  case $status in
  0 | 125) ;;
  # The shared libraries cannot be opened.
  127) [ "$limit" -lt 12 ] || fail "status 127 with $limit descriptors" ;;
  *) fail "status $status with $limit descriptors"; show_output ;;
  esac
  expect_same_host
done
mv images images-right
files=()
for number in $(seq 10 120); do files+=("$number=open:/fuse,rdwr"); done
hold_files "${files[@]}"
for limit in 8 16 24 40 60 100; do
  remember_host "$root"
  run prlimit "--nofile=$limit:$limit" mooring dump -t "$pid" -D images --files -L "$folder"
  case $status in
  0) ;;
  1 | 2) [ ! -e images ] || fail "half the images with $limit descriptors" ;;
  127) ;;
  *) fail "dump with $limit descriptors: status $status"; show_output ;;
  esac
  expect_same_host
  rm -rf images
done
end_process "$pid"

test_case "options that are no options"
misused() {
  refused 64 "$@"
  grep -q Usage err || expect_one_sentence
}
hold_files 3=open:/fuse,rdwr
remember_host "$root"
for word in nonsense -1 3/x /3 3/ '' 3.5 x3 99999999999 anon_inode '[eventfd]'; do
  misused mooring dump -t "$pid" -D images --files "--skip-file=$word"
done
for word in 3:key 'fd[3]' 'fd[3]:' 'fd[x]:key' 'fd[-3]:key' 'fd[]:key' 'fd3:key' 'fd[3:key' 'fd[99999999999]:key'; do
  misused mooring dump -t "$pid" -D images --files --inherit-fd "$word"
done
for word in 'file[]' 'file[1]' 'file[1:zz]' 'file[x:1]' 'file[1:2:3]' 'file[1:2' 'unix[]' 'unix[x]' 'unix[-1]' 'unix[1' \
  'file[1:2]:relative' 'unix[1]:relative' 'file[1:2]:' 'unix[1]x' 'file[1:99999999999999999]' 'unix[99999999999]'; do
  misused mooring dump -t "$pid" -D images --files --external "$word"
  misused mooring restore -D images-right -r "$root" --external "$word" "${use[@]}"
done
misused mooring files
misused mooring files -t "$pid" -D images-right
misused mooring files -t none
refused 1 mooring files -t 4000000
expect_one_sentence
refused 1 mooring files -D no-images
expect_one_sentence
expect_status 0 mooring files --help
misused mooring dump --netns blue -D images --files

test_case "mappings that match nothing"
plugin_folder device-current
for options in '--skip-file 77' '--skip-file 1/3' '--inherit-fd fd[77]:key' '--external file[1:1]' '--external unix[1]'; do
  # shellcheck disable=SC2086 # two words
  refused 2 mooring dump -t "$pid" -D images --files -L "$folder" $options
  expect_error_has "${options#* }"
  [ ! -e images ] || fail "images were written"
  # shellcheck disable=SC2086
  expect_status 0 mooring files -t "$pid" -L "$folder" $options
  expect_error_has "${options#* }"
done
for options in '--skip-file 77' '--inherit-fd fd[0]:key' '--external file[1:1]:/dev/null' '--external unix[1]:/dev/log'; do
  # shellcheck disable=SC2086
  refused 125 "${restore[@]}-right" -r "$root" -L "$folder" $options "${use[@]}"
  expect_error_has "${options#* }"
done
# A kind may be named for containers that have none just now.
expect_status 0 mooring dump -t "$pid" -D images --files -L "$folder" --skip-file eventfd
rm -rf images

test_case "keys that lead nowhere"
key=$(key_of 3)
dump_and_end --files --inherit-fd 'fd[3]:key'
remember_host "$root"
refused 125 "${restore[@]}" -r "$root" --inherit-fd 'fd[77]:key' "${use[@]}"
expect_error_has 77
refused 125 "${restore[@]}" -r "$root" --external "$key:/no/such/file" "${use[@]}"
expect_error_has /no/such/file
refused 125 "${restore[@]}" -r "$root" --external "$key:$work" "${use[@]}"
refused 2 mooring plan -D images -r "$root"
expect_error_has key
# A device whose driver says no: nothing is there.
mknod dead c 10 254
refused 125 "${restore[@]}" -r "$root" --external "$key:$work/dead" "${use[@]}"
rm dead

test_case "images that lie"
rm -rf images
mv images-right images
# $1: the file; the rest: how it is edited.
bad_images() {
  local file=$1
  shift
  rm -rf bad
  cp -a images bad
  "$edit" "bad/$file" "$@"
  remember_host "$root"
  refused 125 mooring restore -D bad -r "$root" -L "$folder" "${use[@]}"
}
# Two descriptors of one number.
bad_images fdinfo-2.img set 1 4 3
expect_one_sentence
expect_error_has fdinfo-2.img
# A file that is not there; two files of one id; the id within that is another.
bad_images fdinfo-2.img set 1 1 99
expect_one_sentence
bad_images files.img set 1 2 2
expect_one_sentence
bad_images fdinfo-2.img set 0 4 4294967295
expect_one_sentence
bad_images files.img set 0 1 5
expect_one_sentence
for file in files.img fdinfo-2.img; do
  bad_images "$file" magic 50273030
  expect_one_sentence
  expect_error_has "$file"
  for bytes in 0 3 7 9 11 13 $(($(stat -c %s "images/$file") - 1)); do
    bad_images "$file" truncate "$bytes"
    expect_one_sentence
  done
  for length in 0 1 4294967295 1000000; do
    bad_images "$file" length 0 "$length"
    expect_one_sentence
  done
done

test_case "images that are spoilt anywhere: an error or a restore, never a crash"
python3 - images <<'P' >spoilt
import os, random, sys
rng = random.Random(11)
names = ["files.img", "fdinfo-2.img"]
for number in range(80):
    name = rng.choice(names)
    data = bytearray(open(f"{sys.argv[1]}/{name}", "rb").read())
    for _ in range(rng.choice([1, 1, 2, 10])):
        data[rng.randrange(8, len(data))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    if rng.random() < 0.2:
        data = data[:rng.randrange(len(data))]
    folder = f"spoilt-{number}"
    os.mkdir(folder)
    for other in os.listdir(sys.argv[1]):
        open(f"{folder}/{other}", "wb").write(open(f"{sys.argv[1]}/{other}", "rb").read())
    open(f"{folder}/{name}", "wb").write(data)
    print(folder)
P
remember_host "$root"
while read -r directory; do
  run mooring restore -D "$directory" -r "$root" -L "$folder" --plugin-timeout 2 -- /use-files --to /dev/null show
  case $status in
  0 | 1 | 125) ;;
  *) fail "$directory: status $status"; show_output ;;
  esac
  if grep -qE 'Fatal error|Swift/|Segmentation|Optional\(' err; then fail "$directory: a crash"; show_output; fi
  run mooring files -D "$directory"
  case $status in 0 | 1) ;; *) fail "$directory: status $status of files"; show_output ;; esac
done <spoilt
expect_same_host
rm -r spoilt-* bad images

test_case "the process ends half-way"
files=()
for number in $(seq 10 400); do files+=("$number=open:/fuse,rdwr"); done
for milliseconds in 5 20 40 60 80 120 200 300; do
  hold_files "${files[@]}" child 5=open:/fuse,rdwr child 7=eventfd
  rm -rf images
  mooring dump -t "$pid" -D images --files -L "$folder" >out 2>err </dev/null &
  engine=$!
  sleep "0.$(printf %03d "$milliseconds")"
  end_process "$pid"
  status=0
  wait "$engine" || status=$?
  case $status in
  0) ;;
  1 | 2) [ ! -e images ] || fail "half the images were written" ;;
  *) fail "status $status after $milliseconds ms"; show_output ;;
  esac
  [ "$status" != 1 ] || expect_one_sentence
done

test_case "files that change while they are looked at"
new_root
cp "$(command -v busybox)" "$root/"
# Its shell wants it for what is in the background.
mkdir "$root/dev"
mknod "$root/dev/null" c 1 3
start_holding "${files[@]}"
# Its own child opens and closes all the time, and has children that come and go.
without_descriptors nsenter -t "$pid" -m -p /busybox sh -c '(while :; do
  exec 5<>/fuse 6</use-files 7</; (exec 8<>/fuse; :); exec 5<&- 6<&- 7<&-; done) &'
sleep 0.2
[ -n "$(cat "/proc/$pid/task/$pid/children")" ] || fail "there is no child"
for _ in $(seq 1 15); do
  expect_status 0 mooring files -t "$pid"
  expect_equal "$(grep -cE "^$pid +[0-9]+ +char .*10:229" out)" 391 "files of the first process"
done
for _ in $(seq 1 5); do
  run mooring dump -t "$pid" -D images --files -L "$folder"
  # What was closed while a plugin was to be asked is a reason to try again.
  case $status in 0 | 1) ;; *) fail "status $status"; show_output ;; esac
done
end_process "$pid"

test_case "no permission"
hold_files 3=open:/fuse,rdwr
remember_host "$root"
cp "$mooring" "$work/mooring-for-all"
refused 1 setpriv --reuid 65534 --regid 65534 --clear-groups "$work/mooring-for-all" files -t "$pid"
expect_one_sentence
end_process "$pid"

finish
