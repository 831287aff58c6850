#!/bin/bash
# Open files and unix sockets: shown, saved with plugins and mappings, and given to COMMAND.
# shellcheck source=Tests/Whole/harness.sh
. "$(dirname "$0")/harness.sh"

command -v crit >/dev/null || cannot_run "crit is not installed (Debian: apt-get install criu)"
for device in 229 237; do
  grep -q "^ *$device " /proc/misc || cannot_run "the kernel has no device 10:$device"
done
export MOORING_TEST_SERVER=$work/server MOORING_TEST_DEVICES=10:229,10:237

# What mooring files said of descriptor $1 of the first process, or of process $2: $line, $id, $class.
look() {
  line=$(grep -E "^${2:-$pid} +$1 " out) || { fail "descriptor $1 is not listed"; show_output; }
  id=$(grep -oE '#[0-9]+' <<<"$line") || true
  class=$(sed -E 's/.*#[0-9]+ +//' <<<"$line")
}

# $1: descriptor of the first process, $2: kind, $3: class.
expect_file() {
  look "$1"
  expect_equal "$(awk '{print $3}' <<<"$line")" "$2" "the kind of $1"
  expect_equal "$class" "$3" "the class of $1"
}

expect_used() { grep -qxE -e "$1" out || { fail "COMMAND did not say: $1"; show_output; }; }
expect_not_used() { ! grep -qxE -e "$1" out || { fail "COMMAND said: $1"; show_output; }; }

crit_reads() {
  local file
  for file in images/files.img images/fdinfo-*.img; do
    crit decode -i "$file" >decoded 2>errors || fail "$file: $(tail -n 1 errors)"
  done
}

test_case "each open file once: dup and fork give one id, two opens two"
hold_files 3=open:/fuse,rdwr 4=dup:3 5=open:/fuse,rdwr 6=open:/tmp/file,create,rdwr 7=open:/tmp/file,rdwr \
  8=eventfd 9=eventfd 10=userfaultfd 11=userfaultfd 12=dup:10,cloexec 13=inet 14=inet,dgram \
  child 20=dup:3 21=open:/fuse,rdwr 22=dup:10 child 3=dup:6
expect_status 0 mooring files -t "$pid"
for pair in '3 4' '10 12'; do
  look "${pair% *}"
  first=$id
  look "${pair#* }"
  expect_equal "$id" "$first" "the ids of $pair"
done
for pair in '3 5' '6 7' '8 9' '10 11' '13 14'; do
  look "${pair% *}"
  first=$id
  look "${pair#* }"
  [ "$id" != "$first" ] || fail "$pair have one id"
done
children=$(cat "/proc/$pid/task/$pid/children")
look 3
first=$id
look 20 "${children%% *}"
expect_equal "$id" "$first" "the id of what a child was forked with"
look 21 "${children%% *}"
[ "$id" != "$first" ] || fail "a child's own opening has the id of another"
look 6
first=$id
look 3 "$(cut -d' ' -f2 <<<"$children")"
expect_equal "$id" "$first" "the id of what the second child was forked with"
look 12
[[ $line = *cloexec* ]] || fail "close-on-exec is not shown"
expect_status 0 mooring files -t "$pid" --json
python3 - out <<'P' || fail "the JSON does not say it"
import json, sys
files = json.load(open(sys.argv[1]))["files"]
fuse = [f for f in files if f.get("device") == "10:229"]
assert sorted(len(f["descriptors"]) for f in fuse) == [1, 1, 3], fuse
assert len({f["id"] for f in files}) == len(files)
assert all(f["kind"] == "char" and f["flags"][0] == "rdwr" for f in fuse)
P
end_process "$pid"

test_case "kinds and classes"
exec 7>outer-file
start_server
counting-server --stream "$work/stream" "$work/stream-count" "$work/stream-pid"
counting-server --seqpacket --no-accept "$work/packets" "$work/packets-count" "$work/packets-pid"
mkfifo "$work/fifo"
all=(3=open:/fuse,rdwr 4=device:10:229,rdwr,nonblock 5=userfaultfd 6=io_uring 7=perf_event 8=eventfd \
  9=eventpoll 10=timerfd 11=signalfd 12=inotify 13=pidfd 14=memfd 15=namespace:net 16=inet \
  20=open:/tmp/file,create,wronly,append 21=unlinked:/tmp/gone,rdwr 22=outside:/proc/version 23=inherit:7 \
  24=open:/tmp,directory 25=open:/,path 26=open:/proc/version 27=outside:/dev/zero \
  30=pipe-read:a 31=pipe-write:a 32=outer-pipe-read 33=outer-pipe-write 34=terminal,rdwr \
  40=client:"$work/server",dgram 41=client:"$work/stream",stream 42=client:"$work/packets",seqpacket \
  43=pair:b 44=pair:b 45=pair:c,dgram 46=pair:c,dgram 47=outer-pair 48=outer-pair,dgram 49=unix,dgram \
  50=listen:/tmp/socket 51=client-inside:/tmp/socket 52=listen:@abstract 53=client-inside:@abstract \
  54=pair:alone)
