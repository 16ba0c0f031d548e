#!/usr/bin/env python3
"""Times PyTorch on the networks that `vitascope bench` times: the same shapes, random weights, bf16.

    peer.py dit --model i2v-14b --size 832x480 --frames 81 --guidance
    peer.py umt5 --model xxl
    peer.py vae-decode --model 2.1 --size 832x480 --frames 81

Every way is tried once: as it comes, with each backend of scaled_dot_product_attention alone, with convolutions chosen
by measuring, and, with --compile, compiled; the fastest is the one that counts. With --asked it runs once for each line
on stdin, so that something else can work between, and tells the seconds of each as a line of JSON. The last line is
JSON: the seconds of each way and run, the card, the most memory that was taken, versions.
"""

import argparse
import contextlib
import json
import signal
import statistics
import sys
import time

import torch

# A compiler that takes longer is left out.
COMPILE_SECONDS = 90

TEXT_TOKENS = 512
IMAGE_TOKENS = 257

# heads, width of the MLP, blocks, channels in and out, width of the prompt and of the picture, pixels of a latent's side
TRANSFORMERS = {
    "1.3b": (12, 8960, 30, 16, 16, 4096, None, 8),
    "14b": (40, 13824, 40, 16, 16, 4096, None, 8),
    "i2v-14b": (40, 13824, 40, 36, 16, 4096, 1280, 8),
    "a14b-i2v": (40, 13824, 40, 36, 16, 4096, None, 8),
    "5b": (24, 14336, 30, 48, 48, 4096, None, 16),
    "tiny": (2, 512, 2, 16, 16, 64, None, 8),
}
# vocabulary, width, width of the MLP, heads, width of a head, blocks
TEXT_ENCODERS = {"xxl": (256384, 4096, 10240, 64, 64, 24), "tiny": (500, 128, 256, 2, 64, 2)}
# what differs from the defaults of AutoencoderKLWan, and pixels of a latent's side
AUTOENCODERS = {
    "2.1": ({}, 8),
    "2.2": (
        {
            "base_dim": 160,
            "decoder_base_dim": 256,
            "z_dim": 48,
            "in_channels": 12,
            "out_channels": 12,
            "is_residual": True,
            "patch_size": 2,
            "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48,
            "latents_std": [1.0] * 48,
        },
        16,
    ),
    "tiny": ({"base_dim": 8}, 8),
}


def main():
    options = parse()
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no card; --device cpu --model tiny tries this program without one")
    started = time.perf_counter()
    with torch.inference_mode():
        network, run = NETWORKS[options.network](options, device)
        wait(device)
        load = time.perf_counter() - started
        note(f"{options.network} {options.model}: weights made in {load:.1f} s")
        peer = Peer(run, device)
        peer.try_ways(network, options)
        seconds = peer.asked() if options.asked else [peer.timed() for _ in range(options.repeat)]
    if not seconds:
        sys.exit("stdin ended before a run was asked for; leave --asked out to run --repeat times")
    say(
        {
            "seconds_min": min(seconds),
            "seconds_median": statistics.median(seconds),
            "seconds": seconds,
            "way": peer.way,
            "ways": {name: took for name, (took, _) in peer.ways.items()},
            "load_seconds": load,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
            "card_bytes_peak": torch.cuda.max_memory_reserved() if device.type == "cuda" else None,
            "torch": torch.__version__,
        }
    )


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--model", required=True)
    parser.add_argument("--size", default="832x480")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--tokens", type=int, default=TEXT_TOKENS)
    parser.add_argument("--guidance", action="store_true")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--asked", action="store_true")
    options = parser.parse_args()
    if options.compile and options.network.startswith("vae"):
        parser.error("--compile is for networks of equal blocks; an autoencoder is none")
    sizes = {"dit": TRANSFORMERS, "umt5": TEXT_ENCODERS}.get(options.network, AUTOENCODERS)
    if options.model not in sizes:
        parser.error(f"no network is called `{options.model}`; choose one of {', '.join(sizes)}")
    try:
        width, height = options.size.split("x")
        options.size = (int(width), int(height))
    except ValueError:
        parser.error(f"--size is `{options.size}`, expected WIDTHxHEIGHT in pixels, such as 832x480")
    return options


