"""Packages mmslg; configs and tools travel inside it as ``mmslg/.mim`` for the ``mim`` command."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FOLDERS = ('configs', 'tools')
NOT_FOR_MIM = ('__pycache__', '*sample_scenes*', 'miniature')


def read_version() -> str:
    """Return ``__version__`` of mmslg/version.py without importing the package."""
    text = (ROOT / 'mmslg' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)[1]


def read_requirements(group: str) -> list[str]:
    """Return the requirement lines of requirements/<group>.txt."""
    lines = (ROOT / 'requirements' / f'{group}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def read_long_description() -> str:
    """Return the README, or nothing in a tree that has none."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.is_file() else ''


class BuildWithMim(build_py):
    """Copy configs and tools into a wheel as ``mmslg/.mim``, where ``mim`` looks for them.

    An editable installation gets none: there ``mim`` searches the tree itself, and would find each
    config twice.
    """

    def run(self) -> None:
        """Build the Python modules, then ``.mim``."""
        super().run()
        if getattr(self, 'editable_mode', False):
            return
        for name in MIM_FOLDERS:
            target = Path(self.build_lib) / 'mmslg' / '.mim' / name
            if target.is_dir():
                shutil.rmtree(target)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns(*NOT_FOR_MIM))


EXTRAS = {
    'mim': read_requirements('mminstall'),
    'captions': read_requirements('captions'),
    'lora': read_requirements('lora'),
    'inference': read_requirements('inference'),
    'demo': read_requirements('demo'),
    'ray': read_requirements('ray'),
    'robustness': read_requirements('robustness'),
    'tests': read_requirements('tests'),
    'docs': read_requirements('docs'),
}

setup(
    name='mmslg',
    version=read_version(),
    description='SLGNet: visible and infrared object detection with a frozen ViT, structure and language',
    long_description=read_long_description(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='object detection, infrared, thermal, multispectral, vision transformer, MMDetection, MMRotate',
    packages=find_packages(include=['mmslg', 'mmslg.*']),
    package_data={'mmslg': ['py.typed'], 'mmslg.models.backbones': ['*.safetensors']},
    include_package_data=False,
    cmdclass={'build_py': BuildWithMim},
    python_requires='>=3.10,<3.13',
    install_requires=read_requirements('runtime'),
    extras_require={**EXTRAS, 'all': [line for lines in EXTRAS.values() for line in lines]},
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    zip_safe=False,
)