hold_files "${all[@]}"
expect_status 0 mooring files -t "$pid"
expect_file 0 char 'left to a process restorer'
expect_file 3 char unsupported
expect_file 4 char unsupported
expect_file 5 userfaultfd unsupported
expect_file 6 io_uring unsupported
expect_file 7 perf_event unsupported
expect_file 8 eventfd 'left to a process restorer'
expect_file 9 eventpoll 'left to a process restorer'
expect_file 10 timerfd 'left to a process restorer'
expect_file 11 signalfd 'left to a process restorer'
expect_file 12 inotify 'left to a process restorer'
expect_file 13 pidfd 'left to a process restorer'
expect_file 14 memfd 'left to a process restorer'
expect_file 15 namespace 'in the tree'
expect_file 16 socket 'left to a process restorer'
expect_file 20 file 'in the tree'
[[ $line = *wronly,append* ]] || fail "the flags are not shown: $line"
expect_file 21 file unsupported
expect_file 22 file unsupported
expect_file 23 file unsupported
expect_file 24 directory 'in the tree'
expect_file 25 directory 'in the tree'
expect_file 26 file 'in the tree'
expect_file 27 char 'left to a process restorer'
expect_file 30 pipe 'left to a process restorer'
expect_file 31 pipe 'left to a process restorer'
expect_file 32 pipe unsupported
expect_file 33 pipe unsupported
expect_file 34 tty 'left to a process restorer'
for number in 40 41 42 47 48; do expect_file "$number" unix unsupported; done
for number in 43 44 45 46 49 50 51 52 53 54; do expect_file "$number" unix 'left to a process restorer'; done
expect_status 0 mooring files -t "$pid" --listening
expect_file 50 unix unsupported
expect_file 51 unix 'left to a process restorer'
expect_file 52 unix unsupported
end_process "$pid"
# Sockets whose peers are gone: of a stream nothing comes any more, of datagrams another server may be there.
hold_files 3=client:"$work/server",dgram 4=client:"$work/stream",stream 5=client:"$work/packets",seqpacket
for name in server-pid stream-pid packets-pid; do end_process "$(cat "$name")"; done
expect_status 0 mooring files -t "$pid"
expect_file 3 unix unsupported
expect_file 4 unix 'left to a process restorer'
expect_file 5 unix 'left to a process restorer'
end_process "$pid"

test_case "all that nothing explains is refused together, with what settles it"
start_server
counting-server --stream "$work/stream" "$work/stream-count" "$work/stream-pid"
counting-server --seqpacket --no-accept "$work/packets" "$work/packets-count" "$work/packets-pid"
hold_files "${all[@]}"
refused='3 4 5 6 7 21 22 23 32 33 40 41 42 47 48'
remember_host "$root"
expect_status 2 mooring dump -t "$pid" -D images --files
for number in $refused; do
  grep -qE "descriptor $number .*--skip-file $number" err || fail "nothing is said of $number, or no cure"
done
expect_error_has "-L DIR"
expect_error_has "--external '$(key_of 3)'"
expect_error_has "--external '$(key_of 40)'"
expect_equal "$(grep -c problem: err)" "$(wc -w <<<"$refused")" "problems"
[ ! -e images ] || fail "images were written"
expect_same_host
expect_status 0 mooring files -t "$pid"
expect_equal "$(grep -c problem: err)" "$(wc -w <<<"$refused")" "problems that are shown"

test_case "--skip-file by number, by kind, of a child"
expect_status 0 mooring files -t "$pid" --skip-file 3 --skip-file pipe --skip-file userfaultfd
expect_file 3 char skipped
expect_file 4 char unsupported
for number in 30 31 32 33; do expect_file "$number" pipe skipped; done
expect_file 5 userfaultfd skipped
options=()
for number in $refused; do options+=(--skip-file "$number"); done
expect_status 0 mooring dump -t "$pid" -D images --files "${options[@]}"
crit_reads
rm -r images
options=()
for kind in char file userfaultfd io_uring perf_event pipe unix; do options+=(--skip-file "$kind"); done
expect_status 0 mooring dump -t "$pid" -D images --files "${options[@]}"
rm -r images
end_process "$pid"
for name in server-pid stream-pid packets-pid; do end_process "$(cat "$name")"; done
exec 7>&-
hold_files child 5=open:/fuse,rdwr
child=$(cat "/proc/$pid/task/$pid/children")
expect_status 2 mooring dump -t "$pid" -D images --files
expect_error_has "--skip-file ${child% }/5"
expect_status 0 mooring dump -t "$pid" -D images --files --skip-file "${child% }/5"
end_process "$pid"

