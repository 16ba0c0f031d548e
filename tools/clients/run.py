"""Runs published clients, unmodified, against `serve --nano-aliases` and judges the videos that they save.

    python run.py PROGRAM CLIENTS [--only wan22_ti2v_5b ...] [--keep FOLDER]
"""

import argparse
import importlib.util
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

import av
import numpy as np
import requests
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "nano"))
import judge  # noqa: E402
import world  # noqa: E402

SIDE, FRAMES = 64, 17  # what the small models were trained on
START_SECONDS, RUN_SECONDS = 30, 300
NEGATIVE = "blurry, low quality"


@dataclass(frozen=True)
class Client:
    """A client's file, class and method, what else its method takes, and what the video has to show."""

    file: str
    cls: str
    method: str
    prompt: str
    colour: str
    motion: str
    image: bool = False
    extra: dict = field(default_factory=dict)


CLIENTS = (
    Client("wan21_t2v_14b", "ComfyUIClient", "generate", "a red ball moves to the right", "red", "right"),
    Client("wan21_i2v_14b", "ComfyUIClient", "generate_i2v", "a green ball moves to the left", "green", "left", True),
    Client("wan22_ti2v_5b", "ComfyUIWan22Client", "generate_wan22_t2v", "a blue ball moves up", "blue", "up"),
    Client("wan22_i2v_a14b", "ComfyUIWan22_14B_I2VClient", "generate_wan22_14b_i2v", "a yellow ball moves down",
           "yellow", "down", True, {"fps": 16}),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("clients")
    parser.add_argument("--only", nargs="*", choices=[client.file for client in CLIENTS])
    parser.add_argument("--keep", metavar="FOLDER")
    args = parser.parse_args()
    chosen = [client for client in CLIENTS if not args.only or client.file in args.only]
    with tempfile.TemporaryDirectory() as folder:
        results = run_all(os.path.abspath(args.program), os.path.abspath(args.clients), chosen, folder)
        if args.keep:
            shutil.copytree(folder, args.keep, dirs_exist_ok=True)
    width = max(len(client.file) for client in chosen)
    for client, (seconds, verdict) in zip(chosen, results, strict=True):
        print(f"{client.file:{width}}  {seconds:6.1f} s  {verdict or 'ok: ' + client.colour + ', ' + client.motion}")
    failed = sum(verdict is not None for _, verdict in results)
    print(f"{len(results) - failed} of {len(results)} clients saved the video that they asked for")
    sys.exit(failed > 0)


def run_all(program, clients, chosen, folder):
    """Seconds and what is wrong (or None) of each client. All share one server, as a user's scripts do."""
    token, log = secrets.token_urlsafe(24), os.path.join(folder, "server.log")
    with open(log, "wb") as errors:
        port = free_port()
        command = [program, "serve", "--nano-aliases", "--base-directory", os.path.join(folder, "base"), "--port", str(port)]
        environment = {**os.environ, "VITASCOPE_TOKEN": token}
        server = subprocess.Popen(command, stdout=errors, stderr=errors, env=environment)
        try:
            wait_for(server, f"http://127.0.0.1:{port}", token, log)
            return [run_one(client, clients, f"127.0.0.1:{port}", token, folder) for client in chosen]
        finally:
            server.terminate()
            server.wait(20)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(server, address, token, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            refused = requests.get(f"{address}/queue", timeout=5).status_code
            accepted = requests.get(f"{address}/queue", headers={"Authorization": f"Bearer {token}"}, timeout=5).status_code
            if (refused, accepted) == (401, 200):
                return
            sys.exit(f"/queue answers {refused} without the token and {accepted} with it; expected 401 and 200")
        except requests.ConnectionError:
            time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as text:
        sys.exit(f"the server does not answer:\n{text.read()}")


def run_one(client, clients, address, token, folder):
    begin = time.monotonic()
    try:
        verdict = use(client, load(os.path.join(clients, client.file + ".py")), address, token, folder)
    except Exception as error:  # Whatever a client raises is its result.
        verdict = f"{type(error).__name__}: {error}"
    return time.monotonic() - begin, verdict


def load(path):
    """The client as a module of its own, without its `main`."""
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def use(client, module, address, token, folder):
    """Does what the client's `main` does, waiting less between its questions. Says what is wrong, or None."""
    random.seed(client.file)  # The clients draw their seeds from here.
    api = getattr(module, client.cls)(server=address, token=token)
    image = [start_image(client, folder)] if client.image else []
    sizes = {"width": SIDE, "height": SIDE, "frames": FRAMES}
    task = getattr(api, client.method)(*image, client.prompt, NEGATIVE, **sizes, **client.extra)
    end = time.monotonic() + RUN_SECONDS
    while (status := api.get_status(task)) != "completed":
        if status == "failed" or time.monotonic() > end:
            return f"the client saw `{status}`"
        time.sleep(0.25)
    video = api.download_video(task, os.path.join(folder, client.file + ".mp4"))
    if not video:
        return f"no video in the history: {reason(address, token, task)}"
    return check(video, client)


def reason(address, token, task):
    entry = requests.get(f"http://{address}/history/{task}", headers={"Authorization": f"Bearer {token}"}, timeout=5).json()
    status = entry.get(task, {}).get("status", {})
    errors = [data.get("exception_message") for kind, data in status.get("messages", []) if kind == "execution_error"]
    return "; ".join(map(str, errors)) or status.get("status_str", "no entry")


def start_image(client, folder):
    """A picture of the prompt's actor in the middle, which tells nothing of the motion."""
    actor = world.Actor(client.colour, "circle", "still", 0.16, ((0.5, 0.5), (0.5, 0.5)))
    pixels = world.start_image(world.Scene("white", (actor,)), SIDE)
    path = os.path.join(folder, client.file + ".png")
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(path)
    return path


def check(path, client):
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if not frames or (len(frames), *frames[0].shape[:2]) != (FRAMES, SIDE, SIDE):
        return f"{len(frames)} frames of {frames[0].shape[:2] if frames else 'no size'}, expected {FRAMES} of {SIDE}x{SIDE}"
    seen = judge.judge(np.stack(frames).astype(np.float32) / 255)
    if (seen["colour"], seen["motion"]) != (client.colour, client.motion):
        return f"shows {seen['colour']}, {seen['motion']} (moved by {seen['displacement']}); " \
               f"expected {client.colour}, {client.motion}"
    return None


if __name__ == "__main__":
    main()
