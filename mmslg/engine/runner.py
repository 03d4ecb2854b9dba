"""MMEngine's runner, with its weak doors shut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from mmslg.engine.checkpoint_report import fit_to_model
from mmslg.engine.checkpoints import read_checkpoint
from mmslg.engine.main_process import from_main_process
from mmslg.engine.run_facts import batch_facts
from mmslg.engine.train_loops import EpochLoop, IterLoop
from mmslg.engine.trunk_state import build_for, leave_out
from mmslg.errors import InputError
from mmslg.models.autocast import limit_autocast
from mmslg.models.compilation import compile_features
from mmslg.models.modules import bare_model, gpu_alone
from mmslg.utils.config_errors import explain_config_errors
from mmslg.utils.io import atomic_path

_TRAIN_LOOPS = {'EpochBasedTrainLoop': EpochLoop, 'IterBasedTrainLoop': IterLoop}


class PairRunner(Runner):
    """Builds, loads and saves as :class:`mmengine.runner.Runner`, and fails in one line.

    Mistakes in the config are named with their key; a checkpoint is data and runs no code; one that cannot
    be written (a full disk) leaves nothing under its name.
    """

    def build_model(self, model: Any) -> Any:
        """Build the model; the trunk's own file is not read if the checkpoint to load holds the trunk."""
        with explain_config_errors(self.cfg):
            if isinstance(model, nn.Module) or not self._load_from:
                return limit_autocast(super().build_model(model))
            return limit_autocast(
                build_for(from_main_process(self._shapes_to_load), model, super().build_model)
            )

    def _shapes_to_load(self) -> dict[str, tuple]:
        state = read_checkpoint(self._load_from, 'meta')['state_dict']
        return {name: tuple(value.shape) for name, value in state.items()}

    def wrap_model(self, *args, **kwargs) -> nn.Module:
        """Wrap the model for its processes; with ``compile=True`` its backbone and necks run compiled."""
        model = super().wrap_model(*args, **kwargs)
        setting = self.cfg.get('compile')
        if setting:
            with explain_config_errors(self.cfg):
                compile_features(bare_model(model), **(setting if isinstance(setting, dict) else {}))
        return model

    def _maybe_compile(self, target: str) -> None:
        """Compile nothing more: MMEngine would compile the whole step, and not in tests."""

    def register_hooks(self, *args, **kwargs) -> None:
        """Build the hooks."""
        with explain_config_errors(self.cfg):
            super().register_hooks(*args, **kwargs)

    def build_visualizer(self, *args, **kwargs) -> Any:
        """Build the visualizer."""
        with explain_config_errors(self.cfg):
            return super().build_visualizer(*args, **kwargs)

    def train(self) -> nn.Module:
        """Train, where the device can compute the losses.

        Raises:
            InputError: A loss has no kernel for CPUs, and there is no GPU.
        """
        lacking = gpu_alone(self.model) if next(self.model.parameters()).device.type == 'cpu' else []
        if lacking:
            kind, operator = lacking[0]
            raise InputError(
                f'{self.cfg.filename}: {kind} wants a GPU, since mmcv has no {operator} for CPUs; train on '
                'one, or with another loss, as docs/training.md shows under "Heads and trunks"'
            )
        return super().train()

    def build_train_loop(self, loop: Any) -> Any:
        """Build the loop with its dataset, sampler and transforms; MMEngine's two go on exactly here."""
        if isinstance(loop, dict):
            loop = dict(loop)
            if 'type' not in loop:
                loop['type'] = 'EpochBasedTrainLoop' if loop.pop('by_epoch') else 'IterBasedTrainLoop'
            loop['type'] = _TRAIN_LOOPS.get(loop['type'], loop['type'])
        with explain_config_errors(self.cfg):
            built = super().build_train_loop(loop)
        if not isinstance(built, (EpochLoop, IterLoop)):
            self.logger.warning(f'{type(built).__name__} is not known to go on exactly where it was killed')
        return built

    def build_val_loop(self, loop: Any) -> Any:
        """Build the loop with its dataset and metrics."""
        with explain_config_errors(self.cfg):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """Build the loop with its dataset and metrics."""
        with explain_config_errors(self.cfg):
            return super().build_test_loop(loop)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build optimizer and wrapper."""
        with explain_config_errors(self.cfg):
            kind = optim_wrapper.get('optimizer', {}).get('type') if isinstance(optim_wrapper, dict) else None
            if isinstance(kind, str) and OPTIMIZERS.get(kind) is None:  # MMEngine asks None for its signature
                raise KeyError(f'{kind} is not in the optimizer registry')
            return super().build_optim_wrapper(optim_wrapper)

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the rates of all groups with the effective batch: MMEngine counts no accumulated batches."""
        if not (auto_scale_lr or {}).get('enable'):
            return
        batch, base = batch_facts(self)['effective'], auto_scale_lr['base_batch_size']
        for group in optim_wrapper.optimizer.param_groups:
            group['lr'] *= batch / base
        self.logger.info(f'learning rates x {batch / base:g}: effective batch {batch}, the recipe has {base}')

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedulers."""
        with explain_config_errors(self.cfg):
            return super().build_param_scheduler(scheduler)

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Call the hooks; some build what they need before the run, some add to a checkpoint."""
        if fn_name != 'before_run':
            super().call_hook(fn_name, **kwargs)
        else:
            with explain_config_errors(self.cfg):
                super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            leave_out(bare_model(self.model), kwargs['checkpoint'])

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,
        revise_keys: list = [(r'^module\.', '')],  # noqa: B006  MMEngine's signature
    ) -> dict:
        """Load a checkpoint: the main process reads it, and hands it to the others."""
        checkpoint = from_main_process(lambda: read_checkpoint(filename, map_location))
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)  # MMEngine's resume() would run it
        model = bare_model(self.model)
        fit_to_model(filename, model, checkpoint)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        checkpoint = _load_checkpoint_to_model(model, checkpoint, strict, revise_keys=revise_keys)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = 'cpu',
    ) -> None:
        """Go on where a checkpoint stopped; it is read into the CPU's memory, and takes none of the GPU's.

        Raises:
            InputError: What it says of optimizer, schedulers or log is not that of this config.
        """
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        except InputError:
            raise
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f'{filename}: the state of its training does not fit the config '
                f'({type(error).__name__}: {" ".join(str(error).split())[:200]}); resume with the config of '
                'the run, or start from its weights with --cfg-options load_from=CHECKPOINT'
            ) from error

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, **kwargs) -> None:
        """Save a checkpoint under its name when it is whole.

        Raises:
            InputError: It cannot be written.
        """
        with atomic_path(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)

    @master_only
    def dump_config(self) -> None:
        """Write the config with all overrides into the work folder."""
        name = Path(self.cfg.filename).name if self.cfg.filename else f'{self.timestamp}.py'
        with atomic_path(Path(self.work_dir) / name) as temporary:
            self.cfg.dump(temporary)