test_case "other kinds, and names of any bytes"
new_root
mkfifo "$root/fifo"
mknod "$root/loop0" b 7 0
mknod "$root/tun" c 10 200
ln -s fuse "$root/link"
start_holding 3=open:/fifo,rdwr 4=open:/link,path,nofollow 5=open:/loop0 6=open:/tun,rdwr \
  '7=open:/tmp/x (deleted),create,rdwr' $'8=open:/tmp/a\nb,create,rdwr' $'9=open:/tmp/\xff,create' \
  10=outside:/etc,path 11=outside:/etc,directory 12=outside:/proc/self/ns/net 13=outside:"$root/fuse,rdwr" \
  14=open:/fuse,path 15=open:/use-files,noatime
expect_status 0 mooring files -t "$pid"
expect_file 3 fifo 'in the tree'
expect_file 4 symlink 'in the tree'
expect_file 5 block unsupported
expect_file 6 tun 'left to a process restorer'
expect_file 7 file 'in the tree'
expect_file 8 file 'in the tree'
expect_file 9 file 'in the tree'
expect_file 10 directory unsupported
expect_file 11 directory unsupported
expect_file 12 namespace unsupported
expect_file 13 char unsupported
expect_file 14 char 'in the tree'
expect_file 15 file 'in the tree'
[[ $line = *noatime* ]] || fail "the flags are not shown: $line"
expect_equal "$(grep -c . out)" 16 "lines"
one=$(key_of 5) two=$(key_of 11) three=$(key_of 12)
dump_and_end --files --external "$one" --external "$two" --external "$three" --skip-file char
use_files --external "$one:/dev/zero" --external "$two:/usr" --external "$three:/proc/self/ns/net" -- show
expect_used '5 char:1:5 rdonly .*'
expect_used '10 directory path -1 /usr'
expect_used '11 directory rdonly 0 /usr'
expect_used "12 file rdonly .*$(readlink /proc/self/ns/net | tr '[]' ..)"

# Linux lets one take the descriptors of a thread from 6.9 on.
threads_apart() {
  rm -rf images
  plugin_folder device-current
  hold_files 3=open:/fuse,rdwr thread 5=dup:3 6=open:/fuse,rdwr sharer sharer child 9=dup:3
  if ! has thread-descriptors; then
    expect_status 2 mooring dump -t "$pid" -D images --files -L "$folder"
    expect_error_has "has descriptors of its own, which this kernel lets nobody take"
    [ ! -e images ] || fail "refused, but images were written"
    dump_and_end --files -L "$folder" --skip-file threads
    use_files -L "$folder" -- show
    grep -qE '^MOORING_FDS=3=file:2@[0-9]+/9$' out || { fail "MOORING_FDS"; show_output; }
    return 0
  fi
  expect_status 0 mooring files -t "$pid" -L "$folder"
  look 3
  first=$id
  expect_equal "$(grep -c fuse out)" 4 "descriptors of devices"
  expect_equal "$(grep fuse out | grep -c "$first ")" 3 "descriptors of the first device"
  dump_and_end --files -L "$folder"
  use_files -L "$folder" -- show
  grep -qE '^MOORING_FDS=3=file:2@[0-9]+/5@[0-9]+/9 4=file:3@[0-9]+/6$' out || { fail "MOORING_FDS"; show_output; }
}
test_case "threads with descriptors of their own, and processes that share them"
threads_apart

test_case "a process in a PID namespace of its own below: its number is the container's"
rm -rf images
new_root
cp "$(command -v busybox)" "$root/"
# Its shell wants it for what is in the background.
mkdir "$root/dev"
mknod "$root/dev/null" c 1 3
start_holding 3=open:/fuse,rdwr
without_descriptors nsenter -t "$pid" -m -p /busybox sh -c '(/busybox unshare -p -f /busybox sh -c "exec 7<>/fuse
  echo here >/here; while :; do /busybox sleep 1000; done") &'
wait_until test -s "$root/here"
inner=$(grep -l '^NSpid:.*[[:space:]]1$' /proc/[0-9]*/status | cut -d/ -f3 | while read -r process; do
  [ "$process" = "$pid" ] || awk '/^NSpid:/ && NF >= 4 { print $(NF - 1) }' "/proc/$process/status"
done)
dump_and_end --files -L "$folder"
use_files -L "$folder" -- show
grep -qE "^MOORING_FDS=3=file:2 4=file:[0-9]+(@[0-9]+/7)*@$inner/7(@[0-9]+/7)*\$" out || { fail "no process $inner"; show_output; }
expect_not_used '.*@1/7.*'

test_case "a container of runc"
if command -v runc >/dev/null; then
  rm -rf images
  "$scripts/container" start box >/dev/null
  pid=$(cat box/pid)
  root=$work/box/bundle/rootfs
  cp "$tools/use-files" "$root/"
  options=(--external 'mnt[/data]:data' --external 'mnt[/etc/config]:config')
  expect_status 0 mooring files -t "$pid"
  expect_status 0 mooring dump -t "$pid" -D images "${options[@]}"
  [ ! -e images/files.img ] || fail "open files were saved"
  expect_status 0 mooring dump -t "$pid" -D images --files "${options[@]}" --skip-file pipe --skip-file file --skip-file char
  end_process "$pid"
  use_files --external "mnt[data]:$work/box/host/data" --external "mnt[config]:$work/box/host/config" -- show
  "$scripts/container" stop box
