"""Small files of other formats for the tests of `vita-weights`: python format_fixtures.py ../../crates/vita-weights/tests/files

Every tensor counts: element i of a tensor is i / 8 - 3. Needs torch and gguf.
"""

import os
import sys
from collections import OrderedDict
from pathlib import Path

import gguf
import numpy as np
import torch


class Evil:
    def __reduce__(self):
        return os.system, ("echo gotcha",)


def counting(*shape: int) -> np.ndarray:
    return (np.arange(int(np.prod(shape)), dtype=np.float32) / 8 - 3).reshape(shape)


def main(folder: Path) -> None:
    names = {"a.weight": (2, 3), "b.bias": (5,), "c.weight": (2, 1, 2, 2, 2)}
    plain = OrderedDict((name, torch.from_numpy(counting(*shape))) for name, shape in names.items())
    plain["half"] = plain["a.weight"].half()
    plain["brain"] = plain["a.weight"].bfloat16()
    base = torch.from_numpy(counting(4, 3))
    plain["part"] = base[1:3]  # shares a storage, begins inside it
    plain["parameter"] = torch.nn.Parameter(plain["a.weight"])
    torch.save(plain, folder / "plain.pth")
    torch.save({"epoch": 3, "lr": 0.5, "state_dict": plain}, folder / "wrapped.ckpt")
    torch.save({"a.weight": plain["a.weight"], "evil": Evil()}, folder / "evil.pth")
    torch.save({"turned": base.t()}, folder / "turned.pth")
    torch.save(plain, folder / "old.pth", _use_new_zipfile_serialization=False)

    writer = gguf.GGUFWriter(folder / "small.gguf", "wan")
    writer.add_string("general.name", "a test")
    writer.add_tensor("plain", counting(2, 3))
    writer.add_tensor("half", counting(2, 3).astype(np.float16))
    for kind in ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]:
        kind = getattr(gguf.GGMLQuantizationType, kind)
        writer.add_tensor(kind.name.lower(), gguf.quants.quantize(counting(3, 64), kind), raw_dtype=kind)
    writer.add_array("comfy.gguf.orig_shape.folded", [2, 1, 2, 2, 2])
    writer.add_tensor("folded", counting(2, 8))
    writer.add_tokenizer_model("t5")
    writer.add_token_list(["<pad>", "</s>", "<unk>", "\u2581a", "b"])
    writer.add_token_scores([0.0, 0.0, 0.0, -1.5, -2.5])
    writer.add_token_types([3, 3, 2, 1, 1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(Path(sys.argv[1]))
