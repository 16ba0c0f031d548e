#!/usr/bin/env python3
"""The check with stand-ins for the program, PyTorch, nvidia-smi and compute-sanitizer: what its table says of them."""

import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

# Acts as `vitascope`, and, where its first argument is peer.py, as PyTorch. SECONDS and FAULT steer it.
PROGRAM = """
    import json, os, sys, time
    words = sys.argv[1:]
    fault = os.environ.get("FAULT", "")
    seconds = json.loads(os.environ.get("SECONDS", "{}"))
    def value(name):
        return words[words.index(name) + 1] if name in words else ""
    if words == ["--version"]:
        print("vitascope 0.0.0")
    elif words[0] == "selftest" and "--list" in words:
        print("good\\nbad\\nslow\\nbroken")
    elif words[0] == "selftest" and "--json" in words:
        if fault == "crash":
            sys.exit("error: the card fell off the bus")
        line = lambda name, **more: {"name": name, "title": "t", "passed": True, "skipped": False, "error": None,
                                     "error_max": None, "decibels": None, "text": "ok"} | more
        lines = [line("cast", error=1e-3), line("transformer", error=2e-3, error_max=1e-2),
                 line("transformer", error=1e-2, error_max=3e-2), line("video", decibels=41.5)]
        if fault == "wrong":
            lines[0] |= {"passed": False, "text": "WRONG 1.0e-1"}
        print(json.dumps(lines))
        sys.exit(fault == "wrong")
    else:
        side = "peer" if words[0].endswith("peer.py") else value("--numbers") or "ours"
        if "-v" in words:
            words.remove("-v")
        network = words[1]
        if fault == f"{network} {side}":
            sys.exit("error: no room on the card for 1 GiB")
        took = seconds.get(f"{network} {side}", 1.0) * (seconds.get("limited", 1.0) if "--vram-budget" in words else 1.0)
        if "--asked" in words:
            print(json.dumps({"ready": True}), flush=True)
            for _ in sys.stdin:
                if fault == f"{network} {side} hangs":
                    time.sleep(60)
                print(json.dumps({"seconds": took}), flush=True)
        card = {"utilisation": 0.7, "matrix_gflops": 800e3, "swapped_blocks": 0, "bytes_peak": 1}
        print(json.dumps({"seconds_median": took, "card": card} | ({"torch": "2.11"} if side == "peer" else {})))
"""

SMI = """
    import sys, time
    if "-lms" in sys.argv:
        for used in [600, 600, 18600, 20600, 9600]:
            print(used, flush=True)
            time.sleep(0.01)
        time.sleep(30)
    print("NVIDIA H200, 580.1, 143771 MiB")
"""

