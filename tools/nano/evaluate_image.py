"""Image to video: writes the lists of 64 unseen image, prompt and seed triples, and judges exported files by them.

    python evaluate_image.py list ../../assets/nano
    python evaluate_image.py run  ../../assets/nano i2v [--steps 20 --shift 3 --cfg 2.5 --sheet sheet.png]
    python evaluate_image.py run  ../../assets/nano ti2v --text           without the start images
    python evaluate_image.py run  ../../assets/nano a14b --only high      one expert for every step
    python evaluate_image.py run  ../../assets/nano i2v --only vision     no start latents, no mask
    python evaluate_image.py loss ../../assets/nano                       the experts' losses, together and alone
    python evaluate_image.py sweep ../../assets/nano a14b --count 20      sampling settings, on development pairs
"""

import argparse
import json
import os

import numpy as np
import torch

import condition
import export
import flow
import judge
import text
import train_dit
import train_image
import train_ti2v
import train_vae
import world
from clip_vision import WIDTH
from dit import WanDit

PAIRS = 64
SYSTEMS = {
    "i2v": {"list": "eval-i2v.json", "files": ("i2v", "vision", "vae"), "first_seed": 910_000,
            "sampling": {"steps": 20, "shift": 3.0, "cfg": 1.5}},
    "a14b": {"list": "eval-i2v-a14b.json", "files": ("high", "low", "vae"), "first_seed": 920_000,
             "sampling": {"steps": 20, "shift": 5.0, "cfg": 1.5, "boundary": train_image.BOUNDARY}},
    "ti2v": {"list": "eval-ti2v.json", "files": ("ti2v", "vae22"), "first_seed": 930_000,
             "sampling": {"steps": 20, "shift": 3.0, "cfg": 2.5}},
}
FIRST_FRAME_GOAL = 25.0  # dB
LOSS_BATCHES = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("list", "run", "loss", "sweep"))
    parser.add_argument("folder", nargs="?", default="../../assets/nano")
    parser.add_argument("system", nargs="?", choices=tuple(SYSTEMS), default="i2v")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--shift", type=float)
    parser.add_argument("--cfg", type=float)
    parser.add_argument("--count", type=int, default=PAIRS)
    parser.add_argument("--text", action="store_true", help="ti2v: text to video")
    parser.add_argument("--only", choices=("high", "low", "vision"),
                        help="a14b: one expert alone; i2v: the vision encoder alone, no start latents")
    parser.add_argument("--sheet")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.action == "list":
        for name in SYSTEMS:
            write_list(args.folder, name)
    elif args.action == "run":
        run(args)
    elif args.action == "loss":
        experts_loss(args.folder)
    else:
        sweep(args)


