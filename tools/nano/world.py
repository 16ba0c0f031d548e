"""The nano world: short clips of coloured shapes that move, with captions in English and Chinese.

Everything follows from a seed. A scene is a background and some actors; an actor is a colour, a shape and a
path. Lengths are fractions of the picture's side, so that one scene can be drawn at any size and frame count.
"""

import zlib
from dataclasses import dataclass

import numpy as np

COLOURS = {"red": (225, 40, 40), "green": (40, 180, 75), "blue": (45, 90, 240), "yellow": (245, 200, 25)}
BACKGROUNDS = {"white": (240, 240, 240), "black": (22, 22, 28)}
SHAPES = ("circle", "square")
MOTIONS = ("left", "right", "up", "down", "still")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}

EDGE_SOFTNESS = 0.75  # pixels over which a shape's edge fades, either side


@dataclass(frozen=True)
class Actor:
    colour: str
    shape: str
    motion: str
    radius: float  # of the circle, or half the side of the square
    centres: tuple  # (start, end), each (x, y)

    def centre_at(self, time):
        (x0, y0), (x1, y1) = self.centres
        return x0 + (x1 - x0) * time, y0 + (y1 - y0) * time

    def radius_at(self, time):
        return self.radius


@dataclass(frozen=True)
class Scene:
    background: str
    actors: tuple


def draw_actor(rng, colour, shape, motion):
    """An actor whose path crosses the middle of the picture; place, size and speed vary with the seed."""
    radius = rng.uniform(0.13, 0.19)
    dx, dy = DIRECTIONS[motion]
    half_way = rng.uniform(0.19, 0.27)
    x, y = 0.5 + rng.uniform(-0.11, 0.11, size=2)
    if dx:
        x = 0.5 + rng.uniform(-0.03, 0.03)
    if dy:
        y = 0.5 + rng.uniform(-0.03, 0.03)
    start = (x - dx * half_way, y - dy * half_way)
    end = (x + dx * half_way, y + dy * half_way)
    return Actor(colour, shape, motion, radius, (start, end))


def draw_scene(rng, colour=None, shape=None, motion=None, background=None):
    """A scene; what is not given is drawn."""
    choose = lambda given, names: given or names[rng.integers(len(names))]
    colour, shape = choose(colour, tuple(COLOURS)), choose(shape, SHAPES)
    motion, background = choose(motion, MOTIONS), choose(background, tuple(BACKGROUNDS))
    return Scene(background, (draw_actor(rng, colour, shape, motion),))


def draw_start_scene(rng, colour=None, shape=None, motion=None, background=None):
    """A scene for image to video: the actor starts near the middle, so that its first frame tells nothing of the
    motion."""
    choose = lambda given, names: given or names[rng.integers(len(names))]
    colour, shape = choose(colour, tuple(COLOURS)), choose(shape, SHAPES)
    motion, background = choose(motion, MOTIONS), choose(background, tuple(BACKGROUNDS))
    radius, length = round(rng.uniform(0.13, 0.19), 4), rng.uniform(0.22, 0.28)
    (x, y), (dx, dy) = rng.uniform(0.4, 0.6, size=2).round(4).tolist(), DIRECTIONS[motion]
    return Scene(background, (Actor(colour, shape, motion, radius, ((x, y), (x + dx * length, y + dy * length))),))


def render(scene, size, frames):
    """The clip as float32 [frames, size, size, 3] in 0..1, anti-aliased."""
    clip = np.empty((frames, size, size, 3), np.float32)
    clip[:] = np.array(BACKGROUNDS[scene.background], np.float32) / 255
    axis = np.arange(size, dtype=np.float32) + 0.5
    for frame in range(frames):
        time = frame / max(frames - 1, 1)
        for actor in scene.actors:
            x, y = actor.centre_at(time)
            dx, dy = np.abs(axis[None, :] - x * size), np.abs(axis[:, None] - y * size)
            radius = actor.radius_at(time) * size
            distance = np.hypot(dx, dy) - radius if actor.shape == "circle" else np.maximum(dx, dy) - 0.9 * radius
            alpha = np.clip(0.5 - distance / (2 * EDGE_SOFTNESS), 0, 1)[..., None]
            clip[frame] += alpha * (np.array(COLOURS[actor.colour], np.float32) / 255 - clip[frame])
    return clip


def start_image(scene, size=64):
    """The first frame with 8 bits a channel, as an image file holds it; [size, size, 3] in 0..1."""
    return (render(scene, size, 1)[0] * 255).round() / np.float32(255)


# ---- captions -----------------------------------------------------------------------------------------

