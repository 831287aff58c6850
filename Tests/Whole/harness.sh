# shellcheck shell=bash
# What the tests of the whole command share: source it first.
#
# A test file runs again inside namespaces of its own (mounts, processes, IPC, network), so that the machine's
# are never touched, everything ends with it, and host-state sees nobody else's processes. There:
#
#   $mooring    the built command (also `mooring` in PATH)       $work     a directory to work in
#   $tools      make-tree, hold-files, …                         $plugins  the fixture plugins, built
#   $fixtures   the repository's fixtures                        $scripts  its scripts
#
# MOORING_TOOLS is a folder with tools and plugins that are built already.
#
# A case that some kernel cannot pass says what it needs (`needs FEATURE || return`, or `has FEATURE`): `mooring
# check` is asked, which knows what the kernel here can do. What is skipped is named and counted.
#
# Every file calls `finish` last, which prints "N skipped: NAME ..." where there are any, and "N passed, N failed".
set -eu -o pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scripts=$repository/scripts
fixtures=$repository/fixtures

cannot_run() {
  if [ "${MOORING_REQUIRE_KERNEL:-}" = 1 ]; then
    echo "$(basename "$0"): $1" >&2
    echo "0 passed, 1 failed"
    exit 1
  fi
  echo "$(basename "$0"): skipped: $1"
  echo "0 passed, 0 failed"
  exit 0
}

# The outer run: builds what is missing, enters the namespaces, cleans up after them.
if [ -z "${MOORING_SANDBOX:-}" ]; then
  [ "$(id -u)" = 0 ] || cannot_run "wants root"
  MOORING=$("$scripts/built-command")
  # On a disk, as the roots of containers are.
  sandbox=$(mktemp -d "${TMPDIR:-/var/tmp}/mooring-test-XXXXXX")
  # Users of a container's user namespace walk through it.
  chmod 755 "$sandbox"
  trap 'rm -rf --one-file-system "$sandbox"' EXIT
  if [ -n "${MOORING_TOOLS:-}" ]; then
    cp -a "$MOORING_TOOLS/tools" "$MOORING_TOOLS/plugins" "$sandbox/"
  else
    "$scripts/build-tools" "$sandbox/tools"
    "$scripts/build-plugins" "$sandbox/plugins" >"$sandbox/log" 2>&1 || {
      cat "$sandbox/log" >&2
      exit 1
    }
  fi
  chmod -R go-w "$sandbox/plugins"
  mkdir "$sandbox/tmp"
  status=0
  MOORING_SANDBOX=$sandbox MOORING=$MOORING \
    unshare --mount --pid --ipc --uts --net --fork --kill-child --mount-proc --propagation private \
    bash "$0" "$@" || status=$?
  exit "$status"
fi

mooring=$MOORING
tools=$MOORING_SANDBOX/tools
plugins=$MOORING_SANDBOX/plugins
work=$MOORING_SANDBOX/work
mkdir -p "$work"
export TMPDIR=$MOORING_SANDBOX/tmp
# Nobody else's files in /tmp, unless the checkout itself is there.
case " $MOORING_SANDBOX $repository $mooring" in
*" /tmp/"*) ;;
*) mount --bind "$TMPDIR" /tmp ;;
esac
PATH=$(dirname "$mooring"):$tools:$PATH
unset CRIU_LIBS_DIR
export SWIFT_BACKTRACE=enable=no
cd "$work"

# Emulated processors are slower: time limits are this many times as long.
slowness=${MOORING_SLOWNESS:-1}

passed=0
failed=0
skipped_cases=()
case_name=''
case_failed=no
status=0

conclude() {
  [ -n "$case_name" ] || return 0
  if [ "$case_failed" = yes ]; then
    failed=$((failed + 1))
  else
    passed=$((passed + 1))
    echo "ok: $case_name"
  fi
  case_name=''
}

test_case() {
  conclude
  case_name=$1
  case_failed=no
}

fail() {
  case_failed=yes
  echo "FAILED: $case_name: $*"
}

