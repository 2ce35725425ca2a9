#!/usr/bin/env bash
# Counts the instructions that one 64-byte message takes, posted and received: the difference between two runs under
# callgrind, divided by the messages that one had more than the other. Exit code 77 where there's no valgrind.
#
#   count_instructions.sh POST_AND_RECEIVE MOST
set -euo pipefail
program=$1 most=$2

if ! command -v valgrind >/dev/null; then
  echo "skipped: valgrind is not installed"
  exit 77
fi

# instructions MESSAGES: of the whole program.
instructions() {
  local report
  report=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 64 2>&1) || {
    echo "$report" >&2
    return 1
  }
  sed -n 's/.*Collected : *\([0-9]*\).*/\1/p' <<<"$report"
}

few=$(instructions 1000)
many=$(instructions 101000)
each=$(((many - few) / 100000))
echo "$each instructions for a 64-byte message, posted and received; at most $most are allowed"
[ "$each" -gt 0 ] && [ "$each" -le "$most" ]