ENGLISH_SHAPES = {"circle": ("ball", "circle", "disc"), "square": ("square", "box", "block")}
ENGLISH_MOTIONS = {
    side: (f"moves to the {side}", f"moves {side}", f"is moving to the {side}", f"goes to the {side}",
           f"slides to the {side}", f"travels {side}", f"moving {side}")
    for side in ("left", "right")
} | {
    "up": ("moves up", "moves upward", "is moving up", "goes up", "rises", "travels up", "moving up"),
    "down": ("moves down", "moves downward", "is moving down", "goes down", "falls", "sinks", "moving down"),
    "still": ("stays still", "does not move", "stands still", "is not moving", "rests", "stays in place", "is still"),
}
ENGLISH_BACKGROUNDS = {"white": ("on a white background", "in front of a white background", "on white"),
                       "black": ("on a black background", "in front of a black background", "on black")}
CHINESE_COLOURS = {"red": ("红色的", "红"), "green": ("绿色的", "绿"), "blue": ("蓝色的", "蓝"), "yellow": ("黄色的", "黄")}
CHINESE_SHAPES = {"circle": ("球", "圆球", "圆形"), "square": ("方块", "正方形", "方形")}
CHINESE_MOTIONS = {
    "left": ("向左移动", "往左走", "向左滑动", "朝左边移动", "从右向左移动", "向左运动"),
    "right": ("向右移动", "往右走", "向右滑动", "朝右边移动", "从左向右移动", "向右运动"),
    "up": ("向上移动", "往上走", "上升", "朝上移动", "从下向上移动", "向上运动"),
    "down": ("向下移动", "往下走", "下降", "朝下移动", "从上向下移动", "向下运动"),
    "still": ("静止不动", "保持不动", "停在原地", "不动", "静静地停着", "没有移动"),
}
CHINESE_BACKGROUNDS = {"white": ("在白色背景上", "在白色背景前"), "black": ("在黑色背景上", "在黑色背景前")}

FIRST_PROMPT = "a red ball moves to the right"
FIRST_PROMPT_CHINESE = "红色的球向右移动"
HELD_OUT_ONE_IN = 8


def draw_caption(rng, scene, language, held_out=False):
    """A caption of the scene. One wording in eight is kept from training and serves the evaluation alone."""
    for _ in range(1000):
        caption = _english(rng, scene) if language == "en" else _chinese(rng, scene)
        if is_held_out(caption) == held_out:
            return caption
    raise RuntimeError("no caption of the wanted kind in 1000 draws")


def is_held_out(caption):
    if caption in (FIRST_PROMPT, FIRST_PROMPT_CHINESE):
        return False
    return zlib.crc32(("nano" + caption.lower().strip(" .。")).encode()) % HELD_OUT_ONE_IN == 0


def names_background(caption, scene):
    return any(word in caption.lower() for word in {"white": ("white", "白"), "black": ("black", "黑")}[scene.background])


def _english(rng, scene):
    actor = scene.actors[0]
    pick = lambda words: words[rng.integers(len(words))]
    subject = f"{actor.colour} {pick(ENGLISH_SHAPES[actor.shape])}"
    motion, place = pick(ENGLISH_MOTIONS[actor.motion]), pick(ENGLISH_BACKGROUNDS[scene.background])
    article = pick(("a", "a", "the"))
    text = f"{article} {subject} {motion}"
    style = rng.integers(6)
    if style == 1 or style == 2:
        text = f"{text} {place}"
    elif style == 3:
        text = f"{article} {subject} {place} {motion}"
    elif style == 4:
        text = f"{place}, {text}"
    if rng.random() < 0.15:
        text = pick(("a video of ", "a clip of ", "video: ")) + text
    if rng.random() < 0.2:
        text = text[0].upper() + text[1:]
    return text + ("." if rng.random() < 0.15 else "")


def _chinese(rng, scene):
    actor = scene.actors[0]
    pick = lambda words: words[rng.integers(len(words))]
    subject = pick(CHINESE_COLOURS[actor.colour]) + pick(CHINESE_SHAPES[actor.shape])
    motion, place = pick(CHINESE_MOTIONS[actor.motion]), pick(CHINESE_BACKGROUNDS[scene.background])
    article = pick(("", "一个"))
    text = article + subject + motion
    style = rng.integers(6)
    if style == 1:
        text = article + subject + place + motion
    elif style == 2:
        text = place[1:5] + pick(("，", ",")) + text
    elif style == 3:
        text = place + "，" + text
    return text + ("。" if rng.random() < 0.15 else "")


def training_clip_rng(index):
    """The random numbers of training clip `index`; evaluation uses other streams."""
    return np.random.default_rng((1, index))


def training_image_scene(index):
    """Scene of image-to-video training clip `index`: three of four start near the middle, one has a path as in text
    to video."""
    return (draw_scene if index % 4 == 3 else draw_start_scene)(np.random.default_rng((11, index)))


def unseen_clip_rng(index):
    return np.random.default_rng((2, index))