fi

test_case "a file that something mounted later covers"
rm -rf images
hold_files 3=open:/tmp/file,create,rdwr
cp "$(command -v busybox)" "$root/"
nsenter -t "$pid" -m /busybox mount -t tmpfs over /tmp
expect_status 0 mooring files -t "$pid"
expect_file 3 file unsupported
end_process "$pid"

test_case "without --files nothing is looked at"
rm -rf images
mkfifo outer-fifo
exec 8<>outer-fifo
hold_files 0=outer-pipe-read 1=outer-pipe-write 2=inherit:8 3=open:/fuse,rdwr
expect_status 2 mooring dump -t "$pid" -D images --files
for number in 0 1 2 3; do expect_error_has "--skip-file $number"; done
plugin_folder recorder device-current
expect_status 0 mooring dump -t "$pid" -D images -L "$folder"
[ ! -e images/files.img ] || fail "open files were saved"
end_process "$pid"
use_files -- show
expect_used 'no MOORING_FDS'
exec 8>&-

test_case "images of files"
rm -rf images
hold_files 3=open:/fuse,rdwr,nonblock 4=dup:3,cloexec 70=device:10:237,rdwr child 9=dup:3 10=open:/fuse,rdwr
plugin_folder device-current
expect_status 0 mooring files -t "$pid" -L "$folder"
expect_file 3 char 'external by plugin device-current'
expect_status 0 mooring dump -t "$pid" -D images --files -L "$folder"
crit_reads
crit decode -i images/files.img >decoded
python3 - <<'P' || fail "files.img: $(cat decoded)"
import json
entries = json.load(open("decoded"))["entries"]
assert len(entries) == 3 and all(e["type"] == "EXT" and e["id"] == e["ext"]["id"] for e in entries)
assert len({e["id"] for e in entries}) == 3
P
crit decode -i images/fdinfo-2.img >decoded
python3 - <<'P' || fail "fdinfo-2.img: $(cat decoded)"
import json
entries = {e["fd"]: e for e in json.load(open("decoded"))["entries"]}
assert sorted(entries) == [3, 4, 70], entries
assert entries[3]["id"] == entries[4]["id"] != entries[70]["id"]
assert [entries[fd]["flags"] for fd in (3, 4, 70)] == [0, 1, 0]
P
crit decode -i images/fdinfo-3.img >decoded
expect_equal "$(grep -o '"fd": [0-9]*' decoded | tr '\n' ' ')" '"fd": 9 "fd": 10 ' "descriptors of the child"
expect_status 0 mooring files -D images
expect_output_has 'external by plugin'
expect_status 0 mooring files -D images --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"

test_case "images as other programs write them: without our fields, with other files"
cp -r images kept
python3 - <<'P' || fail "crit cannot write them"
import json, subprocess
def decoded(path):
    return json.loads(subprocess.check_output(["crit", "decode", "-i", path]))
def encode(path, image):
    with open("image.json", "w") as file:
        json.dump(image, file)
    subprocess.check_call(["crit", "encode", "-i", "image.json", "-o", path])
files = decoded("images/files.img")
nobody = {"uid": 0, "euid": 0, "signum": 0, "pid_type": 0, "pid": 0}
files["entries"] += [
    {"type": "REG", "id": 90, "reg": {"id": 90, "flags": "0x2", "pos": 0, "fown": nobody, "name": "/x"}},
    {"type": "PIPE", "id": 91, "pipe": {"id": 91, "pipe_id": 7, "flags": "0x0", "fown": nobody}},
    {"type": "EVENTFD", "id": 92, "efd": {"id": 92, "flags": "0x2", "fown": nobody, "counter": 1}}]
encode("images/files.img", files)
first = decoded("images/fdinfo-2.img")
first["entries"] += [{"id": 90, "flags": 0, "type": "REG", "fd": 30}, {"id": 91, "flags": 0, "type": "PIPE", "fd": 31},
                     {"id": 92, "flags": 0, "type": "EVENTFD", "fd": 32}]
encode("images/fdinfo-2.img", first)
encode("images/fdinfo-3.img", decoded("images/fdinfo-3.img"))
P
expect_status 0 mooring files -D images
# Nothing says what flags a file had: those that the plugin gives it stay.
use_files -L "$folder" -- show
[ ! -s err ] || { fail "a warning"; show_output; }
expect_used '3 char:10:229 rdwr,nonblock .*'
expect_used '4 char:10:229 rdwr,nonblock .*'
expect_used '70 char:10:237 rdwr .*'
expect_used 'same 3 4'
expect_not_used '3[012] .*'
rm -r images
mv kept images