SANITIZER = """
    import sys, time
    words = sys.argv[1:]
    op = words[words.index("--op") + 1]
    if op == "slow":
        time.sleep(60)
    sys.exit({"good": 0, "bad": 86}.get(op, 1))
"""


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name, text in [("vitascope", PROGRAM), ("nvidia-smi", SMI)]:
            self.add(name, text)

    def add(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def check(self, *arguments, seconds="{}", fault=""):
        """Code and table."""
        program = os.path.join(self.folder, "vitascope")
        out = os.path.join(self.folder, "out")
        command = [sys.executable, os.path.join(HERE, "check.py"), "--binary", program, "--python", program, "--out", out]
        path = self.folder + os.pathsep + os.path.dirname(sys.executable)
        variables = {"PATH": path, "SECONDS": seconds, "FAULT": fault}
        done = subprocess.run([*command, *arguments], env=variables, capture_output=True, text=True, timeout=60)
        self.log = done.stderr
        return done.returncode, done.stdout

    def assert_row(self, table, measure, *cells):
        rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines() if line.startswith("|")]
        row = next((row for row in rows if row[0] == measure), None)
        self.assertIsNotNone(row, f"{measure}\n{table}\n{self.log}")
        self.assertEqual(tuple(row[1:]), cells, table)

    def test_times_become_ratios_and_goals(self):
        seconds = '{"dit peer": 10, "dit bf16": 7.5, "dit fp8": 5.1, "dit ours": 8, "vae-decode ours": 0.5, "umt5 peer": 0.5}'
        code, table = self.check("--only", "14b", "5b", "vae", "text", "end-to-end", seconds=seconds)
        step = "14B step, guidance, 832x480x81"
        self.assert_row(table, f"{step}, bf16", "7.500 s", "10.000 s", "0.750", "<= 0.80", "yes")
        self.assert_row(table, f"{step}, fp8", "5.100 s", "10.000 s", "0.510", "<= 0.50", "NO")
        self.assert_row(table, "utilisation of the bf16 step", "70.0 %, of 800 TFLOP/s", "-", "-", ">= 65 %", "yes")
        self.assert_row(table, "TI2V 5B step, 1280x704x121", "8.000 s", "10.000 s", "0.800", "<= 0.80", "yes")
        self.assert_row(table, "VAE 2.1 decode, 832x480x81", "0.500 s", "1.000 s", "0.500", "<= 0.60", "yes")
        self.assert_row(table, "text encoder, 512 tokens", "1.000 s", "0.500 s", "2.000", "<= 1.00", "NO")
        # 40 steps, two texts, a picture, encoding, half a second of decoding.
        whole = "14B I2V 480p, 81 frames, 40 steps"
        self.assert_row(table, f"{whole}, bf16", "304.5 s", "216 s", "1.410", "< 216 s (official 366 s)", "NO")
        self.assert_row(table, f"{whole}, fp8", "208.5 s", "191 s", "1.092", "< 191 s (official 366 s)", "NO")
        self.assertIn("NVIDIA H200, 580.1, 143771 MiB, PyTorch 2.11", table)
        self.assertEqual(code, 1)

    def test_what_fails_is_said_and_the_rest_goes_on(self):
        code, table = self.check("--only", "14b", "5b", "end-to-end", fault="dit peer")
        self.assert_row(table, "14B step, guidance, 832x480x81, bf16", "1.000 s", "-", "-", "<= 0.80", "-")
        self.assertIn("dit, PyTorch ended with 1: error: no room on the card for 1 GiB", table)
        self.assert_row(table, "TI2V 5B step, 1280x704x121", "1.000 s", "-", "-", "<= 0.80", "-")
        self.assertIn("without text, vision, encode, decode, which were not measured", table)
        self.assertIn("not run: selftest, vae, text, budget, jobs, sanitizer", table)
        code, table = self.check("--only", "14b", "selftest", fault="dit fp8")
        self.assert_row(table, "14B step, guidance, 832x480x81, fp8", "-", "1.000 s", "-", "<= 0.50", "NO")
        self.assert_row(table, "14B step, guidance, 832x480x81, bf16", "1.000 s", "1.000 s", "1.000", "<= 0.80", "NO")
        # Those of before are still there.
        self.assert_row(table, "TI2V 5B step, 1280x704x121", "1.000 s", "-", "-", "<= 0.80", "-")
        self.assertEqual(code, 1)

    def test_a_side_that_hangs_ends_with_its_part(self):
        code, table = self.check("--only", "5b", "selftest", "--minutes", "0.05", fault="dit ours hangs")
        self.assertIn("dit bf16 took longer than the time that was left", table)
        self.assertEqual(code, 1)

    def test_the_self_test_is_summed_up(self):
        code, table = self.check("--only", "selftest")
        self.assert_row(table, "self-test, cases that are wrong", "0 of 4", "-", "-", "<= 0", "yes")
        self.assert_row(table, "networks against the processor, bf16", "2.0e-03", "-", "-", "<= 0.01", "yes")
        self.assert_row(table, "networks against the processor, fp8", "1.0e-02", "-", "-", "<= 0.03", "yes")
        self.assert_row(table, "whole video against the processor, dB", "41.5", "-", "-", ">= 35", "yes")
        self.assertEqual(code, 0, table)
        code, table = self.check("--only", "selftest", fault="wrong")
        self.assert_row(table, "self-test, cases that are wrong", "1 of 4", "-", "-", "<= 0", "NO")
        self.assertIn("cast t: WRONG 1.0e-1", table)
        code, table = self.check("--only", "selftest", fault="crash")
        self.assertIn("the self-test ended with 1: error: the card fell off the bus", table)
        self.assertEqual(code, 1)

    def test_budgets_are_held_against_nvidia_smi(self):
        _, table = self.check("--only", "budget", seconds='{"limited": 1.2}')
        label = "TI2V 5B, bf16, within 22GB beside no bound"
        self.assert_row(table, label, "1.200 s", "1.000 s", "1.200", "<= 1.15", "NO")
        self.assert_row(table, "TI2V 5B, bf16, most that nvidia-smi saw", "20.97 GB", "-", "-", "<= 22GB", "yes")
        self.assert_row(table, "A14B, fp8, most that nvidia-smi saw", "20.97 GB", "-", "-", "<= 22GB", "yes")

    def test_the_sanitizer_looks_at_each_kernel(self):
        _, table = self.check("--only", "sanitizer")
        self.assertIn("skipped: compute-sanitizer is not installed", table)
        self.add("compute-sanitizer", SANITIZER)
        code, table = self.check("--only", "sanitizer", "--minutes", "0.15")
        for tool in ["memcheck", "racecheck"]:
            measure = f"compute-sanitizer {tool}, kernels with findings"
            self.assert_row(table, measure, "1 of 2", "-", "-", "<= 0", "NO")
            self.assertIn(f"{measure}: findings: bad; the self-test itself fails: broken; no time was left: slow", table)
        self.assertEqual(code, 1)

    def test_bad_arguments(self):
        for arguments, words in [
            (["--only", "14c"], "invalid choice: '14c'"),
            (["--binary", "/none"], "`/none` is no program; build it with `cargo build --release`"),
        ]:
            code, _ = self.check(*arguments)
            self.assertEqual(code, 2)
            self.assertIn(words, self.log)


if __name__ == "__main__":
    unittest.main()
