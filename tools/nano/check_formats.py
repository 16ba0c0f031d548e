"""Holds the exported files to diffusers and transformers: the same weights must give the same numbers there.

    python check_formats.py ../../assets/nano

Needs diffusers and transformers beside requirements.txt.
"""

import os
import sys

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file
from transformers import UMT5Config, UMT5EncoderModel

import text
import train_dit
import world
from dit import TEXT_KEYS, WanDit
from export import NAMES
from vae import WanVae


def relative(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


@torch.no_grad()
def main(folder):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    load = lambda kind: load_file(os.path.join(folder, NAMES[kind]))
    floats = lambda state: {name: tensor.float() for name, tensor in state.items()}

    state = load("text")
    tokenizer = text.Tokenizer(state.pop("spiece_model").numpy().tobytes())
    state = floats(state)
    ours = text.TextEncoder(len(state["shared.weight"]))
    ours.load_state_dict(state)
    theirs = UMT5EncoderModel(UMT5Config(
        vocab_size=len(state["shared.weight"]), d_model=text.WIDTH, d_kv=text.HEAD_WIDTH, d_ff=text.FEED_FORWARD,
        num_layers=text.LAYERS, num_heads=text.HEADS, feed_forward_proj="gated-gelu")).eval()
    missing = theirs.load_state_dict(state, strict=False)
    assert set(missing.missing_keys) <= {"encoder.embed_tokens.weight"} and not missing.unexpected_keys, missing
    ids, lengths = tokenizer([world.FIRST_PROMPT, world.FIRST_PROMPT_CHINESE, ""])
    mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
    context = ours(ids, lengths)
    print("text encoder", relative(context, theirs(ids, attention_mask=mask).last_hidden_state * mask[..., None]))

    state = floats(load("dit"))
    ours = WanDit(**train_dit.DIT)
    ours.load_state_dict(state)
    theirs = WanTransformer3DModel(num_attention_heads=train_dit.DIT["dim"] // 128, attention_head_dim=128,
                                   text_dim=text.WIDTH, ffn_dim=train_dit.DIT["ffn"], num_layers=train_dit.DIT["layers"])
    theirs.load_state_dict(single_file_utils.convert_wan_transformer_to_diffusers(dict(state)))
    x, timestep = torch.randn(3, 16, 5, 8, 8), torch.tensor([900.0, 500.0, 50.0])
    padded = torch.nn.functional.pad(context, (0, 0, 0, TEXT_KEYS - context.shape[1]))
    print("transformer", relative(ours(x, timestep, context, lengths), theirs(x, timestep, padded).sample))

    state = floats(load("vae"))
    ours = WanVae(state["encoder.conv1.weight"].shape[0])
    ours.load_state_dict(state)
    theirs = AutoencoderKLWan(base_dim=state["encoder.conv1.weight"].shape[0])
    theirs.load_state_dict(single_file_utils.convert_wan_vae_to_diffusers(dict(state)))
    clip = torch.from_numpy(world.render(world.draw_scene(world.unseen_clip_rng(0)), 64, 17)).permute(3, 0, 1, 2)[None] * 2 - 1
    mean = ours.encode(clip)[0]
    print("autoencoder, encode", relative(mean, theirs.encode(clip).latent_dist.mean))
    print("autoencoder, decode", relative(ours.decode(mean).clamp(-1, 1), theirs.decode(mean).sample))


if __name__ == "__main__":
    main(sys.argv[1])