def pairs(system):
    """Colours, motions, shapes and languages in equal shares; wordings that training never saw; each start image has
    its actor near the middle, whatever the motion."""
    for index in range(PAIRS):
        rng = np.random.default_rng((15, tuple(SYSTEMS).index(system), index))
        scene = world.draw_start_scene(rng, colour=tuple(world.COLOURS)[index % 4], motion=world.MOTIONS[index % 5],
                                       shape=world.SHAPES[index // 4 % 2])
        language = ("en", "zh")[index // 2 % 2]
        prompt = world.draw_caption(rng, scene, language, held_out=True)
        actor = scene.actors[0]
        yield {"prompt": prompt, "seed": SYSTEMS[system]["first_seed"] + index, "language": language,
               "colour": actor.colour, "shape": actor.shape, "motion": actor.motion, "background": scene.background,
               "prompt_names_background": world.names_background(prompt, scene),
               "start": {"centre": actor.centres[0], "radius": actor.radius},
               "width": 64, "height": 64, "frames": 17, "scene": scene}


def write_list(folder, system):
    document = {
        "about": "64 start image, prompt and seed triples that training never saw. One passes when the motion is as "
                 "expected and the first frame of the result has a PSNR of more than first_frame_goal_db against the "
                 "start image. tools/nano/judge.py says how a clip is judged.",
        "start_image": "A flat background and one shape; centre and radius are fractions of the side, x to the right "
                       "and y down; pixel centres lie at (i + 0.5, j + 0.5). With (dx, dy) the distances in pixels "
                       "from the centre and r the radius in pixels, d is hypot(dx, dy) - r for a circle and "
                       "max(dx, dy) - 0.9 r for a square; the colour covers the share clamp(0.5 - d / 1.5, 0, 1) of "
                       "the pixel. Rounded to 8 bits.",
        "goal": 0.9,
        "first_frame_goal_db": FIRST_FRAME_GOAL,
        "sampling": {"sampler": "euler", "scheduler": "simple", **SYSTEMS[system]["sampling"]},
        "judge": {"colours": world.COLOURS, "backgrounds": world.BACKGROUNDS, **judge.SETTINGS},
        "pairs": [{name: value for name, value in pair.items() if name != "scene"} for pair in pairs(system)],
    }
    path = os.path.join(folder, SYSTEMS[system]["list"])
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    os.replace(path + ".part", path)


def load_text(folder):
    state = export.read(os.path.join(folder, export.NAMES["text"]))
    tokenizer = text.Tokenizer(state.pop("spiece_model").numpy().tobytes())
    encoder = text.TextEncoder(tokenizer.model.get_piece_size())
    encoder.load_state_dict(state)
    return tokenizer, encoder.eval()


def load_dit(folder, kind):
    shape = {"dit": train_dit.DIT, "ti2v": train_ti2v.SHAPE}.get(kind, train_image.SHAPE)
    dit = WanDit(**shape, image_width=WIDTH if kind == "i2v" else None)
    dit.load_state_dict(export.read(os.path.join(folder, export.NAMES[kind])))
    return dit


class System:
    """The files of one system; `judge_pairs` gives scores and results of each pair."""

    def __init__(self, folder, name):
        self.name, at = name, lambda kind: os.path.join(folder, export.NAMES[kind])
        self.tokenizer, self.encoder = load_text(folder)
        self.vae = train_vae.load(at("vae22" if name == "ti2v" else "vae"))
        self.vision = train_image.load_vision(at("vision")) if name == "i2v" else None
        self.dits = {kind: load_dit(folder, kind) for kind in SYSTEMS[name]["files"] if kind in ("i2v", "high", "low", "ti2v")}

    def judge_pairs(self, chosen, sampling, only=None, text_only=False, sheet=None):
        sampling = dict(sampling)
        boundary = sampling.pop("boundary", None)
        if self.name == "ti2v":
            return train_ti2v.evaluate(self.dits["ti2v"], self.encoder, self.tokenizer, self.vae, not text_only, chosen,
                                       sheet=sheet, **sampling)
        if self.name == "a14b":
            dit = self.dits[only or "high"]
            experts = {} if only else {"low": self.dits["low"], "boundary": boundary}
        else:
            dit, experts = self.dits["i2v"], {"without_latents": only == "vision"}
        return train_image.evaluate(dit, self.encoder, self.tokenizer, self.vae, self.vision, chosen, sheet=sheet,
                                    **sampling, **experts)


def run(args):
    system = System(args.folder, args.system)
    chosen = list(pairs(args.system))[: args.count]
    given = {name: getattr(args, name) for name in ("steps", "shift", "cfg") if getattr(args, name) is not None}
    sampling = SYSTEMS[args.system]["sampling"] | given
    scores, results = system.judge_pairs(chosen, sampling, args.only, args.text, args.sheet)
    for pair, result in zip(chosen, results):
        if any(pair[name] != result[name] for name in ("colour", "motion", "shape")):
            print("wanted", pair["colour"], pair["motion"], pair["shape"], "got", result, pair["prompt"])
    right = lambda name: [pair[name] == result[name] for pair, result in zip(chosen, results)]
    motion, what, other = right("motion"), "colour", right("colour")
    if not args.text and args.only != "vision":
        what, other = "first frame", [result["first_frame"] > FIRST_FRAME_GOAL for result in results]
    print(args.system, args.only or "", "text" if args.text else "", sampling, scores)
    print(f"of {len(chosen)}: motion {sum(motion)}, {what} {sum(other)}, "
          f"both {sum(map(all, zip(motion, other)))}")


def sweep(args):
    system = System(args.folder, args.system)
    chosen = list(train_image.development_pairs(args.count))
    boundary = {"boundary": train_image.BOUNDARY} if args.system == "a14b" else {}
    for steps, shift, cfg in ((20, 3, 2.5), (20, 3, 1.5), (20, 5, 1.5), (20, 5, 2.5), (20, 5, 1.0), (20, 5, 4.0), (12, 5, 2.5)):
        settings = {"steps": steps, "shift": float(shift), "cfg": cfg} | boundary
        print(args.system, settings, system.judge_pairs(chosen, settings, args.only, args.text)[0], flush=True)


@torch.no_grad()
def experts_loss(folder):
    """Loss over all timesteps, as sampling with the default shift meets them, on unseen clips: each expert alone, and
    each in its own range."""
    system = System(folder, "a14b")
    sampling = SYSTEMS["a14b"]["sampling"]
    rng = np.random.default_rng(16)
    torch.manual_seed(16)
    sums, counts = {"high": [0.0, 0.0], "low": [0.0, 0.0]}, [0, 0]
    for _ in range(LOSS_BATCHES):
        scenes = [world.draw_start_scene(rng) for _ in range(32)]
        clips = condition.as_pixels(np.stack([world.render(scene, 64, train_image.FRAMES) for scene in scenes]))
        clean = train_ti2v.encode(system.vae, clips)
        extra = condition.with_mask(condition.start_latents(system.vae, clips[:, :, :1], train_image.FRAMES))
        captions = [world.draw_caption(rng, scene, ("en", "zh")[rng.integers(2)], held_out=True) for scene in scenes]
        ids, lengths = system.tokenizer(captions, train_dit.CAPTION_TOKENS)
        sigma = flow.draw_sigma(rng, len(scenes), sampling["shift"])
        at, noise = sigma.view(-1, 1, 1, 1, 1), torch.randn_like(clean)
        inputs = torch.cat(((1 - at) * clean + at * noise, extra), dim=1)
        is_high = sigma >= sampling["boundary"]
        with torch.autocast("cpu", torch.bfloat16):
            context = system.encoder(ids, lengths)
            for kind, dit in system.dits.items():
                error = (dit(inputs, sigma * 1000, context, lengths) - (noise - clean)).square().mean(dim=(1, 2, 3, 4))
                sums[kind][0] += float(error[is_high].sum())
                sums[kind][1] += float(error[~is_high].sum())
        counts[0] += int(is_high.sum())
        counts[1] += int((~is_high).sum())
    for kind, (above, below) in sums.items():
        print(f"{kind} alone: loss {(above + below) / sum(counts):.4f}; at and above the boundary {above / counts[0]:.4f}, "
              f"below {below / counts[1]:.4f}")
    print(f"pair: loss {(sums['high'][0] + sums['low'][1]) / sum(counts):.4f} ({counts[0]} and {counts[1]} samples)")


if __name__ == "__main__":
    main()
