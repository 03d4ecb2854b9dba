#!/usr/bin/env bash
# Usage: bash tools/quickstart.sh [WORK_DIR] [--data DIR] [--first N]
#
# From nothing to a trained visible-infrared detector and pictures of what it finds, on a plain laptop:
# installs, draws sample scenes, captions them, trains configs/slgnet_mini.py, tests, and plots. It needs
# about 15 minutes on two CPU cores after the installation. Run it again to go on where it stopped.
#
#   WORK_DIR     where everything goes [work_dirs/quickstart]
#   --data DIR   your own pairs in the place of the sample scenes. DIR holds visible/, infrared/,
#                annotations_train.json and annotations_test.json (COCO form; file_name is the visible
#                image, file_name_ir the infrared one where its name differs).
#   --first N    train and test on the first N training pairs alone: what learns these is put together
#                rightly, and says nothing about other pairs
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
    for wanted in visible infrared annotations_train.json annotations_test.json; do
        [ -e "$DATA/$wanted" ] || die "$DATA/$wanted: missing; --data wants visible/, infrared/, annotations_train.json and annotations_test.json"
    done
    DATA=$(cd "$DATA" && pwd)
fi
mkdir -p "$WORK_DIR"
WORK_DIR=$(cd "$WORK_DIR" && pwd)

step "1/6 install"
bash "$ROOT/tools/install.sh"
PYTHON=$(bash "$ROOT/tools/install.sh" --print-python)
START=$SECONDS
cd "$ROOT"
export MPLBACKEND=Agg

step "2/6 pairs"
if [ -z "$DATA" ]; then
    DATA=$WORK_DIR/sample_scenes
    "$PYTHON" tools/make_sample_scenes.py "$DATA" --sheet "$WORK_DIR/sample_scenes.png"
else
    echo "$DATA"
fi

export MMSLG_DATA=$DATA MMSLG_TRAIN=$DATA/annotations_train.json MMSLG_TEST=$DATA/annotations_test.json
if [ -n "$FIRST" ]; then
    "$PYTHON" tools/subset_annotations.py "$MMSLG_TRAIN" --first "$FIRST" --out "$WORK_DIR/first_$FIRST.json"
    MMSLG_TRAIN=$WORK_DIR/first_$FIRST.json
    MMSLG_TEST=$MMSLG_TRAIN
fi

step "3/6 captions"
rm -f "$WORK_DIR"/captions.jsonl.partial*  # of an interrupted run; these captions take seconds
"$PYTHON" tools/captions/generate.py "$DATA/annotations_train.json" "$DATA/annotations_test.json" \
    --captioner photometric --out "$WORK_DIR/captions.jsonl"
"$PYTHON" tools/captions/encode.py "$WORK_DIR/captions.jsonl" --encoder hashed --out "$WORK_DIR/captions.safetensors"

step "4/6 training"
# The classes as the annotations order them, and a scale that fits the pairs: large ones in smaller batches.
read -r MMSLG_SCALE MMSLG_BATCH MMSLG_CLASSES < <("$PYTHON" - "$MMSLG_TRAIN" << 'END'
import json
import sys

with open(sys.argv[1], encoding='utf-8') as file:
    data = json.load(file)
areas = sorted(image['width'] * image['height'] for image in data['images'])
large = areas[len(areas) // 2] > 1.5 * 320 * 256
print('512x384 2' if large else '320x256 4', ','.join(category['name'] for category in data['categories']))
END
)
echo "classes $MMSLG_CLASSES; pairs scaled to $MMSLG_SCALE, $MMSLG_BATCH in a batch"
export MMSLG_CAPTIONS=$WORK_DIR/captions.safetensors MMSLG_CLASSES MMSLG_SCALE MMSLG_BATCH
"$PYTHON" tools/train.py configs/slgnet_mini.py --work-dir "$WORK_DIR/train" --resume

step "5/6 test"
CHECKPOINT=$(cat "$WORK_DIR/train/last_checkpoint")
"$PYTHON" tools/test.py configs/slgnet_mini.py "$CHECKPOINT" --work-dir "$WORK_DIR/test"

step "6/6 pictures"
"$PYTHON" tools/analysis/plot_curves.py "$WORK_DIR/train" --out "$WORK_DIR/curves.png"
"$PYTHON" tools/analysis/draw_predictions.py configs/slgnet_mini.py "$CHECKPOINT" --out "$WORK_DIR/predictions"

echo
echo "done in $(((SECONDS - START) / 60)) min $(((SECONDS - START) % 60)) s after the installation"
echo "  model        $CHECKPOINT"
echo "  its config   $WORK_DIR/train/slgnet_mini.py"
echo "  curves       $WORK_DIR/curves.png"
echo "  predictions  $WORK_DIR/predictions/"
