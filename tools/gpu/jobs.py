"""Fifty jobs one after the other in one server: what is taken of the card and of memory must not grow."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from processes import CardMemory, Failure, end, last_words
from table import bounded

# Jobs before the first look: kernels are loaded, pools have their size.
BEFORE = 5
CARD_BYTES_MAX = 16 << 20
HOST_BYTES_MAX = 64 << 20


def part(check, clock):
    """Jobs one after the other leave no growth."""
    count = check.sizes.jobs
    log = check.log("jobs")
    with tempfile.TemporaryDirectory() as folder, CardMemory(check.index()) as memory:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        device = ["--device", check.device]
        command = check.ours("serve", "--base-directory", folder, "--port", str(port), "--nano-aliases", *device)
        with open(log, "ab") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=check.variables, start_new_session=True
            )
        try:
            server = Server(f"http://127.0.0.1:{port}", process, log, clock)
            server.wait_until_ready()
            looks = []
            for number in range(count):
                server.job(number)
                if number + 1 in (BEFORE, count):
                    # nvidia-smi looks every now and then.
                    time.sleep(0.3)
                    looks.append((memory.now, resident_bytes(process.pid)))
        finally:
            end(process)
    (card_before, host_before), (card_after, host_after) = looks
    check.numbers["jobs"] = {"count": count, "looks": looks}
    growth = None if card_before is None else card_after - card_before
    label = f"{count} jobs in a row, growth after the first {BEFORE}"
    known = growth is not None
    row = bounded(f"{label}, on the card", growth, f"{growth / (1 << 20):.0f} MiB" if known else None, most=CARD_BYTES_MAX)
    row.goal = f"<= {CARD_BYTES_MAX >> 20} MiB"
    check.rows.append(row)
    growth = None if host_before is None else host_after - host_before
    known = growth is not None
    row = bounded(f"{label}, in memory", growth, f"{growth / (1 << 20):.0f} MiB" if known else None, most=HOST_BYTES_MAX)
    row.goal = f"<= {HOST_BYTES_MAX >> 20} MiB"
    check.rows.append(row)


class Server:
    """`vitascope serve` as a client sees it."""

    def __init__(self, base, process, log, clock):
        self.base, self.process, self.log, self.clock = base, process, log, clock

    def wait_until_ready(self):
        while True:
            try:
                return self.send("/queue")
            except OSError:
                self.alive()
                time.sleep(0.05)

    def job(self, number):
        id = self.send("/prompt", {"prompt": workflow(number)})["prompt_id"]
        while True:
            history = self.send(f"/history/{id}")
            if id in history:
                status = history[id]["status"]
                if status.get("status_str") != "success":
                    raise Failure(f"job {number + 1} ended with {json.dumps(status)[:300]}")
                return
            self.alive()
            time.sleep(0.02)

    def send(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=max(self.clock.left(), 0.1)) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failure(f"{path} was answered with {error.code}: {error.read().decode(errors='replace')[:300]}") from error

    def alive(self):
        if self.process.poll() is not None:
            raise Failure(f"the server ended with {self.process.returncode}: {last_words(self.log)}")
        self.clock.check("the jobs")


def workflow(seed):
    """Text to a video of the small model; no seed is cached for another."""
    node = lambda name, **inputs: {"class_type": name, "inputs": inputs}
    return {
        "1": node("UNETLoader", unet_name="wan2.1_t2v_1.3B_fp16.safetensors", weight_dtype="default"),
        "2": node("CLIPLoader", clip_name="umt5_xxl_fp16.safetensors", type="wan", device="default"),
        "3": node("VAELoader", vae_name="wan_2.1_vae.safetensors"),
        "4": node("CLIPTextEncode", text=f"a red ball moves to the right, {seed}", clip=["2", 0]),
        "5": node("CLIPTextEncode", text="", clip=["2", 0]),
        "7": node("EmptyHunyuanLatentVideo", width=64, height=64, length=17, batch_size=1),
        "8": node(
            "KSampler", model=["1", 0], seed=seed, steps=4, cfg=2.5, sampler_name="euler", scheduler="simple",
            positive=["4", 0], negative=["5", 0], latent_image=["7", 0], denoise=1.0,
        ),  # fmt: skip
        "9": node("VAEDecode", samples=["8", 0], vae=["3", 0]),
        "10": node("CreateVideo", images=["9", 0], fps=16.0),
        "11": node("SaveVideo", video=["10", 0], filename_prefix="video/check", format="auto", codec="auto"),
    }


def resident_bytes(pid):
    path = f"/proc/{pid}/status"
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return next((int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS:")), None)
