"""Detect in pairs with an exported model; needs onnxruntime, NumPy and OpenCV, and nothing of this project.

Copy this file beside the model. Reading, 16-bit infrared and resizing are those of the test pipeline.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np


class Model:
    """An exported detector.

    Args:
        path: File that tools/deploy/export.py wrote.
        providers: Execution providers of onnxruntime, such as CUDAExecutionProvider; None takes all.

    Example:
        >>> model = Model('model.onnx')
        >>> boxes, scores, labels = model(read_pair('visible.jpg', 'infrared.png', model.window))
    """

    def __init__(self, path, providers=None):
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(f'{error}; run: pip install onnxruntime') from None
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')  # idle threads sleep
        providers = providers or onnxruntime.get_available_providers()
        if not Path(path).is_file():
            raise ValueError(f'{path}: no such file, wanted what tools/deploy/export.py wrote')
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its own kinds have no name in common
            reason = str(error).strip().splitlines()[0][:200]
            raise ValueError(f'{path}: onnxruntime cannot load it: {reason}') from None
        facts = self.session.get_modelmeta().custom_metadata_map
        if 'input_size' not in facts:
            raise ValueError(f'{path}: not written by tools/deploy/export.py, its metadata has no input_size')
        self.facts = {name: json.loads(value) for name, value in facts.items()}
        if self.facts['part'] != 'detector':
            raise ValueError(f'{path}: holds {self.facts["part"]} alone, so it finds nothing by itself')
        self.classes = self.facts['classes']
        self.window = self.facts['infrared_window']
        self.names = [entry.name for entry in self.session.get_inputs()]

    def resized(self, width, height):
        """Return the size that the test pipeline gives an image."""
        scale = self.facts['scale']
        if not self.facts['keep_ratio']:
            return tuple(scale)
        factor = min(max(scale) / max(width, height), min(scale) / min(width, height))
        return int(width * factor + 0.5), int(height * factor + 0.5)

    def __call__(self, pair, text=None):
        """Detect in one pair.

        Args:
            pair: Image (H, W, 4) uint8 as B, G, R, IR.
            text: Embedding of a caption, (4, d) or (4, L, d); None is the neutral one, zeros.

        Returns:
            Boxes (N, 4) as x1, y1, x2, y2 in pixels of the image, scores (N,), labels (N,).
        """
        height, width = pair.shape[:2]
        size, fixed = self.resized(width, height), tuple(self.facts['input_size'])
        if size != fixed:
            raise ValueError(
                f'the pair is {width}x{height} pixels, which becomes {size[0]}x{size[1]}; this model is for '
                f'pairs that become {fixed[0]}x{fixed[1]}: export one with --size {width}x{height}'
            )
        image = cv2.resize(pair, size, interpolation=cv2.INTER_LINEAR) if size != (width, height) else pair
        inputs = [image[..., :3], image[..., 3]]
        if 'text' in self.names:
            shape = self.facts['text_shape']
            inputs.append(np.zeros(shape, np.float32) if text is None else text.astype(np.float32))
            if inputs[2].shape != tuple(shape):
                raise ValueError(f'the caption embedding is {inputs[2].shape}, wanted {tuple(shape)}')
        copies = self.facts['batch'] if isinstance(self.facts['batch'], int) else 1
        batch = {name: np.stack([value] * copies) for name, value in zip(self.names, inputs)}
        boxes, scores, labels = (output[0] for output in self.session.run(None, batch))
        found = labels >= 0
        factors = np.array([size[0] / width, size[1] / height] * 2, np.float32)
        return boxes[found] / factors, scores[found], labels[found]


def read_pair(visible, infrared, window=None):
    """Read both images and stack them as B, G, R, IR, (H, W, 4) uint8.

    Args:
        visible: File.
        infrared: File of 8 or 16 bits.
        window: For 16 bits, the raw counts that become 0 and 255; None takes the image's percentiles.
    """
    bgr = _read(visible, cv2.IMREAD_COLOR)
    ir = _read(infrared, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if ir.ndim == 3:
        ir = cv2.cvtColor(ir, cv2.COLOR_BGR2GRAY)
    if ir.dtype != np.uint8 or window is not None:
        low, high = np.percentile(ir, (0.1, 99.9)) if window is None else window
        scaled = (ir.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
        ir = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    if bgr.shape[:2] != ir.shape:
        raise ValueError(
            f'{infrared}: the infrared image is {ir.shape[1]}x{ir.shape[0]} pixels, the visible one '
            f'{bgr.shape[1]}x{bgr.shape[0]}; register and resize the pair to one size first'
        )
    return np.dstack([bgr, ir])


def _read(path, flags):
    if not Path(path).is_file():
        raise ValueError(f'{path}: no such file')
    image = cv2.imdecode(np.fromfile(path, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f'{path}: cannot be decoded as an image')
    return image


def draw(pair, boxes, scores, labels, classes):
    """Return both images side by side with the boxes on both."""
    pages = [pair[..., :3].copy(), np.repeat(pair[..., 3:], 3, 2)]
    for box, score, label in zip(boxes.round().astype(int).tolist(), scores, labels):
        for page in pages:
            cv2.rectangle(page, box[:2], box[2:], (0, 200, 255), 1, cv2.LINE_AA)
            text = f'{classes[label]} {score:.2f}'
            cv2.putText(page, text, (box[0], max(box[1] - 3, 9)), 0, 0.4, (0, 200, 255), 1, cv2.LINE_AA)
    return np.hstack(pages)


def main():
    """Detect and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', help='.onnx file')
    parser.add_argument('--rgb', nargs='+', required=True, metavar='FILE', help='visible images')
    parser.add_argument(
        '--ir', nargs='+', required=True, metavar='FILE', help='infrared images, in that order'
    )
    parser.add_argument('--text', metavar='FILE', help='.npy with the embedding of a caption [neutral]')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='S', help='lowest score shown [0.3]')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for pictures')
    args = parser.parse_args()
    if len(args.rgb) != len(args.ir):
        raise ValueError(f'--rgb has {len(args.rgb)} files, --ir {len(args.ir)}; wanted as many')
    model = Model(args.model)
    text = None if args.text is None else np.load(args.text, allow_pickle=False)
    if text is None and 'text' in model.names:
        print('captions: none given, the neutral one (zeros)', file=sys.stderr)
    for visible, infrared in zip(args.rgb, args.ir):
        pair = read_pair(visible, infrared, model.window)
        found = model(pair, text)
        boxes, scores, labels = (values[found[1] >= args.score_thr] for values in found)
        rows = [
            {'class': model.classes[label], 'box': box, 'score': round(float(score), 4)}
            for box, score, label in zip(boxes.round(2).tolist(), scores, labels)
        ]
        print(json.dumps({'visible': visible, 'infrared': infrared, 'detections': rows}))
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            target = args.out / f'{Path(visible).stem}.png'
            cv2.imwrite(str(target), draw(pair, boxes, scores, labels, model.classes))


if __name__ == '__main__':
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
