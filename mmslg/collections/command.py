"""From a list of pairs to a folder of detections."""

from __future__ import annotations

import argparse
import os

import pyarrow as pa
import pyarrow.compute as pc

from mmslg.apis.configs import read_config
from mmslg.apis.resumption import read_tested
from mmslg.collections.detection_shards import DetectionShards
from mmslg.collections.pair_lists import read_pair_list
from mmslg.collections.ray_detection import detect, ray_started
from mmslg.engine.identity import detection_identity
from mmslg.utils.progress import progress_bar


def detect_collection(args: argparse.Namespace) -> int:
    """Detect in the pairs of a list that a folder lacks.

    Args:
        args: What ``tools/deploy/infer_ray.py`` reads.

    Returns:
        How many pairs of the folder failed.

    Raises:
        InputError: An input cannot be read, or the folder holds detections of another config or checkpoint.
    """
    cfg = read_config(args.config)
    read_tested(cfg, args.checkpoint)
    pairs, unused = read_pair_list(args.pairs)
    if unused:
        print(f'{args.pairs}: columns that are not used: {", ".join(unused)}')
    options = dict(
        config=os.path.abspath(args.config),
        checkpoint=os.path.abspath(args.checkpoint),
        captioner=args.captioner,
        caption_store=os.path.abspath(args.captions) if args.captions else None,
        encoder=args.encoder,
    )
    own = {'--score-thr': args.score_thr, '--captioner': args.captioner, '--encoder': args.encoder}
    identity = detection_identity(cfg, args.checkpoint, args.captions, own)
    with DetectionShards(args.out, identity, args.rows_per_shard) as shards:
        before = len(shards.done)
        there = pc.is_in(pairs['id'], value_set=pa.array(sorted(shards.done), pa.string()))
        left = pairs.filter(pc.invert(there))
        strangers = before - (pairs.num_rows - left.num_rows)
        if before:
            print(f'{args.out}: holds {before} pairs, {strangers} of them not in {args.pairs}')
        if left.num_rows:
            bar = progress_bar(left.num_rows, 'pairs')

            def add(rows: pa.Table) -> None:
                shards.add(rows)
                bar.update(rows.num_rows)

            with ray_started(args.address, args.workers):
                detect(
                    left, options, add, args.workers, args.gpus_per_worker, args.batch_size, args.score_thr
                )
    print(f'{args.out}: {len(shards.done)} pairs, {len(shards.done) - before} of them new')
    return shards.failed
