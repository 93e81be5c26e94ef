#!/bin/sh
# The 18 exercises from 2D poses, by the recipe `rehab-2d`: seen by virtual cameras, from what build.sh left in OUT:
#
#     examples/rehab/build-2d.sh OUT
#
# leaves OUT/rehab-2d.tflite, which judges repetitions, too. The same command continues what was interrupted.
set -eu
test $# -eq 1 || { sed -n '2,6p' "$0"; exit 2; }
out=$1
parts=$out/parts

test -d "$out/data-2d" || asma-data project "$out/data" "$out/data-2d" --layout body13 --cameras 36 --views 24 --vary
# One view of each person, by other draws, for thresholds and quality.
for set in data negatives parts/pool; do
    one=$parts/$(basename "$set")-2d
    test -d "$one" || asma-data project "$out/$set" "$one" --layout body13 --views 1 --test-views 1 --steady --seed 5
done

asma-train run --data "$out/data-2d" --recipe rehab-2d --out "$out/run-2d"
asma-convert "$out/run-2d/student.pt" --output "$out/rehab-2d.tflite"
asma-train quality "$out/rehab-2d.tflite" --data "$parts/pool-2d" --split train --in-place
asma-train calibrate "$out/rehab-2d.tflite" --data "$parts/data-2d" --split train-val --negatives "$parts/negatives-2d" \
    --false-events-per-hour 20 --in-place
