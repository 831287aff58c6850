#!/bin/bash
# A fixed sample of scripts/faults: calls that fail, and kills, in the middle of dumps and restores.
set -eu
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ "$(id -u)" != 0 ]; then
  if [ "${MOORING_REQUIRE_KERNEL:-}" = 1 ]; then
    echo "faults.sh: wants root" >&2
    echo "0 passed, 1 failed"
    exit 1
  fi
  echo "faults.sh: skipped: wants root"
  echo "0 passed, 0 failed"
  exit 0
fi
passed=0
failed=0
for tree in small rich; do
  for operation in dump restore; do
    if "$repository/scripts/faults" --sample --tree "$tree" --operation "$operation"; then
      passed=$((passed + 1))
      echo "ok: $tree $operation"
    else
      failed=$((failed + 1))
      echo "FAILED: $tree $operation"
    fi
  done
done
echo "faults.sh: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
