#!/usr/bin/env bash
# Checks one Promela model with spin: run_model.sh right|mutant MODEL.pml [-DNAME[=VALUE]...]
# `right`: the whole state space has no error. `mutant`: an error is found. With KEEP=DIR the checker and the trace
# stay in DIR. 77: skipped.
set -euo pipefail

expected="$1"
model="$(realpath "$2")"
shift 2
for tool in spin gcc; do
  command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done

if [ -n "${KEEP:-}" ]; then
  mkdir -p "$KEEP"
  cd "$KEEP"
else
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  cd "$work"
fi
cp "$model" model.pml
spin "$@" -a model.pml
# No cycle is possible: every run of a model ends, so that a missed wake-up or a hang is an invalid end state.
[ "$expected" = right ] && optimise=-O2 || optimise=-O0  # a mutant's error is found in no time
gcc "$optimise" -w -DSAFETY -DVECTORSZ=2048 -DCOLLAPSE -DMEMLIM=2000 -o pan pan.c
./pan -m100000 -w24 | grep -v unreached >pan.out || true

grep -E '^pan:|errors:|states, stored' pan.out || true
if grep -qE 'max search depth too small|out of memory' pan.out; then
  echo "the search was cut short" >&2
  exit 1
fi
case "$expected" in
  right) grep -q 'errors: 0' pan.out && ! grep -q 'not completed' pan.out ;;
  mutant) grep -qE 'errors: [1-9]' pan.out ;;
  *) echo "expected right or mutant, got $expected" >&2; exit 2 ;;
esac