# Takes the case that has begun out of the count, and names it at the end.
skip_case() {
  skipped_cases+=("$case_name")
  echo "skipped: $case_name: $1"
  case_name=''
}

# Whether the kernel here, these rights and these programs have a feature of `mooring check --json`. A name
# that it does not know ends the file.
has() {
  local answer
  [ -s "$MOORING_SANDBOX/abilities" ] || "$mooring" check --json >"$MOORING_SANDBOX/abilities" || true
  answer=$(python3 -c 'import json, sys
for ability in json.load(open(sys.argv[1]))["abilities"]:
  if ability["feature"] == sys.argv[2]: print("no" if "missing" in ability else "yes")' \
    "$MOORING_SANDBOX/abilities" "$1")
  case $answer in
  yes) return 0 ;;
  no) return 1 ;;
  *)
    echo "FAILED: $case_name: mooring check knows no feature $1"
    exit 1
    ;;
  esac
}

# Begins a case that needs a feature: passes if it is there, else skips the case.
needs() {
  has "$1" && return 0
  skip_case "mooring check says that $1 is missing here"
  return 1
}

# What the last command said, for whoever reads a failure.
show_output() {
  [ ! -s "$work/out" ] || head -n 25 "$work/out" | sed 's/^/    out: /'
  [ ! -s "$work/err" ] || head -n 25 "$work/err" | sed 's/^/    err: /'
}