test_case "a plan says what becomes of files, and asks nobody"
remember_host "$root"
expect_status 0 mooring plan -D images -r "$root" -L "$folder"
grep -qE 'plugins for file 2: descriptors? 3 and 4 ' out || { fail "nothing is said of 3 and 4"; show_output; }
grep -qE 'plugins for file 3: descriptors? 70 ' out || { fail "nothing is said of 70"; show_output; }
expect_status 0 mooring plan -D images -r "$root" -L "$folder" --json
python3 -m json.tool out >/dev/null || fail "that is no JSON"
expect_same_host

test_case "-d leaves files out, and says so"
end_process "$pid"
restore_detached -L "$folder"
expect_error_has 'left out'
expect_equal "$(find "/proc/$holder/fd" -lname '*fuse*' -o -lname '*node*' | wc -l)" 0 "files in the holder"
expect_status 0 mooring verify -D images -t "$holder"
end_holder

test_case "--only mounts,links leaves files out"
expect_status 0 mooring restore -D images -r "$root" --only mounts,links -- /use-files show
expect_used 'no MOORING_FDS'
expect_not_used '70 .*'

# The story of a client: the server's count goes on.
for name in socket-current socket-legacy; do
  test_case "a client of a server outside, by $name"
  rm -rf images count client
  plugin_folder "$name"
  start_server
  hold_files 3=client:"$work/server,dgram,bind=$work/client,send=3" 12=dup:3
  expect_count 3
  expect_status 0 mooring files -t "$pid" -L "$folder"
  look 3
  [[ $class = "external by plugin $name"* ]] || fail "the class: $class"
  inode=$(stat -Lc %i "/proc/$pid/fd/3")
  dump_and_end --files -L "$folder"
  crit_reads
  crit decode -i images/files.img >decoded
  python3 - "$inode" "$work" <<'P' || fail "files.img: $(cat decoded)"
import json, sys
entries = json.load(open("decoded"))["entries"]
mine, = [e["usk"] for e in entries if e["type"] == "UNIXSK" and e["usk"]["ino"] == int(sys.argv[1])]
assert mine["type"] == 2 and mine["uflags"] == 4 and mine["name"] == sys.argv[2] + "/client", mine
peer, = [e["usk"] for e in entries if e["type"] == "UNIXSK" and e["usk"]["ino"] == mine["peer"]]
assert peer["uflags"] == 1 and peer["name"] == sys.argv[2] + "/server", peer
P
  end_process "$server"
  start_server
  use_files -L "$folder" -- show send 3 4 2 receive 3 send 12 6 1
  expect_used "3 unix:dgram rdwr -1 bound=$work/client peer=$work/server .*"
  expect_used 'same 3 12'
  expect_used "MOORING_FDS=3=unix:$inode 12=unix:$inode"
  expect_used 'counted 00000004'
  expect_count 6
  # Once more from the same images, another server.
  end_process "$server"
  rm count
  start_server
  use_files -L "$folder" -- send 3 1 2
  expect_count 2
  end_process "$server"
  remember_host "$root"
  expect_status 125 mooring restore -D images -r "$root" -L "$folder" -- /use-files show
  expect_error_has "$name"
  expect_same_host
done
rm -f client

for name in device-current device-legacy; do
  test_case "a device, with a node and without, by $name"
  rm -rf images
  plugin_folder "$name"
  hold_files 3=open:/fuse,rdwr 4=device:10:237,wronly,nonblock 5=open:/fuse,rdonly,append
  dump_and_end --files -L "$folder"
  remember_host "$root"
  use_files -L "$folder" -- show
  expect_same_host
  expect_used '3 char:10:229 rdwr .*'
  expect_used '4 char:10:237 wronly,nonblock .*'
  expect_used '5 char:10:229 rdonly,append .*'
  expect_not_used 'same .*'
done

test_case "an anonymous inode"
rm -rf images
plugin_folder anonymous
hold_files 3=userfaultfd 4=userfaultfd,nonblock 5=dup:4
dump_and_end --files -L "$folder"
use_files -L "$folder" -- show
expect_used '3 anonymous rdonly .*userfaultfd.*'
expect_used '4 anonymous rdonly,nonblock .*userfaultfd.*'
expect_used 'same 4 5'
expect_not_used 'same 3 .*'

test_case "old numbers: high ones, 0 to 2; MOORING_FDS"
rm -rf images
plugin_folder device-current
hold_files 0=open:/fuse,rdwr,append 1=device:10:237,rdwr,cloexec 2=dup:0 3=open:/fuse,rdwr 17=dup:3,cloexec \
  4000=open:/loop-control,rdwr child 7=dup:3 child 8=dup:3 9=dup:0 6=open:/fuse,rdwr 5=dup:4000
