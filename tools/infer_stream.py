r"""Detect in a pair of videos, folders of numbered images, or cameras.

Examples:
    python tools/infer_stream.py CONFIG CHECKPOINT --rgb visible.mp4 --ir infrared.mp4 --track \
        --video found.mp4 --jsonl found.jsonl
    python tools/infer_stream.py CONFIG CHECKPOINT --rgb rtsp://camera/1 --ir rtsp://camera/2 \
        --captioner openai --captioner-options model=Qwen/Qwen2.5-VL-7B-Instruct --caption-every 2s \
        --encoder open_clip --encoder-options model=ViT-B-16-quickgelu pretrained=openai --csv found.csv
"""

import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from mmslg.utils import cli


def main() -> None:
    """Detect in the stream."""
    from mmslg.streams.command import detect_in_stream  # here: the captioner's process reads this file too

    detect_in_stream(__doc__)


if __name__ == '__main__':
    cli.run(main)
