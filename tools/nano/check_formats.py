"""Holds the exported files to diffusers and transformers: the same weights must give the same numbers there.

    python check_formats.py ../../assets/nano

Needs diffusers and transformers beside requirements.txt. Prints relative errors.
"""

import os
import re
import sys

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.loaders import single_file_utils
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, UMT5Config, UMT5EncoderModel

import clip_vision
import condition
import evaluate_image
import text
import train_vae
import train_image
import vae22
import world
from dit import TEXT_KEYS
from export import NAMES, read


def relative(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


@torch.no_grad()
def main(folder):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    load = lambda kind: read(os.path.join(folder, NAMES[kind]))

    state = load("text")
    tokenizer = text.Tokenizer(state.pop("spiece_model").numpy().tobytes())
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

    image = world.start_image(world.draw_start_scene(world.unseen_clip_rng(0)))
    hidden = check_vision(load("vision"), image).expand(3, -1, -1)

    timestep = torch.tensor([900.0, 500.0, 50.0])
    by_frame = timestep[:, None].repeat(1, 5)
    by_frame[:, 0] = 0.0
    padded = torch.nn.functional.pad(context, (0, 0, 0, TEXT_KEYS - context.shape[1]))
    for kind in ("dit", "i2v", "high", "low", "ti2v"):
        state = load(kind)
        ours = evaluate_image.load_dit(folder, kind)
        theirs = diffusers_transformer(state, kind)
        x = torch.randn(3, state["patch_embedding.weight"].shape[1], 5, *((4, 4) if kind == "ti2v" else (8, 8)))
        seen = hidden if kind == "i2v" else None
        wanted = theirs(x, timestep, padded, encoder_hidden_states_image=seen).sample
        print(f"{NAMES[kind]}", relative(ours(x, timestep, context, lengths, seen), wanted))
        if kind == "ti2v":
            wanted = theirs(x, by_frame.repeat_interleave(4, dim=1), padded).sample
            print("    a timestep for each frame", relative(ours(x, by_frame, context, lengths), wanted))

    clip = condition.as_pixels(world.render(world.draw_scene(world.unseen_clip_rng(0)), 64, 17)[None])
    for kind in ("vae", "vae22"):
        state = load(kind)
        ours, theirs = train_vae.load(os.path.join(folder, NAMES[kind])), diffusers_autoencoder(state, kind)
        mean = ours.encode(clip)[0]
        print(f"{NAMES[kind]}, encode", relative(mean, theirs.encode(clip).latent_dist.mean))
        print(f"{NAMES[kind]}, decode", relative(ours.decode(mean).clamp(-1, 1), theirs.decode(mean).sample))


def check_vision(state, image):
    ours = clip_vision.ClipVision()
    ours.load_state_dict(state)
    theirs = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=clip_vision.WIDTH, intermediate_size=clip_vision.FEED_FORWARD,
        projection_dim=clip_vision.PROJECTION, num_hidden_layers=clip_vision.LAYERS,
        num_attention_heads=clip_vision.WIDTH // clip_vision.HEAD_WIDTH, image_size=clip_vision.IMAGE,
        patch_size=clip_vision.PATCH, hidden_act="gelu", layer_norm_eps=clip_vision.EPSILON)).eval()
    missing = theirs.load_state_dict(state, strict=False)
    assert all("position_ids" in name for name in missing.missing_keys) and not missing.unexpected_keys, missing
    pixels = condition.vision_pixels(image)[None]
    hidden, projection = ours(pixels)
    wanted = theirs(pixels, output_hidden_states=True)
    print("vision encoder, before the last layer", relative(hidden, wanted.hidden_states[-2]))
    print("vision encoder, projection", relative(projection, wanted.image_embeds))
    return hidden


def diffusers_transformer(state, kind):
    shape = train_image.SHAPE
    theirs = WanTransformer3DModel(
        num_attention_heads=shape["dim"] // 128, attention_head_dim=128, text_dim=text.WIDTH, ffn_dim=shape["ffn"],
        num_layers=sum(name.endswith("ffn.0.weight") for name in state), in_channels=state["patch_embedding.weight"].shape[1],
        out_channels=len(state["head.head.weight"]) // 4, image_dim=clip_vision.WIDTH if kind == "i2v" else None,
        added_kv_proj_dim=shape["dim"] if kind == "i2v" else None).eval()
    theirs.load_state_dict(single_file_utils.convert_wan_transformer_to_diffusers(dict(state)))
    return theirs


def diffusers_autoencoder(state, kind):
    if kind == "vae":
        theirs = AutoencoderKLWan(base_dim=len(state["encoder.conv1.weight"]))
        theirs.load_state_dict(single_file_utils.convert_wan_vae_to_diffusers(dict(state)))
    else:
        theirs = AutoencoderKLWan(
            base_dim=len(state["encoder.conv1.weight"]), decoder_base_dim=len(state["decoder.head.0.gamma"]),
            z_dim=vae22.LATENT_CHANNELS, is_residual=True, in_channels=12, out_channels=12, patch_size=vae22.PATCH,
            scale_factor_spatial=16, latents_mean=list(vae22.WAN_MEAN), latents_std=list(vae22.WAN_STD))
        theirs.load_state_dict({diffusers_name_22(name): tensor for name, tensor in state.items()})
    return theirs.eval()


def diffusers_name_22(name):
    """Name of a parameter of the 2.2 autoencoder in diffusers, whose own converter knows the 2.1 one only."""
    for pattern, replacement in (
        (r"^conv1\.", "quant_conv."), (r"^conv2\.", "post_quant_conv."), (r"coder\.conv1\.", "coder.conv_in."),
        (r"\.head\.0\.", ".norm_out."), (r"\.head\.2\.", ".conv_out."), (r"\.middle\.0\.", ".mid_block.resnets.0."),
        (r"\.middle\.1\.", ".mid_block.attentions.0."), (r"\.middle\.2\.", ".mid_block.resnets.1."),
        (r"\.downsamples\.(\d)\.downsamples\.([01])\.", r".down_blocks.\1.resnets.\2."),
        (r"\.downsamples\.(\d)\.downsamples\.2\.", r".down_blocks.\1.downsampler."),
        (r"\.upsamples\.(\d)\.upsamples\.([012])\.", r".up_blocks.\1.resnets.\2."),
        (r"\.upsamples\.(\d)\.upsamples\.3\.", r".up_blocks.\1.upsampler."),
        (r"\.residual\.0\.", ".norm1."), (r"\.residual\.2\.", ".conv1."), (r"\.residual\.3\.", ".norm2."),
        (r"\.residual\.6\.", ".conv2."), (r"\.shortcut\.", ".conv_shortcut."),
    ):
        name = re.sub(pattern, replacement, name)
    return name


if __name__ == "__main__":
    main(sys.argv[1])