dump_and_end --files -L "$folder"
rm -f "$root/used"
use_files -L "$folder" -- --to /used show
cp "$root/used" out
expect_used '0 char:10:229 rdwr,append .*'
expect_used '1 char:10:237 rdwr .*'
expect_used '2 char:10:229 rdwr,append .*'
expect_used '17 char:10:229 rdwr .*'
expect_used '4000 char:10:237 rdwr .*'
expect_used 'same 0 2'
expect_used 'same 3 17'
expect_equal "$(grep -c same out)" 2 "pairs that share"
# One of a child's own is at a free number.
expect_equal "$(grep -cE '^[0-9]' out)" 7 "descriptors of COMMAND"
expect_used '4 char:10:229 rdwr .*'
expect_used 'MOORING_FDS=0=file:1@3/9 1=file:2,cloexec 2=file:1 3=file:3@2/7@3/8 4=file:[0-9]+@3/6 17=file:3,cloexec 4000=file:4@3/5'
# There is no program: the complaint arrives though standard error is a file of the images.
expect_status 127 mooring restore -D images -r "$root" -L "$folder" -- /nothing
expect_error_has /nothing

test_case "five hundred files"
rm -rf images
files=()
for number in $(seq 10 509); do files+=("$number=open:/fuse,rdwr"); done
hold_files "${files[@]}"
dump_and_end --files -L "$folder"
use_files -L "$folder" -- show
expect_equal "$(grep -c '^[0-9]* char:10:229 rdwr' out)" 500 "files of COMMAND"
expect_equal "$(grep -c same out)" 0 "files that are shared"

test_case "two plugins that need each other's file"
rm -rf images
plugin_folder wait-one wait-two device-current
hold_files 3=outer-pipe-read 4=outer-pipe-write 5=open:/fuse,rdwr
dump_and_end --files -L "$folder"
remember_host "$root"
use_files -L "$folder" -- write 4 hello read 3 show
expect_used hello
expect_used '5 char:10:229 rdwr .*'
# The other order of asking.
rm -rf images
hold_files 3=outer-pipe-write 4=outer-pipe-read
dump_and_end --files -L "$folder"
use_files -L "$folder" -- write 3 hello read 4
expect_used hello

test_case "one that is never ready is named, with the file"
rm -rf images
plugin_folder never wait-one wait-two
hold_files 3=open:/fuse,rdwr 4=outer-pipe-read 5=outer-pipe-write
export MOORING_TEST_NEVER=10:229
expect_status 0 mooring files -t "$pid" -L "$folder"
look 3
dump_and_end --files -L "$folder"
remember_host "$root"
expect_status 125 mooring restore -D images -r "$root" -L "$folder" -- /use-files show
expect_one_sentence
expect_error_has never
expect_error_has "file ${id#\#}"
expect_same_host
unset MOORING_TEST_NEVER

test_case "keys: --inherit-fd at dump and restore"
rm -rf images
hold_files 3=open:/fuse,rdwr 4=dup:3 5=device:10:237,rdwr 6=open:/fuse,rdwr 7=outer-pair
expect_status 0 mooring files -t "$pid" --inherit-fd 'fd[3]:fuse' --inherit-fd 'fd[5]:with space'
expect_file 3 char 'external fuse'
expect_file 4 char 'external fuse'
expect_file 5 char 'external with space'
expect_file 6 char unsupported
socket=$(key_of 7)
dump_and_end --files --inherit-fd 'fd[4]:fuse' --inherit-fd 'fd[5]:with space' --skip-file 6 --external "$socket"
crit_reads
remember_host "$root"
exec 7<>/dev/fuse 8</etc/passwd
# Nothing says what stands for them.
expect_status 125 mooring restore -D images -r "$root" -- /use-files show
for key in fuse 'with space' "$socket"; do expect_error_has "$key"; done
expect_equal "$(grep -c problem: err)" 3 "problems"
expect_same_host
use_files --inherit-fd 'fd[7]:fuse' --inherit-fd 'fd[8]:with space' --skip-file 7 -- show
expect_used 'MOORING_FDS=3=fuse 4=fuse 5=with\\040space'
expect_used '3 char:10:229 rdwr .*'
expect_used '5 file .*passwd'
expect_used 'same 3 4'
expect_not_used '7 .*'
exec 7>&- 8>&-

test_case "keys: a file of the host, with the saved flags"
rm -rf images
echo before >outer-file
hold_files 3=outside:"$work/outer-file",wronly,append,nonblock 4=dup:3 5=outside:"$work/outer-file",rdonly
one=$(key_of 3)
expect_equal "$(key_of 5)" "$one" "the key of a file that was opened twice"
dump_and_end --files --external "$one"
echo other >other-file
expect_status 125 mooring restore -D images -r "$root" --external "$one" -- /use-files show
expect_error_has "$one"
use_files --external "$one:$work/other-file" -- seek 3 0 write 4 appended show read 5
expect_used '3 file wronly,append,nonblock [0-9]* .*other-file'
expect_used '5 file rdonly 0 .*other-file'
expect_used 'same 3 4'
expect_not_used 'same .* 5'
expect_used other
expect_equal "$(cat outer-file other-file)" "before
other
appended" "the files"

