"""Writes reference.json: small pictures scaled by PyTorch and Pillow. Run it in this folder."""
import json

import numpy as np
import torch
from PIL import Image

METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
SIZES = [(5, 7, 3, 9, 4), (6, 4, 3, 3, 11), (8, 8, 3, 5, 3), (3, 9, 4, 6, 6), (4, 4, 1, 4, 7)]


def picture(height, width, channels):
    index = np.arange(height * width * channels, dtype=np.int64)
    return ((index * index * 37 + index * 91 + 13) % 256).astype(np.uint8).reshape(height, width, channels)


def crop_center(pixels, width, height):
    rows, columns, _ = pixels.shape
    old, new = columns / rows, width / height
    x = round((columns - columns * (new / old)) / 2) if old > new else 0
    y = round((rows - rows * (old / new)) / 2) if old < new else 0
    return pixels[y:rows - y, x:columns - x]


def scale(pixels, width, height, method):
    if method == "lanczos":
        # Through floats, as pictures come from other nodes: some bytes lose one on the way.
        pixels = np.clip(255.0 * (pixels.astype(np.float32) / np.float32(255.0)), 0, 255).astype(np.uint8)
        squeezed = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        image = Image.fromarray(np.ascontiguousarray(squeezed))
        # Along the rows first, as Pillow did it always before version 13, which chooses.
        mode = image.mode
        image = image.convert("RGBa") if mode == "RGBA" else image
        image = image.resize((width, image.height), Image.Resampling.LANCZOS)
        scaled = image.resize((width, height), Image.Resampling.LANCZOS).convert(mode)
        return np.asarray(scaled).astype(np.float32).reshape(height, width, -1) / 255.0
    tensor = torch.from_numpy(pixels.astype(np.float32) / 255.0).movedim(-1, 0)[None]
    scaled = torch.nn.functional.interpolate(tensor, size=(height, width), mode=method)
    return scaled[0].movedim(0, -1).numpy()


cases = []
for method in METHODS:
    for crop in ["disabled", "center"]:
        for rows, columns, channels, width, height in SIZES:
            pixels = picture(rows, columns, channels)
            source = crop_center(pixels, width, height) if crop == "center" else pixels
            values = scale(source, width, height, method).reshape(-1)
            cases.append({
                "method": method, "crop": crop, "from_height": rows, "from_width": columns, "channels": channels,
                "width": width, "height": height, "values": [round(float(value), 7) for value in values],
            })
with open("reference.json", "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
