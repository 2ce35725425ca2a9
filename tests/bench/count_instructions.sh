#!/usr/bin/env bash
# Counts the instructions that one piece of work takes, a message or a call: the difference between two runs of a
# program under callgrind, divided by the pieces that one did more than the other. Exit code 77 where there's no
# valgrind.
#
#   count_instructions.sh PROGRAM MOST    runs PROGRAM PIECES
set -euo pipefail
program=$1 most=$2

if ! command -v valgrind >/dev/null; then
  echo "skipped: valgrind is not installed"
  exit 77
fi

# instructions PIECES: of the whole program.
instructions() {
  local report
  report=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 2>&1) || {
    echo "$report" >&2
    return 1
  }
  sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' <<<"$report"
}

few=$(instructions 1000)
many=$(instructions 21000)
each=$(((many - few) / 20000))
echo "${program##*/}: $each instructions a piece; at most $most are allowed"
[ "$each" -gt 0 ] && [ "$each" -le "$most" ]