for type in stream seqpacket; do
  test_case "keys: a $type socket, where its peer was and elsewhere"
  rm -rf images count
  start_server "--$type"
  hold_files 3=client:"$work/server,$type,send=2"
  expect_count 2
  socket=$(key_of 3)
  dump_and_end --files --external "$socket"
  end_process "$server"
  start_server "--$type"
  use_files --external "$socket" -- show send 3 3 2
  expect_used "3 unix:$type rdwr -1 peer=$work/server .*"
  expect_used "MOORING_FDS=3=${socket//[\[\]]/.}"
  expect_count 4
  mv server elsewhere
  expect_status 125 mooring restore -D images -r "$root" --external "$socket" -- /use-files show
  expect_error_has "$work/server"
  use_files --external "$socket:$work/elsewhere" -- send 3 5 1
  expect_count 5
  # What mooring has open already.
  use_files --inherit-fd "fd[9]:$socket" -- show 9<>/dev/zero
  expect_used '3 char:1:5 .*'
  end_process "$server"
  rm elsewhere
done

test_case "keys: numbers that are swapped"
rm -rf images
hold_files 3=open:/fuse,rdwr 4=open:/fuse,rdwr 5=dup:4
dump_and_end --files --inherit-fd 'fd[3]:one' --inherit-fd 'fd[4]:two'
use_files --inherit-fd 'fd[4]:one' --inherit-fd 'fd[3]:two' -- show 3</etc/passwd 4</dev/zero
expect_used '3 char:1:5 .*'
expect_used '4 file .*passwd'
expect_used 'same 4 5'
expect_not_used 'same 3 .*'

test_case "keys: standard streams of the outside"
rm -rf images
hold_files 0=outer-pipe-read 1=outer-pipe-write 2=dup:1
dump_and_end --files --inherit-fd 'fd[0]:in' --inherit-fd 'fd[1]:out'
status=0
echo hello | timeout 60 mooring restore -D images -r "$root" --inherit-fd 'fd[0]:in' --inherit-fd 'fd[1]:out' \
  -- /use-files read 0 show >piped 2>err || status=$?
expect_equal "$status" 0 "the status"
grep -qx hello piped || fail "standard input was not read"
grep -qx 'MOORING_FDS=0=in 1=out 2=out' piped || fail "MOORING_FDS: $(grep MOORING piped)"
grep -qx 'same 1 2' piped || fail "standard output and error are not shared"

test_case "keys: odd ones"
rm -rf images
hold_files 3=open:/fuse,rdwr
for key in $'a\nb' 'a,b@c=d' $'\xff' 'file[1:2]' 'fd[3]:x' ' '; do
  expect_status 0 mooring dump -t "$pid" -D images --files --inherit-fd "fd[3]:$key"
  use_files --inherit-fd "fd[7]:$key" -- show 7</dev/zero
  expect_used '3 char:1:5 .*'
  expect_equal "$(grep -a '^MOORING_FDS=3=' out | tr -d -c ',@ \n')" '' "what would end the name"
done
end_process "$pid"

test_case "a number that nobody opened gives nothing of mooring's own"
rm -rf images
hold_files 7=open:/fuse,rdwr
dump_and_end --files --inherit-fd 'fd[7]:log'
for number in 3 4 5 6 7 8 9; do
  (
    exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    expect_status 125 mooring restore -D images -r "$root" --inherit-fd "fd[$number]:log" -- /use-files show
    [ "$case_failed" = no ]
  ) || fail "descriptor $number was given"
  expect_error_has "mooring was started without a descriptor $number"
done

test_case "COMMAND alone holds what it is given"
mkfifo pipe-out
hold_files 7=open:/fuse,rdwr
dump_and_end --files --inherit-fd 'fd[7]:log'
cp "$(command -v busybox)" "$root/busybox"
exec 8<>pipe-out
exec 9>pipe-out
mooring restore -D images -r "$root" --inherit-fd 'fd[9]:log' -- \
  /busybox sh -c 'echo here >&7; exec 7>&-; /busybox sleep 3' 8>&- &
restore=$!
exec 9>&-
read -r -t 20 -u 8 line || true
exec 7<pipe-out 8>&-
expect_equal "$line" here "what COMMAND wrote"
SECONDS=0
cat <&7 >/dev/null
[ "$SECONDS" -lt 2 ] || fail "the pipe ended $SECONDS seconds after COMMAND had closed it"
exec 7<&-
wait "$restore" || fail "restore"

test_case "paths that are longer than the kernel tells; a descriptor of another process by name"
python3 - "$pid" <<'PY' >long-pid &
import os, sys, time
os.chdir("/var/tmp")
name = "mooring-long-%d" % os.getpid()
os.mkdir(name); os.chdir(name)
top = os.getcwd()
for level in range(20):
    os.mkdir("d" * 250); os.chdir("d" * 250)
held = os.open("file", os.O_CREAT | os.O_WRONLY)
child = os.fork()
if child == 0:
    os.dup2(os.open("/dev/fuse", os.O_RDWR), 50)
    time.sleep(1000)
