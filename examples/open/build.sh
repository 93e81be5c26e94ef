#!/bin/sh
# Encoders for others to start from, pretrained without labels by the recipe `open`, from prepared data sets in metres:
#
#     examples/open/build.sh OUT IRDS UI_PRMD [MORE ...] [-- OPTIONS OF asma-train run]
#
# leaves OUT/encoders.pt, with a card of its data's credit and licences. Made-up people are added. Sets whose licences do not
# allow to ship what is made of them are refused, but by NAME=open-nc examples/open/build.sh ..., for experiments. The same
# command continues what was interrupted.
set -eu
test $# -ge 2 || { sed -n '2,8p' "$0"; exit 2; }
out=$1; shift
mkdir -p "$out/parts"
while test $# -gt 0 && test "$1" != --; do
    ln -sfn "$(cd "$1" && pwd)" "$out/parts/$(basename "$1")"
    shift
done
test $# -eq 0 || shift

test -d "$out/parts/synthetic" || asma-data synth "$out/parts/synthetic" --people 24 --repeats 3 --recordings 0
test -d "$out/parts/everyday" || asma-data synth "$out/parts/everyday" --everyday --people 30 --repeats 8 --recordings 0
test -n "${NAME:-}" || to_ship=--to-ship
test -d "$out/data" || asma-data pool "$out"/parts/* "$out/data" --layout body13 ${to_ship:-}

asma-train run --data "$out/data" --recipe open --out "$out/run" --set "name=${NAME:-open}" "$@"
asma-train export-encoders "$out/run" "$out/encoders.pt" --data "$out/data"
