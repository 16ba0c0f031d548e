#!/usr/bin/env python3
"""Sends the same requests to `vitascope serve` and to a running ComfyUI, and says where the answers differ.

    beside.py http://127.0.0.1:8188 http://127.0.0.1:8189

The first is ours, the second ComfyUI's, both started in empty folders. Compared are status, content type and, field by
field, JSON; values that name a moment, an id, a machine or a version by their type only. Prints each difference, and
ends with 1 if there is one that `EXPECTED` does not explain.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROMPTS = Path(__file__).parents[2] / "crates/vita-server/tests/data/bad_prompts.json"

# Values that differ from run to run or from machine to machine.
ANY = re.compile(
    r"prompt_id|timestamp|create_time|_time$|\.job_id|\.id$|number|version|argv|vram|ram_|\.devices|\.os$|python|"
    r"embedded|deploy|modified|created|\.size$|installed|required_|\.m$|\.t$|\.entries|path|directory|^logs|traceback|prompt\[1\]"
)

# Texts of our own.
WORDING = {"tooltip", "description", "output_tooltips"}

# Path of the difference -> why it is as it should be.
EXPECTED = {
    r"^GET /api/features": "newer flags are told, the manager's is not",
    r"^GET /features": "newer flags are told, the manager's is not",
    r"^GET /api/jobs\?status=.*cancelled": "0.8.0 does not know the status that newer pages ask for",
    r"^GET /(api/)?system_stats .*\.(type|index|name)": "another device",
    r"^GET /(api/)?models .*": "folders of models that no node here reads",
    r"^GET /(api/)?extensions": "extensions of the editor come with ComfyUI's own nodes",
    r"^GET /(api/)?system_stats .*(templates|frontend|vitascope)_version": "other packages are installed or needed",
    r"^GET /(api/)?system_stats .*argv": "another command line",
    r"^GET /(api/)?users .*migrated": "there is nothing to migrate",
    r"^GET /(api/)?v2/userdata|^GET /(api/)?userdata\?dir=(&|\.)": "ready-made workflows lie there",
    r"^GET /api/jobs\?.*\.error": "says what was given, and newer statuses",
    r"^POST /prompt .*b'": "what is no JSON is the client's mistake, not the server's",
    r"^GET /internal/files/output": "a folder without files is no mistake",
    r"^GET /(api/)?nothing .*type": "an empty answer needs no type",
    r"^GET /internal/logs/raw": "the console's size is not known; entries are this program's",
    r"^GET /history .*body\.\d+\.(outputs|meta)\.2 |^GET /api/jobs.*(outputs_count|preview_output) ":
        "what all came from the cache is a result too, also for a prompt without a client; newer fields",
    r"^GET /object_info .*\.(category|python_module|search_aliases|deprecated|display_name|resize_type)": "newer than 0.8.0",
    r"^GET /object_info .*\.(CustomCombo\.output|CLIPLoader.*type|PrimitiveFloat.*(min|max)|SaveWEBM.*crf)":
        "newer than 0.8.0, or a float for a float",
    r"^GET /object_info .*LoadImage.*image": "an example to begin with",
    r"^POST /userdata.*(modified|created)": "milliseconds, as newer pages read them",
    r"^POST /users ": "one user",
    r"dependent_outputs": "ComfyUI adds outputs that came later and do not depend on the node",
    r"^GET /internal/folder_paths|^GET /(api/)?experiment/models .*folders": "other folders of models",
    r"^GET /(api/)?(embeddings|global_subgraphs|workflow_templates|i18n)": "none here",
}


def image(**changed):
    empty = {"width": 16, "height": 16, "batch_size": 1, "color": 0} | changed
    return {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def requests():
    """(method, path, body) in the order in which they are sent; a body that is bytes goes as it is."""
    for path in [
        "/prompt", "/queue", "/history", "/history?max_items=3", "/history/none", "/system_stats", "/features",
        "/embeddings", "/extensions", "/models", "/models/none", "/models/vae", "/object_info/KSampler",
        "/object_info/EmptyImage", "/object_info/None", "/view", "/view?filename=none.png", "/view?filename=../a.png",
        "/view?filename=/etc/passwd", "/users", "/settings", "/settings/none", "/userdata", "/userdata?dir=none",
        "/userdata?dir=../..", "/userdata/none.json", "/v2/userdata", "/api/jobs", "/api/jobs?limit=1",
        "/api/jobs?limit=-1", "/api/jobs?limit=x", "/api/jobs?offset=-1", "/api/jobs?sort_by=x",
        "/api/jobs?sort_order=x", "/api/jobs?status=x", "/api/jobs?status=pending,in_progress",
        "/api/jobs/none", "/view_metadata/loras", "/view_metadata/none?filename=a.safetensors", "/experiment/models",
        "/experiment/models/none", "/internal/logs/raw", "/internal/folder_paths", "/internal/files/output",
        "/internal/files/none", "/nothing",
    ]:  # fmt: skip
        yield "GET", path, None
        if not path.startswith(("/api/", "/internal/")):
            yield "GET", "/api" + path, None
    for case in json.loads(PROMPTS.read_text()):
        # ComfyUI does not have that node without the wrapper.
        if "WanVideoSampler" in json.dumps(case["body"]):
            continue
        yield "POST", "/prompt", case["body"]
    for changed in [
        {"width": 0}, {"width": 100_000}, {"width": "16"}, {"width": "x"}, {"width": None}, {"width": [1]},
        {"width": ["9", 0]}, {"width": ["1", 0]}, {"color": -1}, {"batch_size": 1.5}, {"batch_size": True},
        {"unknown": 1},
    ]:  # fmt: skip
        yield "POST", "/prompt", {"prompt": image(**changed)}
    yield "POST", "/prompt", b"no json"
    yield "POST", "/prompt", b""
    yield "POST", "/prompt", {"prompt": image(), "client_id": "a", "extra_data": {"extra_pnginfo": {"a": 1}}}
    yield "WAIT", "", None
    for path in ["/queue", "/prompt", "/history", "/api/jobs", "/api/jobs?status=completed", "/history?max_items=1&offset=0"]:
        yield "GET", path, None
    for body in [{"clear": True}, {"delete": ["none"]}, {}]:
        yield "POST", "/queue", body
        yield "POST", "/history", body
    for path, body in [
        ("/interrupt", {}), ("/interrupt", {"prompt_id": "none"}), ("/free", {}), ("/free", {"unload_models": True}),
        ("/settings", {"Comfy.A": 1}), ("/settings/Comfy.B", True), ("/users", {"username": "a"}),
        ("/userdata/a%2Fb.json", {"x": 1}), ("/userdata/a%2Fb.json?overwrite=false", {"x": 1}),
        ("/userdata/a%2Fb.json?full_info=true", {"x": 1}), ("/userdata/a%2Fb.json/move/c.json", None),
        ("/userdata/none.json/move/d.json", None), ("/userdata/..%2F..%2Fb.json", {"x": 1}),
    ]:  # fmt: skip
        yield "POST", path, body if body is not None else b""
    for path in ["/settings", "/settings/Comfy.B", "/userdata?dir=.", "/userdata/c.json", "/history", "/userdata?dir=&recurse=true",
                 "/userdata?dir=&recurse=true&full_info=true", "/userdata?dir=&recurse=true&split=true", "/v2/userdata?path="]:  # fmt: skip
        yield "GET", path, None
    yield "DELETE", "/userdata/c.json", None
    yield "DELETE", "/userdata/c.json", None
    yield "GET", "/object_info", None


def send(base, method, path, body):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers.get("Content-Type"), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type"), error.read()


def wait(base):
    while json.loads(send(base, "GET", "/prompt", None)[2])["exec_info"]["queue_remaining"]:
        time.sleep(0.05)


def differences(ours, theirs, path=""):
    """(path, ours, theirs) of each field that differs."""
    if ANY.search(path) and type(ours) is type(theirs):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        # Keys that are ids are compared in their order.
        if ours and theirs and all(re.fullmatch(r"[0-9a-f-]{36}", key) for key in [*ours, *theirs]):
            ours = {str(index): value for index, value in enumerate(ours.values())}
            theirs = {str(index): value for index, value in enumerate(theirs.values())}
        for key in {**theirs, **ours}:
            if key in WORDING:
                continue
            if key not in ours or key not in theirs:
                yield f"{path}.{key}", ours.get(key, "(missing)"), theirs.get(key, "(missing)")
            else:
                yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if path.endswith("errors"):
            # ComfyUI checks the inputs in the order of a set, which is another in each process.
            ours, theirs = (sorted(errors, key=lambda error: error["details"]) for errors in (ours, theirs))
        if path.startswith(".body.") and ".input." in path:
            # `[type, {}]` is `[type]`.
            ours, theirs = ([v for v in value if not isinstance(v, dict) or v.keys() - WORDING] for value in (ours, theirs))
        if len(ours) != len(theirs):
            yield path, ours, theirs
            return
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{path}[{index}]")
    elif path.endswith("error.details") and isinstance(ours, str) and isinstance(theirs, str):
        if sorted(ours.splitlines()) != sorted(theirs.splitlines()):
            yield path, ours, theirs
    elif ours != theirs or type(ours) is not type(theirs):
        yield path, ours, theirs


def parsed(answer):
    # Temporary files have five random letters.
    text = re.sub(r"temp_[a-z]{5}_", "temp_", answer[2].decode(errors="replace"))
    try:
        return json.loads(text)
    except ValueError:
        return text if len(text) < 400 else len(text)


def main():
    ours, theirs = (address.rstrip("/") for address in sys.argv[1:3])
    count, unexplained = 0, 0
    for method, path, body in requests():
        if method == "WAIT":
            wait(ours), wait(theirs)
            continue
        count += 1
        pair = [send(base, method, path, body) for base in (ours, theirs)]
        bodies = [parsed(answer) for answer in pair]
        if path == "/object_info":
            shared = [node for node in bodies[0] if node in bodies[1]]
            print(f"{len(shared)} nodes are in both")
            bodies = [{node: body[node] for node in shared} for body in bodies]
        answers = ({"status": answer[0], "type": answer[1], "body": body} for answer, body in zip(pair, bodies))
        found = [*differences(*answers)]
        for place, a, b in found:
            line = f"{method} {path} {place} " + (str(body) if isinstance(body, bytes) else "")
            reason = next((reason for pattern, reason in EXPECTED.items() if re.search(pattern, line)), None)
            if reason is None:
                unexplained += 1
                shown = "" if body is None else f" {json.dumps(body)[:300] if not isinstance(body, bytes) else body}"
                print(f"{line}{shown}\n    ours   {str(a)[:300]}\n    theirs {str(b)[:300]}")
    print(f"{count} requests, {unexplained} unexplained differences")
    return unexplained > 0


if __name__ == "__main__":
    sys.exit(main())