print(os.getpid(), child, held, flush=True)
sys.stdin.close()
time.sleep(1000)
PY
disown
wait_until test -s long-pid
read -r parent child held <long-pid
expect_status 0 mooring files -t "$parent"
pid=$parent
look "$held"
expect_equal "$class" unsupported "the class of a file whose path is too long"
expect_status 0 mooring files -t "$parent" --inherit-fd "fd[$child/50]:fuse" --skip-file "$held"
look 50 "$child"
expect_equal "$class" "external fuse" "the class of a child's descriptor"
kill -KILL "$parent" "$child"
wait_until is_gone "$parent"
rm -rf /var/tmp/mooring-long-*

test_case "a second dump: what plugins kept for the first does not answer"
rm -rf images
plugin_folder device-current
hold_files 3=open:/fuse,rdwr
dump_and_end --files -L "$folder"
cp "$plugins/anonymous.so" "$folder/z-anonymous.so"
hold_files 3=userfaultfd
expect_status 0 mooring dump -t "$pid" -D images --files -L "$folder"
use_files -L "$folder" -- show
expect_used '3 anonymous .*'
expect_status 0 mooring dump -t "$pid" -D images
[ ! -e images/files.img ] || fail "the files of a former dump are in images without"
expect_status 0 mooring dump -t "$pid" -D images --only mounts,files -L "$folder"
[ -e images/files.img ] || fail "--only files saves no files"
end_process "$pid"
MOORING_FDS=stale use_files --only mounts -- show
expect_used 'no MOORING_FDS'

test_case "a socket that listens"
rm -rf images
hold_files 3=listen:/tmp/listener 4=listen:@name,seqpacket
expect_status 0 mooring dump -t "$pid" -D images --files
rm -r images
expect_status 2 mooring dump -t "$pid" -D images --files --listening
expect_error_has '--skip-file 3'
expect_error_has '--skip-file 4'
dump_and_end --files --listening --inherit-fd 'fd[3]:listener' --skip-file 4
crit_reads
use_files --inherit-fd 'fd[7]:listener' -- show 7<>/dev/zero
expect_used 'MOORING_FDS=3=listener'

test_case "--skip-file at restore"
rm -rf images
plugin_folder device-current
hold_files 3=open:/fuse,rdwr 4=dup:3 5=open:/loop-control,rdwr 6=userfaultfd
dump_and_end --files -L "$folder" --inherit-fd 'fd[6]:fault'
use_files -L "$folder" --skip-file 6 --skip-file 3 -- show
expect_used '5 char:10:237 .*'
expect_used 'MOORING_FDS=5=file:.*'
use_files --skip-file char --skip-file 6 -- show
expect_used 'no MOORING_FDS'

test_case "the plugin that is needed is missing"
rm -rf images count
start_server
plugin_folder device-current socket-current
hold_files 3=open:/fuse,rdwr 4=client:"$work/server",dgram
dump_and_end --files -L "$folder"
remember_host "$root"
expect_status 125 mooring restore -D images -r "$root" -- /use-files show
expect_error_has '-L'
plugin_folder device-current
expect_status 125 mooring restore -D images -r "$root" -L "$folder" -- /use-files show
expect_error_has socket-current
plugin_folder socket-current
expect_status 125 mooring restore -D images -r "$root" -L "$folder" -- /use-files show
expect_one_sentence
expect_error_has plugin
expect_same_host
end_process "$server"

test_case "a container with a user namespace"
rm -rf images count
start_server
plugin_folder device-current socket-current anonymous
hold_files --userns 3=open:/fuse,rdwr,nonblock 4=client:"$work/server,dgram,send=2" 5=userfaultfd \
  6=open:/tmp/file,create,rdwr 7=outside:"$work/outer-file" 8=pair:a 9=pair:a child 3=dup:3
expect_count 2
expect_status 0 mooring files -t "$pid" -L "$folder"
expect_file 3 char 'external by plugin device-current'
expect_file 6 file 'in the tree'
expect_file 7 file unsupported
expect_file 8 unix 'left to a process restorer'
file=$(key_of 7)
dump_and_end --files -L "$folder" --external "$file"
use_files -L "$folder" --external "$file:$work/other-file" -- show send 4 3 1 read 7
expect_used '3 char:10:229 rdwr,nonblock .*'
expect_used '5 anonymous .*'
expect_used other
expect_count 3
end_process "$server"

test_case "--as-pid-1 and -d with COMMAND"
rm -rf images
plugin_folder device-current
hold_files 3=open:/fuse,rdwr 4=dup:3
dump_and_end --files -L "$folder"
use_files -L "$folder" --as-pid-1 -- show
expect_used 'same 3 4'
rm -f "$root/used"
expect_status 0 mooring restore -D images -r "$root" -L "$folder" -d --pidfile holder-pid \
  -- /use-files --to /used show
wait_until test -s "$root/used"
grep -q '^same 3 4$' "$root/used" || fail "the descriptors of a COMMAND with -d"
holder=$(cat holder-pid)
end_holder

finish
