#!/usr/bin/env bash
# Usage: bash tools/quickstart.sh [WORK_DIR] [--data DIR] [--first N]
#
# From nothing to a trained visible-infrared detector and pictures of what it finds, on a plain laptop:
# installs, draws sample scenes, captions them, trains configs/slgnet_mini.py, tests, and plots. It needs
# about 15 minutes on two CPU cores after the installation. Run it again to go on where it stopped.
#
#   WORK_DIR     where everything goes, each dataset into a folder of its own [work_dirs/quickstart]
#   --data DIR   your own pairs in the place of the sample scenes. DIR holds visible/, infrared/,
#                annotations_train.json and annotations_test.json in COCO form, as tools/convert.py writes
#                them from YOLO, VOC and COCO labels.
#   --first N    train and test on the first N training pairs alone: a model that cannot overfit these is
#                not put together rightly; one that can says nothing about other pairs
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
START=$SECONDS

die() {
    echo "error: $*" >&2
    exit 1
}

step() {
    echo
    echo "== $* ($((SECONDS - START)) s)"
}

WORK_DIR=
DATA=
FIRST=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help)
            sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p;}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --data)
            [ $# -ge 2 ] || die "--data wants a folder"
            DATA=$2
            shift 2
            ;;
        --first)
            [ $# -ge 2 ] || die "--first wants a number"
            FIRST=$2
            shift 2
            ;;
        -*) die "unknown option $1; see --help" ;;
        *)
            [ -z "$WORK_DIR" ] || die "one WORK_DIR at most, got $WORK_DIR and $1"
            WORK_DIR=$1
            shift
            ;;
    esac
done
WORK_DIR=${WORK_DIR:-$ROOT/work_dirs/quickstart}
if [ -n "$DATA" ]; then
    for wanted in annotations_train.json annotations_test.json; do
        [ -e "$DATA/$wanted" ] || die "$DATA/$wanted: missing; --data wants visible/, infrared/, annotations_train.json and annotations_test.json (tools/convert.py writes them)"
    done
    DATA=$(cd "$DATA" && pwd)
fi
case "$FIRST" in *[!0-9]* | 0) die "--first $FIRST: wanted a number from 1" ;; esac
mkdir -p "$WORK_DIR"
WORK_DIR=$(cd "$WORK_DIR" && pwd)

step "1/6 install"
bash "$ROOT/tools/install.sh"
PYTHON=$(bash "$ROOT/tools/install.sh" --print-python)
START=$SECONDS
cd "$ROOT"
export MPLBACKEND=Agg

step "2/6 pairs"
NAME=$(basename "${DATA:-sample_scenes}")
if [ -z "$DATA" ]; then
    DATA=$WORK_DIR/sample_scenes
    "$PYTHON" tools/make_sample_scenes.py "$DATA" --sheet "$WORK_DIR/sample_scenes.png"
fi
TRAIN=$DATA/annotations_train.json TEST=$DATA/annotations_test.json
# A run belongs to its data: other pairs or other labels, another folder.
RUN=$WORK_DIR/$NAME${FIRST:+-first$FIRST}-$(cat "$TRAIN" "$TEST" <(echo "$DATA") | sha256sum | cut -c1-8)
mkdir -p "$RUN"
if [ -n "$FIRST" ]; then
    "$PYTHON" tools/subset_annotations.py "$TRAIN" --first "$FIRST" --out "$RUN/first.json"
    TRAIN=$RUN/first.json TEST=$RUN/first.json
fi
echo "$DATA; this run: $RUN"

step "3/6 captions"
"$PYTHON" tools/captions/generate.py "$DATA/annotations_train.json" "$DATA/annotations_test.json" \
    --captioner photometric --out "$RUN/captions.jsonl" --resume
"$PYTHON" tools/captions/encode.py "$RUN/captions.jsonl" --encoder hashed --out "$RUN/captions.safetensors"

step "4/6 training"
CONFIG=$RUN/slgnet_mini.py
[ -e "$CONFIG" ] || "$PYTHON" tools/new_config.py "$DATA" --train "$TRAIN" --test "$TEST" --captions "$RUN/captions.safetensors" --out "$CONFIG"
if [ -e "$RUN/trained" ]; then
    echo "trained before: $(cat "$RUN/train/last_checkpoint")"
else
    "$PYTHON" tools/train.py "$CONFIG" --work-dir "$RUN/train" --resume
    touch "$RUN/trained"
fi

step "5/6 test"
CHECKPOINT=$(cat "$RUN/train/last_checkpoint")
"$PYTHON" tools/test.py "$CONFIG" "$CHECKPOINT" --work-dir "$RUN/test"

step "6/6 pictures"
"$PYTHON" tools/analysis/plot_curves.py "$RUN/train" --out "$RUN/curves.png"
"$PYTHON" tools/analysis/draw_predictions.py "$CONFIG" "$CHECKPOINT" --out "$RUN/predictions"

echo
echo "done in $(((SECONDS - START) / 60)) min $(((SECONDS - START) % 60)) s after the installation"
echo "  model        $CHECKPOINT"
echo "  its config   $CONFIG"
echo "  curves       $RUN/curves.png"
echo "  predictions  $RUN/predictions/"
