"""Writes the lists of names and shapes beside this file, as diffusers and transformers have them.

Run with diffusers 0.42, transformers 5.23 and torch installed: python draw.py
The sizes are small but all different where the shapes allow it, so that no two can be mixed up.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel


def main() -> None:
    with torch.device("meta"):
        write("diffusers_dit", WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=128, in_channels=36, out_channels=16, text_dim=64,
            freq_dim=256, ffn_dim=320, num_layers=2, image_dim=1280, added_kv_proj_dim=256, pos_embed_seq_len=514))
        write("diffusers_vae21", AutoencoderKLWan(base_dim=8, decoder_base_dim=16, z_dim=4))
        write("diffusers_vae22", AutoencoderKLWan(
            base_dim=8, decoder_base_dim=16, z_dim=6, is_residual=True, in_channels=12, out_channels=12,
            patch_size=2, latents_mean=[0.0] * 6, latents_std=[1.0] * 6))
        write("transformers_umt5", UMT5EncoderModel(UMT5Config(
            vocab_size=300, d_model=96, d_kv=16, d_ff=160, num_layers=2, num_heads=4)))


def write(name: str, model: torch.nn.Module) -> None:
    lines = [f"{key} {' '.join(map(str, value.shape))}\n" for key, value in model.state_dict().items()]
    Path(__file__).with_name(f"{name}.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
