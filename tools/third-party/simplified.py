"""comfy-api-simplified: a picture up, a prompt changed, frames back."""

import json
import struct
import sys
import tempfile
import zlib
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper


def red_picture() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\0\0" * 64 for _ in range(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main(address: str) -> None:
    folder = Path(tempfile.mkdtemp())
    graph = json.loads(Path(__file__).with_name("workflow.json").read_text())
    del graph["10"]
    graph["11"] = {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "third"}, "_meta": {"title": "Save Image"}}
    (folder / "frames.json").write_text(json.dumps(graph))
    (folder / "red.png").write_bytes(red_picture())

    api = ComfyApiWrapper(address)
    uploaded = api.upload_image(str(folder / "red.png"))
    workflow = ComfyWorkflowWrapper(str(folder / "frames.json"))
    workflow.set_node_param("CLIPTextEncode 4", "text", "a blue square moves left")
    frames = api.queue_and_wait_images(workflow, "Save Image")
    assert uploaded["name"].startswith("red") and len(frames) == 17, (uploaded, len(frames))
    assert all(data.startswith(b"\x89PNG") for data in frames.values())
    print(f"comfy-api-simplified: uploaded {uploaded['name']}, got {len(frames)} frames")


main(sys.argv[1])
