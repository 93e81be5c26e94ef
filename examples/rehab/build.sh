#!/bin/sh
# A model of 18 exercises, by the recipe `rehab`, from IntelliRehabDS and UI-PRMD as prepared data sets (asma-data import):
#
#     examples/rehab/build.sh IRDS UI_PRMD OUT
#
# leaves OUT/rehab.tflite, which judges repetitions, too, and beside it what it was made of. The same command continues what
# was interrupted.
set -eu
test $# -eq 3 || { sed -n '2,7p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
irds=$(cd "$1" && pwd) ui_prmd=$(cd "$2" && pwd) out=$3
parts=$out/parts
mkdir -p "$parts"

ln -sfn "$irds" "$parts/irds"
test -d "$parts/ui_prmd" || asma-data sides "$ui_prmd" "$parts/ui_prmd" --classes "standing shoulder abduction"
test -d "$parts/synthetic" || asma-data synth "$parts/synthetic" --people 24 --repeats 3 --recordings 0
test -d "$parts/everyday" || asma-data synth "$parts/everyday" --everyday --people 30 --repeats 8 --recordings 0
test -d "$parts/pool" || asma-data pool "$parts/irds" "$parts/ui_prmd" "$parts/synthetic" "$parts/everyday" "$parts/pool" \
    --layout body13 --labels "$here/classes.toml" --to-ship
test -d "$out/data" || asma-data others "$parts/pool" "$out/data" --each 45
# Other draws of what is none of the classes, for the thresholds of events.
test -d "$parts/others" || asma-data others "$parts/pool" "$parts/others" --each 12 --seed 1
test -d "$out/negatives" || asma-data pool "$parts/others" "$out/negatives" --layout body13 --labels "$here/negatives.toml"

asma-train run --data "$out/data" --recipe rehab --out "$out/run"
asma-convert "$out/run/student.pt" --output "$out/rehab.tflite"
asma-train quality "$out/rehab.tflite" --data "$parts/pool" --split train --in-place
asma-train calibrate "$out/rehab.tflite" --data "$out/data" --split train-val --negatives "$out/negatives" \
    --false-events-per-hour 20 --in-place
