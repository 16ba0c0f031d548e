"""Programs that are started, asked, watched, and ended in time."""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time

# Longest that a program may take to end when it is told to.
ENDING_SECONDS = 5


class Failure(Exception):
    """What did not work, in one line."""


class Clock:
    """Time that is left, of a part and of all."""

    def __init__(self, seconds, above=None):
        self.end = time.monotonic() + seconds
        if above:
            self.end = min(self.end, above.end)

    def left(self):
        return self.end - time.monotonic()

    def check(self, what):
        if self.left() <= 0:
            raise Failure(f"no time was left for {what}")


def environment(python):
    """For `vitascope`: NVIDIA's libraries are found beside the Python that has PyTorch."""
    variables = dict(os.environ)
    if python and "VIRTUAL_ENV" not in variables:
        found = shutil.which(python)
        prefix = os.path.dirname(os.path.dirname(found)) if found else None
        if prefix and os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
            variables["VIRTUAL_ENV"] = prefix
    return variables


def run(command, clock, log, variables=None):
    """A program to its end. Returns its code and what it printed; what it said on stderr goes to the log."""
    clock.check(command[0])
    with open(log, "ab") as file:
        file.write(f"$ {' '.join(map(str, command))}\n".encode())
        file.flush()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file, env=variables, start_new_session=True
            )
        except OSError as error:
            raise Failure(f"cannot start `{command[0]}`: {error.strerror}") from error
        try:
            out, _ = process.communicate(timeout=max(clock.left(), 0.1))
        except subprocess.TimeoutExpired as error:
            end(process)
            raise Failure(f"`{short(command)}` took longer than the time that was left") from error
        finally:
            end(process)
        file.write(out)
    return process.returncode, out.decode(errors="replace")


def last_words(log):
    """The last line of a log that says something, for a message."""
    try:
        with open(log, errors="replace") as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith("$ ")]
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith(("error", "Error")) or re.match(r"\w*(Error|Exception): ", line)]
    return (errors or lines or [""])[-1]


def short(command):
    return " ".join([os.path.basename(str(command[0])), *map(str, command[1:3])])


def end(process):
    """Ends a program that was started here, with what it started, if it still runs."""
    if process.poll() is None:
        for number in [signal.SIGTERM, signal.SIGKILL]:
            try:
                os.killpg(process.pid, number)
                process.wait(ENDING_SECONDS)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                pass


class Side:
    """One of those that are compared: it loads once, and runs when it is asked to."""

    def __init__(self, name, command, log, variables=None):
        self.name, self.log = name, log
        with open(log, "ab") as file:
            file.write(f"$ {' '.join(map(str, command))}\n".encode())
            file.flush()
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    env=variables,
                    text=True,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failure(f"cannot start `{command[0]}`: {error.strerror}") from error
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def answer(self, clock):
        """The next line that it prints, as JSON."""
        try:
            line = self.lines.get(timeout=max(clock.left(), 0.1))
        except queue.Empty as error:
            raise Failure(f"{self.name} took longer than the time that was left") from error
        if line is None:
            self.process.wait()
            raise Failure(f"{self.name} ended with {self.process.returncode}: {last_words(self.log)}")
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise Failure(f"{self.name} printed something else than JSON: {line.strip()[:80]}") from error

    def ready(self, clock):
        if not self.answer(clock).get("ready"):
            raise Failure(f"{self.name} did not say that it is ready")
        return self

    def ask(self, clock):
        """Seconds of one more run."""
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except OSError:
            pass  # what it said is in its answer
        return self.answer(clock)["seconds"]

    def done(self, clock):
        """Its last words: all that it measured."""
        self.process.stdin.close()
        text = []
        while True:
            try:
                line = self.lines.get(timeout=max(clock.left(), 0.1))
            except queue.Empty as error:
                raise Failure(f"{self.name} did not end") from error
            if line is None:
                break
            text.append(line)
        if self.process.wait() != 0:
            raise Failure(f"{self.name} ended with {self.process.returncode}: {last_words(self.log)}")
        return json.loads("".join(text))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)


class CardMemory:
    """What `nvidia-smi` says is used of a card, at its most, above what was used before."""

    def __init__(self, index):
        self.tool = shutil.which("nvidia-smi")
        self.index = index

    def __enter__(self):
        self.most = self.before = self.now = None
        if self.tool:
            query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", str(self.index), "-lms", "50"]
            self.process = subprocess.Popen(
                [self.tool, *query], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
            )
            started = threading.Event()
            threading.Thread(target=self.read, args=(started,), daemon=True).start()
            started.wait(10)
        return self

    def read(self, started):
        for line in self.process.stdout:
            try:
                used = int(line) << 20
            except ValueError:
                break  # "[N/A]", or an error in words
            self.now = used
            self.before = used if self.before is None else self.before
            self.most = max(self.most or 0, used)
            started.set()
        started.set()

    def __exit__(self, *_):
        if self.tool:
            end(self.process)

    def peak_bytes(self):
        """None where it is not known."""
        return None if self.most is None else self.most - self.before
