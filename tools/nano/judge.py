"""Says what a clip shows: colour, shape and motion of its actor. Numbers alone, so that any language can repeat it.

Every pixel takes the name of the nearest of the palette's colours (backgrounds included). The actor's colour is the
one with most pixels over the whole clip; its motion follows from where its pixels' centre is in the first and the
last frames; its shape from whether the corners of the square of the same area and centre are filled.
"""

import numpy as np

import world

SETTINGS = {
    "first_and_last_frames": 2,  # averaged at either end
    "least_area": 0.02,  # of the picture, in every frame; a ball of the world covers 0.05 to 0.11
    "least_share": 0.6,  # of the coloured pixels that have the winning colour
    "still_below": 0.06,  # displacement as a fraction of the side
    "moves_above": 0.15,
    "sideways_below": 0.5,  # of the displacement along the main axis
    "corner_from": 0.7,  # corners: both distances from the centre in 0.7..1 of half the equal-area square's side
    "square_corners_above": 0.5,  # filled share of the corners, mean over frames: circle about 0.15, square 1
}


def judge(clip):
    """What `clip` [frames, height, width, 3] in 0..1 shows; a property that cannot be told is None."""
    names = list(world.COLOURS) + list(world.BACKGROUNDS)
    palette = np.array([(world.COLOURS | world.BACKGROUNDS)[name] for name in names], np.float32) / 255
    nearest = np.square(clip[..., None, :] - palette).sum(-1).argmin(-1)
    counts = np.bincount(nearest.ravel(), minlength=len(names))
    colours = counts[: len(world.COLOURS)]
    winner = int(colours.argmax())
    background = names[len(world.COLOURS) + int(counts[len(world.COLOURS):].argmax())]
    result = {"colour": None, "motion": None, "shape": None, "background": background, "displacement": None,
              "corners": None}
    if colours[winner] == 0 or colours[winner] < SETTINGS["least_share"] * colours.sum():
        return result
    result["colour"] = names[winner]
    masks = nearest == winner
    frames, height, width = masks.shape
    if masks.sum(axis=(1, 2)).min() < SETTINGS["least_area"] * height * width:
        return result
    centres, fills = [], []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        centres.append((columns.mean() / width, rows.mean() / height))
        fills.append(corner_fill(mask, columns.mean(), rows.mean()))
    ends = SETTINGS["first_and_last_frames"]
    dx, dy = np.mean(centres[-ends:], axis=0) - np.mean(centres[:ends], axis=0)
    result["displacement"] = (round(float(dx), 4), round(float(dy), 4))
    result["motion"] = name_motion(dx, dy)
    result["corners"] = round(float(np.mean(fills)), 3)
    result["shape"] = "square" if np.mean(fills) > SETTINGS["square_corners_above"] else "circle"
    return result


def corner_fill(mask, x, y):
    half = mask.sum() ** 0.5 / 2
    across, down = np.abs(np.arange(mask.shape[1]) - x)[None, :], np.abs(np.arange(mask.shape[0]) - y)[:, None]
    nearest, farthest = np.minimum(across, down), np.maximum(across, down)
    corners = (nearest >= SETTINGS["corner_from"] * half) & (farthest <= half)
    return float(mask[corners].mean()) if corners.any() else 0.0


def name_motion(dx, dy):
    main, aside = max(abs(dx), abs(dy)), min(abs(dx), abs(dy))
    if main < SETTINGS["still_below"]:
        return "still"
    if main < SETTINGS["moves_above"] or aside > SETTINGS["sideways_below"] * main:
        return None
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def score(clips, expected):
    """Shares of clips whose colour, motion, both, shape and background are as expected; None expects nothing."""
    results = [judge(clip) for clip in clips]
    right = {name: np.array([e[name] is None or r[name] == e[name] for r, e in zip(results, expected)])
             for name in ("colour", "motion", "shape", "background")}
    right["both"] = right["colour"] & right["motion"]
    return {name: round(float(values.mean()), 3) for name, values in right.items()}, results


if __name__ == "__main__":
    drawn, expected = [], []
    for index in range(400):
        scene = world.draw_scene(world.unseen_clip_rng(index))
        actor = scene.actors[0]
        drawn.append(world.render(scene, 64, 17))
        expected.append(dict(colour=actor.colour, motion=actor.motion, shape=actor.shape, background=scene.background))
    print("drawn clips:", score(drawn, expected)[0])
