"""Sample scenes: aligned visible and thermal street images, drawn by a program.

They need no download and let every tool be tried at once: persons, cars and bicycles by day, by night, in
fog, against glare and at thermal crossover. About a third of the objects can be seen only in the visible
image and about a quarter only in the infrared, and each modality shows things that only look like an object,
so a detector needs both.

Example:
    >>> scene = render_scene(seed=0, split='train', index=0)
    >>> scene.visible.shape, scene.infrared.shape
    ((256, 320, 3), (256, 320))
    >>> write_scenes('data/sample_scenes', Plan(train=240, test=60))  # doctest: +SKIP
    True
"""

from mmslg.testing.scenes.compose import CATEGORIES, Scene, SceneObject
from mmslg.testing.scenes.dataset import GENERATOR_VERSION, Plan, render_scene, summary, write_scenes
from mmslg.testing.scenes.sheet import write_sheet
from mmslg.testing.scenes.weather import CONDITIONS

__all__ = [
    'CATEGORIES',
    'CONDITIONS',
    'GENERATOR_VERSION',
    'Plan',
    'Scene',
    'SceneObject',
    'render_scene',
    'summary',
    'write_scenes',
    'write_sheet',
]