class Peer:
    """A network, and the ways in which it can be run."""

    def __init__(self, run, device):
        self.run, self.device = run, device
        # Name -> (seconds, the context in which it runs).
        self.ways = {}
        self.way = None

    def try_ways(self, network, options):
        """All ways, so that the fastest counts. One that does not work is told and left out, but for the first."""
        self.try_way("as it comes", contextlib.nullcontext)
        if self.device.type == "cuda":
            from torch.nn.attention import SDPBackend, sdpa_kernel

            if options.network == "dit":
                for backend in [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]:
                    self.try_way(backend.name, lambda backend=backend: sdpa_kernel([backend]))
            if options.network.startswith("vae"):
                self.try_way("measured convolutions", measured_convolutions)
        self.choose()
        if options.compile:
            # In whichever of the ways was fastest.
            context = self.ways[self.way][1]
            name = f"{self.way}, compiled"
            blocks = network.blocks if hasattr(network, "blocks") else network.encoder.block
            # They are equal, so that one compilation serves all.
            for block in blocks:
                block.compile()
            with within(COMPILE_SECONDS):
                self.try_way(name, context)
            self.choose()
            if self.way != name:
                for block in blocks:
                    block._compiled_call_impl = None

    def try_way(self, name, context):
        try:
            with context():
                self.timed(check=True)
            with context():
                self.ways[name] = (self.timed(), context)
            note(f"{name}: {self.ways[name][0]:.3f} s")
        except Exception as error:  # whatever a library raises: the other ways are there
            if not self.ways:
                raise
            note(f"{name} does not work here: {str(error).splitlines()[0] if str(error) else type(error).__name__}")

    def choose(self):
        self.way = min(self.ways, key=lambda name: self.ways[name][0])

    def timed(self, check=False):
        """Seconds of one run in the chosen way, or in the one that is being tried."""
        context = self.ways[self.way][1] if self.way and not check else contextlib.nullcontext
        with context():
            start = time.perf_counter()
            result = self.run()
            wait(self.device)
            took = time.perf_counter() - start
        if check and not torch.isfinite(result.float().sum()):
            sys.exit("the network's answer is not finite")
        return took

    def asked(self):
        say({"ready": True, "way": self.way})
        seconds = []
        for _ in sys.stdin:
            seconds.append(self.timed())
            say({"seconds": seconds[-1]})
        return seconds


def transformer(options, device):
    from diffusers import WanTransformer3DModel

    heads, ffn, layers, channels_in, channels_out, text, image, pixels = TRANSFORMERS[options.model]
    with device, default_bf16():
        network = WanTransformer3DModel(
            num_attention_heads=heads,
            attention_head_dim=128,
            in_channels=channels_in,
            out_channels=channels_out,
            text_dim=text,
            ffn_dim=ffn,
            num_layers=layers,
            image_dim=image,
            added_kv_proj_dim=None if image is None else heads * 128,
        ).eval()
    latent = random(device, 1, channels_in, *latent_size(options, pixels))
    prompts = [random(device, 1, options.tokens, text) for _ in range(2 if options.guidance else 1)]
    picture = None if image is None else random(device, 1, IMAGE_TOKENS, image)
    timestep = torch.tensor([500], device=device)

    def run():
        passes = [
            network(
                hidden_states=latent,
                timestep=timestep,
                encoder_hidden_states=prompt,
                encoder_hidden_states_image=picture,
                return_dict=False,
            )[0]
            for prompt in prompts
        ]
        return passes[-1] + 5.0 * (passes[0] - passes[-1])

    return network, run


def text_encoder(options, device):
    from transformers import UMT5Config, UMT5EncoderModel

    vocabulary, width, ffn, heads, head, layers = TEXT_ENCODERS[options.model]
    config = UMT5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_ff=ffn,
        num_heads=heads,
        d_kv=head,
        num_layers=layers,
        feed_forward_proj="gated-gelu",
        use_cache=False,
    )
    with device, default_bf16():
        network = UMT5EncoderModel(config).eval()
    ids = torch.arange(options.tokens, device=device)[None] * 7 % vocabulary
    mask = torch.ones_like(ids)
    return network, lambda: network(input_ids=ids, attention_mask=mask).last_hidden_state


def decoder(options, device):
    network, pixels = autoencoder(options, device)
    latent = random(device, 1, network.config.z_dim, *latent_size(options, pixels))
    return network, lambda: network.decode(latent, return_dict=False)[0]


def encoder(options, device):
    network, _ = autoencoder(options, device)
    width, height = options.size
    video = random(device, 1, 3, options.frames, height, width)
    return network, lambda: network.encode(video, return_dict=False)[0].mode()


def autoencoder(options, device):
    from diffusers import AutoencoderKLWan

    changed, pixels = AUTOENCODERS[options.model]
    with device, default_bf16():
        return AutoencoderKLWan(**changed).eval(), pixels


NETWORKS = {"dit": transformer, "umt5": text_encoder, "vae-decode": decoder, "vae-encode": encoder}


def latent_size(options, pixels):
    width, height = options.size
    return (options.frames - 1) // 4 + 1, height // pixels, width // pixels


def random(device, *shape):
    return torch.randn(*shape, device=device, dtype=torch.bfloat16)


@contextlib.contextmanager
def default_bf16():
    """Weights are made as bf16: as f32 first, those of 14B would take the memory of the card twice."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def measured_convolutions():
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False


@contextlib.contextmanager
def within(seconds):
    def stop(*_):
        raise TimeoutError(f"took longer than {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    except TimeoutError as error:
        note(f"compiled: {error}")
    finally:
        signal.alarm(0)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def say(value):
    print(json.dumps(value), flush=True)


def note(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
