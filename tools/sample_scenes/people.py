"""Persons and bicycles: jointed figures that are seen from any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample_scenes.canvas import Painter, heading_axes, place, shade

SKIN = [(150, 180, 225), (120, 155, 205), (80, 110, 160), (50, 75, 115)]
HAIR = [(25, 25, 30), (30, 45, 75), (80, 130, 175), (120, 120, 125)]
TOPS = [
    (40, 40, 190), (170, 90, 30), (50, 140, 60), (225, 225, 225), (45, 45, 45),
    (40, 190, 225), (130, 60, 120), (120, 110, 100), (30, 110, 230), (80, 60, 40),
]  # fmt: skip
TROUSERS = [(110, 70, 40), (50, 45, 45), (80, 110, 140), (35, 35, 35), (150, 150, 150), (70, 40, 30)]


@dataclass(frozen=True)
class Look:
    """How one person looks; colours are BGR."""

    height: float  # metres
    skin: tuple
    hair: tuple
    top: tuple
    trousers: tuple
    stride: float  # angle of the legs in radians, 0 stands
    coat: bool  # whether the top reaches over the thighs
    bag: bool


def random_look(rng: np.random.Generator) -> Look:
    """Draw a look."""
    height = float(rng.uniform(1.55, 1.9))
    colours = [choices[rng.integers(len(choices))] for choices in (SKIN, HAIR, TOPS, TROUSERS)]
    stride = float(rng.choice([0.0, 0.25, 0.42, -0.42, -0.3]))
    return Look(height, *colours, stride, bool(rng.random() < 0.25), bool(rng.random() < 0.2))


def walking_joints(look: Look) -> dict[str, tuple]:
    """Return the joints (ahead, up, right) in metres of a walking or standing person."""
    tall = look.height
    hip, shoulder = 0.5 * tall, 0.81 * tall
    joints = {'head': (0.02, 0.925 * tall, 0)}
    for name, side in (('left', -1), ('right', 1)):
        angle = side * look.stride
        knee = (np.sin(angle) * 0.24 * tall + 0.02, hip - np.cos(angle) * 0.24 * tall, side * 0.09)
        back = max(0.0, -angle) * 0.9  # the hind leg bends
        foot = (knee[0] + np.sin(angle - back) * 0.24 * tall, max(0.02, knee[1] - 0.235 * tall), side * 0.09)
        arm = -angle * 0.9
        elbow = (np.sin(arm) * 0.16 * tall, shoulder - np.cos(arm) * 0.17 * tall, side * 0.235)
        hand = (elbow[0] + np.sin(arm + 0.35) * 0.14 * tall, elbow[1] - 0.13 * tall, side * 0.235)
        joints |= {
            f'hip_{name}': (0, hip, side * 0.085), f'knee_{name}': knee, f'foot_{name}': foot,
            f'shoulder_{name}': (0, shoulder, side * 0.19), f'elbow_{name}': elbow, f'hand_{name}': hand,
        }  # fmt: skip
    return joints


def riding_joints(pedal: float) -> dict[str, tuple]:
    """Return the joints of a person on a bicycle; ``pedal`` is the angle of the crank in radians."""
    joints = {'head': (0.14, 1.62, 0)}
    for name, side in (('left', -1), ('right', 1)):
        turn = pedal + (0 if side > 0 else np.pi)
        joints |= {
            f'foot_{name}': (0.16 * np.cos(turn), 0.3 + 0.16 * np.sin(turn), side * 0.1),
            f'knee_{name}': (0.24 + 0.08 * np.cos(turn), 0.68 + 0.11 * np.sin(turn), side * 0.12),
            f'hip_{name}': (-0.2, 0.97, side * 0.09), f'shoulder_{name}': (0.06, 1.42, side * 0.19),
            f'elbow_{name}': (0.22, 1.18, side * 0.25), f'hand_{name}': (0.42, 1.05, side * 0.24),
        }  # fmt: skip
    return joints


def draw_person(painter: Painter, look: Look, joints: dict, ambient: float) -> Painter:
    """Add the shapes of a person in air of ``ambient`` degrees."""
    world = place(list(joints.values()), *painter.pose)
    spots = dict(zip(joints, painter.camera.project(world)))
    depth = dict(zip(joints, world[:, 2]))
    metre, (ahead, _) = painter.metre, heading_axes(painter.pose[2])
    warmth = 0.45 * (33 - ambient)  # clothes are between air and skin
    cloth, legs, bare = ambient + warmth * 1.1, ambient + warmth, max(32.0, ambient + 2)

    def limb(first: str, second: str, width: float, colour: tuple, celsius: float) -> None:
        painter.line(np.array([spots[first], spots[second]]), width * metre, colour, celsius)

    def leg(side: str, brightness: float) -> None:
        colour = shade(look.trousers, brightness)
        limb(f'hip_{side}', f'knee_{side}', 0.155, colour, legs)
        limb(f'knee_{side}', f'foot_{side}', 0.12, colour, legs - 0.8)
        foot = spots[f'foot_{side}']
        toe = foot + np.array([ahead[0] * 0.16, 0]) * metre
        painter.line(np.array([foot, toe]), 0.085 * metre, (30, 30, 35), legs - 1.5)

    def arm(side: str) -> None:
        sleeve = shade(look.top, 0.82)
        limb(f'shoulder_{side}', f'elbow_{side}', 0.11, sleeve, cloth - 0.5)
        limb(f'elbow_{side}', f'hand_{side}', 0.09, sleeve, cloth - 0.5)
        painter.disc(spots[f'hand_{side}'], 0.05 * metre, look.skin, bare - 1.5)

    far, near = sorted(('left', 'right'), key=lambda side: -depth[f'shoulder_{side}'])
    arm(far)
    leg(far, 0.75)
    leg(near, 1.0)
    trunk = np.array([spots[name] for name in ('shoulder_left', 'shoulder_right', 'hip_right', 'hip_left')])
    painter.line(np.vstack([trunk, trunk[:1]]), 0.17 * metre, look.top, cloth)
    painter.polygon(trunk, look.top, cloth + 0.5)
    if look.coat and joints['foot_left'][1] < 0.2:
        hem = (trunk[2:] * 2 + np.array([spots['knee_right'], spots['knee_left']])) / 3
        painter.line(np.vstack([trunk[2:], hem[::-1]]), 0.18 * metre, look.top, cloth - 1)
    if look.bag and ahead[2] > -0.3:
        back = trunk.mean(0) - np.array([ahead[0], 0.12]) * 0.17 * metre
        painter.disc(back, 0.17 * metre, tuple(255 - c for c in look.top), ambient + 1, stretch=1.4)
    arm(near)
    neck, head = (spots['shoulder_left'] + spots['shoulder_right']) / 2, spots['head']
    painter.line(np.array([neck, head]), 0.1 * metre, look.skin, bare - 0.5)
    painter.disc(head, 0.105 * metre, look.skin, bare, stretch=1.2)
    if ahead[2] > 0.4:  # hair: all of the head from behind, the cap of it from the front
        painter.disc(head - (0, 0.02 * metre), 0.105 * metre, look.hair, bare - 3, stretch=1.1)
    else:
        crown = head - np.array([ahead[0] * 0.03, 0.05]) * metre
        painter.disc(crown - (0, 0.03 * metre), 0.1 * metre, look.hair, bare - 3, stretch=0.62)
    return painter


def draw_bicycle(painter: Painter, colour: tuple, celsius: float, light: bool = False) -> Painter:
    """Add the shapes of a bicycle."""
    circle = np.linspace(0, 2 * np.pi, 19)
    for hub in (-0.53, 0.53):
        rim = [(hub + 0.31 * np.cos(t), 0.34 + 0.31 * np.sin(t), 0) for t in circle]
        painter.bar(rim, 0.065, (22, 22, 22), celsius + 1)
        painter.ball((hub, 0.34, 0), 0.05, (120, 120, 120), celsius)
        for t in (0.4, 1.45, 2.5):
            spoke = [(hub + s * 0.29 * np.cos(t), 0.34 + s * 0.29 * np.sin(t), 0) for s in (-1, 1)]
            painter.bar(spoke, 0.012, (130, 130, 130), celsius)
    rear, crank, seat, head, front = (-0.53, 0.34), (-0.05, 0.3), (-0.2, 0.82), (0.36, 0.82), (0.53, 0.34)
    for ends in ((rear, crank), (crank, seat), (seat, head), (head, crank), (rear, seat), (head, front)):
        painter.bar([(a, y, 0) for a, y in ends], 0.06, colour, celsius)
    painter.bar([(-0.32, 0.93, 0), (-0.1, 0.93, 0)], 0.08, (25, 25, 25), celsius)
    painter.bar([(-0.2, 0.82, 0), (-0.21, 0.93, 0)], 0.04, (90, 90, 90), celsius)
    painter.bar([(0.36, 0.82, 0), (0.36, 1.02, 0)], 0.045, (90, 90, 90), celsius)
    painter.bar([(0.38, 1.03, -0.28), (0.38, 1.03, 0.28)], 0.05, (40, 40, 40), celsius)
    if light:
        back = heading_axes(painter.pose[2])[0][2] >= 0
        lamp, glow = ((-0.4, 0.75, 0), (20, 20, 220)) if back else ((0.45, 0.9, 0), (200, 230, 255))
        painter.ball(lamp, 0.05, glow, celsius + 3, glow)
    return painter
