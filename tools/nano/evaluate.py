"""Writes the list of 64 unseen prompt + seed pairs, and judges exported files by it.

    python evaluate.py list  ../../assets/nano/eval.json
    python evaluate.py run   ../../assets/nano [--steps 20 --shift 3 --cfg 4 --sheet sheet.png]
    python evaluate.py sweep ../../assets/nano --count 20    sampling settings, on development prompts
    python evaluate.py judge                       the judge itself: drawn clips, and clips through the autoencoder
"""

import argparse
import json
import os

import numpy as np
import torch
from safetensors.torch import load_file

import judge
import text
import train_dit
import train_vae
import world
from dit import WanDit
from export import NAMES
from sample import contact_sheet, decode, sample

PAIRS = 64
FIRST_SEED = 900_000
CIRCLE_CORNERS = 0.20  # the judge's corner fill of a drawn circle, mean over clips
SAMPLING = {"sampler": "euler", "scheduler": "simple", "steps": 20, "shift": 3.0, "cfg": 2.5}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("list", "run", "sweep", "judge"))
    parser.add_argument("path", nargs="?", default="../../assets/nano")
    parser.add_argument("--steps", type=int, default=SAMPLING["steps"])
    parser.add_argument("--shift", type=float, default=SAMPLING["shift"])
    parser.add_argument("--cfg", type=float, default=SAMPLING["cfg"])
    parser.add_argument("--count", type=int, default=PAIRS)
    parser.add_argument("--sheet")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.action == "list":
        write_list(args.path)
    elif args.action == "run":
        run(args)
    elif args.action == "sweep":
        sweep(args.path, args.count)
    else:
        test_judge(args.path)


def pairs():
    """Colours, motions and languages in equal shares; wordings that training never saw."""
    for index in range(PAIRS):
        rng = np.random.default_rng((8, index))
        scene = world.draw_scene(rng, colour=tuple(world.COLOURS)[index % 4], motion=world.MOTIONS[index % 5],
                                 shape=world.SHAPES[index // 4 % 2])
        language = ("en", "zh")[index // 2 % 2]
        prompt = world.draw_caption(rng, scene, language, held_out=True)
        actor = scene.actors[0]
        named = world.names_background(prompt, scene)
        yield {"prompt": prompt, "seed": FIRST_SEED + index, "language": language, "colour": actor.colour,
               "shape": actor.shape, "motion": actor.motion, "background": scene.background if named else None,
               "width": 64, "height": 64, "frames": 17}


def write_list(path):
    document = {
        "about": "64 prompt and seed pairs that training never saw. A pair passes when colour and motion are as "
                 "expected. tools/nano/judge.py says how a clip is judged.",
        "goal": 0.9,
        "sampling": SAMPLING,
        "judge": {"colours": world.COLOURS, "backgrounds": world.BACKGROUNDS, **judge.SETTINGS},
        "pairs": list(pairs()),
    }
    lines = json.dumps(document, ensure_ascii=False, indent=1)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(lines + "\n")
    os.replace(path + ".part", path)


def load_models(folder):
    state = {kind: load_file(os.path.join(folder, name)) for kind, name in NAMES.items()}
    tokenizer = text.Tokenizer(state["text"].pop("spiece_model").numpy().tobytes())
    encoder, dit = text.TextEncoder(tokenizer.model.get_piece_size()), WanDit(**train_dit.DIT)
    encoder.load_state_dict(state["text"])
    dit.load_state_dict(state["dit"])
    return tokenizer, encoder, dit, train_vae.load(os.path.join(folder, NAMES["vae"]))


def run(args):
    tokenizer, encoder, dit, vae = load_models(args.path)
    chosen = list(pairs())[: args.count]
    latents = [sample(dit, encoder, tokenizer, [pair["prompt"] for pair in part], [pair["seed"] for pair in part],
                      args.steps, args.shift, args.cfg) for part in (chosen[i : i + 16] for i in range(0, len(chosen), 16))]
    clips = decode(vae, torch.cat(latents))
    scores, results = judge.score(clips, chosen)
    for pair, result in zip(chosen, results):
        if any(pair[name] != result[name] for name in ("colour", "motion", "shape")):
            print("wanted", pair["colour"], pair["motion"], pair["shape"], "got", result, pair["prompt"])
    print(f"steps {args.steps} shift {args.shift} cfg {args.cfg}: {scores}")
    if args.sheet:
        contact_sheet(clips[:32], args.sheet)


def sweep(folder, count):
    """Scores by guidance, shift and steps, with how far corners are from those of drawn shapes (0.20 and 1)."""
    tokenizer, encoder, dit, vae = load_models(folder)
    prompts, seeds, expected = train_dit.development_prompts(count)
    for steps, shift, cfg in ((20, 3, 4), (20, 3, 2.5), (20, 3, 1.5), (20, 5, 2.5), (20, 1.5, 2.5), (12, 3, 2.5)):
        clips = decode(vae, sample(dit, encoder, tokenizer, prompts, seeds, steps, shift, cfg))
        scores, results = judge.score(clips, expected)
        ideal = {"circle": CIRCLE_CORNERS, "square": 1.0}
        off = np.mean([1.0 if r["corners"] is None else abs(r["corners"] - ideal[e["shape"]])
                       for r, e in zip(results, expected)])
        print(f"steps {steps} shift {shift} cfg {cfg}: {scores} corners off by {off:.3f}", flush=True)


@torch.no_grad()
def test_judge(folder):
    drawn, expected = [], []
    for index in range(160):
        colours, grounds = tuple(world.COLOURS), tuple(world.BACKGROUNDS)
        scene = world.draw_scene(world.unseen_clip_rng(1000 + index), colours[index % 4], world.SHAPES[index // 8 % 2],
                                 world.MOTIONS[index % 5], grounds[index // 4 % 2])
        actor = scene.actors[0]
        drawn.append(world.render(scene, 64, 17))
        expected.append(dict(colour=actor.colour, motion=actor.motion, shape=actor.shape, background=scene.background))
    print("drawn clips:", judge.score(drawn, expected)[0])
    vae = train_vae.load(os.path.join(folder, NAMES["vae"]))
    round_trips = []
    for clip in drawn:
        pixels = torch.from_numpy(clip).permute(3, 0, 1, 2)[None] * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            decoded = vae.decode(vae.encode(pixels)[0].float()).float()
        round_trips.append(((decoded[0].clamp(-1, 1) + 1) / 2).permute(1, 2, 3, 0).numpy())
    print("round trips:", judge.score(round_trips, expected)[0])
    error = [-10 * np.log10(np.square(a - b).mean()) for a, b in zip(drawn, round_trips)]
    print(f"PSNR of round trips: mean {np.mean(error):.2f} lowest {np.min(error):.2f} dB")


if __name__ == "__main__":
    main()