finish() {
  conclude
  [ ${#skipped_cases[@]} = 0 ] || echo "$(basename "$0"): ${#skipped_cases[@]} skipped: ${skipped_cases[*]}"
  echo "$(basename "$0"): $passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

# Runs a command with a time limit; its status is in $status, what it said in $work/out and $work/err.
run() {
  status=0
  timeout -k 5 "$((${time_limit:-60} * slowness))" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

expect_status() {
  local wanted=$1
  shift
  run "$@"
  if [ "$status" -ne "$wanted" ]; then
    fail "exit status $status, not $wanted: $*"
    show_output
    return 0
  fi
}

expect_output_has() {
  grep -qF -e "$1" "$work/out" || { fail "standard output lacks: $1"; show_output; }
}

expect_output_lacks() {
  ! grep -qF -e "$1" "$work/out" || { fail "standard output has: $1"; show_output; }
}

expect_error_has() {
  grep -qF -e "$1" "$work/err" || { fail "standard error lacks: $1"; show_output; }
}

# One sentence a person can act on: one line, no trace of a crash, no doubled words of a wrapper.
expect_one_sentence() {
  local lines
  lines=$(grep -c . "$work/err") || true
  if [ "$lines" -ne 1 ]; then
    fail "$lines lines on standard error, not one"
    show_output
  elif grep -qE 'Fatal error|Swift/|Segmentation|Optional\(' "$work/err"; then
    fail "that is no sentence for a person"
    show_output
  fi
}

expect_equal() {
  [ "$1" = "$2" ] || fail "${3:-values}: '$1', not '$2'"
}

remember_host() {
  host_directories=("$@")
  "$scripts/host-state" "$@" >"$MOORING_SANDBOX/host-before"
}

# What was started may still be ending: it gets two seconds.
expect_same_host() {
  local attempt
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    "$scripts/host-state" "${host_directories[@]}" >"$MOORING_SANDBOX/host-after"
    if cmp -s "$MOORING_SANDBOX/host-before" "$MOORING_SANDBOX/host-after"; then return 0; fi
    [ "$attempt" -ge 3 ] || continue
    sleep 0.25
  done
  fail "the host is not as it was"
  diff "$MOORING_SANDBOX/host-before" "$MOORING_SANDBOX/host-after" | head -n 15 | sed 's/^/    /' || true
}

# Whether a process has ended (a zombie has).
is_gone() {
  ! grep -q '^State:[[:space:]]*[^ZX]' "/proc/$1/status" 2>/dev/null
}

wait_until() {
  local attempt
  for attempt in $(seq 1 $((200 * slowness))); do
    if "$@"; then return 0; fi
    sleep 0.05
  done
  fail "waited for nothing: $* (attempt $attempt)"
  return 0
}

end_process() {
  kill -KILL "$1" 2>/dev/null || true
  wait_until is_gone "$1"
}

# Starts a container with make-tree's options: $pid, $root.
make_tree() {
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir "$root"
  "$tools/make-tree" "$@" "$root" "$work/tree-pid" || return 1
  pid=$(cat "$work/tree-pid")
}

# A container whose processes hold open files, by hold-files' options and list: $pid, $root.
hold_files() {
  new_root
  start_holding "$@"
}

# In it are use-files, and two devices that do nothing by themselves: /fuse (10:229) and /loop-control (10:237).
new_root() {
  root=$work/root
  rm -rf --one-file-system "$root"
  mkdir "$root"
  cp "$tools/use-files" "$root/"
  mknod -m 666 "$root/fuse" c 10 229
  mknod -m 666 "$root/loop-control" c 10 237
}

start_holding() {
  local options=()
  while [ "${1#--}" != "$1" ]; do
    options+=("$1")
    shift
  done
  rm -f tree-pid
  "$tools/hold-files" "${options[@]}" "$root" "$work/tree-pid" "$@"
  pid=$(cat tree-pid)
}

# Runs a command with its standard streams on /dev/null, and nothing else of what this shell was given.
without_descriptors() {
  python3 -c 'import os, sys
os.closerange(3, 1 << 16)
os.execvp(sys.argv[1], sys.argv[1:])' "$@" >/dev/null 2>&1 </dev/null
}

# Restores images/ for use-files: options of the restore, --, actions. What it printed is in $work/out.
use_files() {
  local given=()
  while [ "$1" != -- ]; do
    given+=("$1")
    shift
  done
  shift
  expect_status 0 mooring restore -D images -r "$root" "${given[@]}" -- /use-files "$@"
}

# A counting server outside, with its options: $server. It goes on from $work/count.
start_server() {
  rm -f server-pid
  counting-server "$@" "$work/server" "$work/count" "$work/server-pid"
  server=$(cat server-pid)
}

# The server has written what it counted: $1 in all.
expect_count() {
  wait_until grep -qx "$1.*" count
  expect_equal "$(cat count)" "$1" "the server's count"
}

# What mappings call the file at a descriptor of $pid.
key_of() {
  local inode
  inode=$(stat -Lc %i "/proc/$pid/fd/$1")
  if [ -S "/proc/$pid/fd/$1" ]; then
    echo "unix[$inode]"
  else
    printf 'file[%x:%x]\n' "$(sed -n 's/^mnt_id:[^0-9]*//p' "/proc/$pid/fdinfo/$1")" "$inode"
  fi
}

# A folder with the named plugins: $folder.
plugin_folder() {
  local name
  folder=$work/plugin-folder
  rm -rf "$folder"
  mkdir -m 755 "$folder"
  for name in "$@"; do cp "$plugins/$name.so" "$folder/"; done
  chmod -R go-w "$folder"
}

# Dumps $pid into images/, ends the container; more options may follow.
dump_and_end() {
  rm -rf images
  expect_status 0 mooring dump -t "$pid" -D images "$@"
  end_process "$pid"
}

# Restores images/ into $root and keeps it: $holder. More options may follow.
restore_detached() {
  rm -f holder-pid
  holder=''
  expect_status 0 mooring restore -D images -r "$root" -d --pidfile holder-pid "$@"
  if [ -s holder-pid ]; then
    holder=$(cat holder-pid)
  else
    fail "no pidfile"
  fi
}

end_holder() {
  [ -z "$holder" ] || end_process "$holder"
  holder=''
}

# Dump, end, restore, verify, end.
round_trip() {
  dump_and_end
  [ "$case_failed" = no ] || return 0
  restore_detached
  [ -n "$holder" ] || return 0
  expect_status 0 mooring verify -D images -t "$holder"
  end_holder
}
