"""UMT5's own vocabulary, out of a package that carries it, as `umt5.model` and `umt5.tokenizer.json`.

    pip download --no-deps --no-binary stable-diffusion-cpp-python stable-diffusion-cpp-python==0.4.7
    python tools/reference/umt5_vocabulary.py stable_diffusion_cpp_python-0.4.7.tar.gz FOLDER
    python tools/reference/compare.py target/release/vitascope --only tokenizer --vocabulary FOLDER/umt5.model

The package has the `tokenizer.json` as numbers of C. It has no piece types: pieces in angle brackets become control
and byte pieces, all others are ordinary. Two pieces have lost their text there; in the model, which must have one,
they stand for private characters.
"""

import json
import re
import sys
import tarfile
from pathlib import Path

from sentencepiece import sentencepiece_model_pb2 as model_pb2

CONTROL = {"<pad>", "</s>", "<s>"}
Piece = model_pb2.ModelProto.SentencePiece


def main(package: Path, folder: Path) -> None:
    with tarfile.open(package) as archive:
        name = next(name for name in archive.getnames() if name.endswith("/vocab/umt5.hpp"))
        text = archive.extractfile(name).read().decode()
    file = bytes(int(number, 16) for number in re.findall(r"0x([0-9a-f]{2})\b", text))
    (folder / "umt5.tokenizer.json").write_bytes(file)
    model = to_model(json.loads(file))
    (folder / "umt5.model").write_bytes(model.SerializeToString())
    print(f"{len(model.pieces)} pieces")


def to_model(tokenizer: dict) -> model_pb2.ModelProto:
    model = model_pb2.ModelProto()
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    for index, (text, score) in enumerate(tokenizer["model"]["vocab"]):
        piece = model.pieces.add(piece=text or chr(0xF0000 + index % 0xFFFD), score=score, type=Piece.NORMAL)
        if index == tokenizer["model"]["unk_id"]:
            piece.type = Piece.UNKNOWN
        elif text in special:
            piece.type = Piece.CONTROL
        elif re.fullmatch(r"<0x[0-9A-F]{2}>", text):
            piece.type = Piece.BYTE
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = 1, True, len(model.pieces)
    trainer.pad_id, trainer.eos_id, trainer.bos_id, trainer.unk_id = 0, 1, 2, tokenizer["model"]["unk_id"]
    normalizer.name, normalizer.add_dummy_prefix, normalizer.remove_extra_whitespaces = "identity", True, True
    return model


main(Path(sys.argv[1]), Path(sys.argv[2]))
