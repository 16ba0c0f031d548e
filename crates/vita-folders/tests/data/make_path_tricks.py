"""Writes path_tricks.json: names that try to leave a directory, in every spelling we know of.

Run it after editing the lists: `python3 make_path_tricks.py`. Each name tries to reach `secret.txt` beside the
directory, or a file of the system; the tests hold every route that takes a name to the whole list.
"""

import json
import pathlib

UP = [
    "..", "../", "..\\", ".. ", ".. .", "...", "....", "..;", "..\t", "..\u0000", "%2e%2e", "%2E%2E", "%252e%252e",
    ".%2e", "%2e.", "..%00", "%c0%ae%c0%ae", "%c0%2e", "%u002e%u002e", "\u2025", "\uff0e\uff0e", "\u2024\u2024",
    "\u0323.\u0323.", "..\u200b", "\u200b..", "..\u202e", "..\ufeff", ".\u00ad.", "&#46;&#46;", "..%ff",
]
SEPARATORS = ["/", "\\", "//", "\\\\", "/./", "%2f", "%5c", "%252f", "%c0%af", "\u2215", "\u2044", "\uff0f", "\uff3c", "\u29f8"]
ENDS = ["secret.txt"]

names = [up + separator + end for up in UP for separator in SEPARATORS for end in ENDS]

names += ["../" * depth + "etc/passwd" for depth in range(1, 13)]
names += ["..\\" * depth + "windows\\win.ini" for depth in range(1, 7)]
names += ["a/" * depth + "../" * (depth + 1) + "secret.txt" for depth in range(1, 6)]
names += ["a\\" * depth + "..\\" * (depth + 1) + "secret.txt" for depth in range(1, 6)]

names += [
    "/etc/passwd", "//etc/passwd", "///etc/passwd", "/./etc/passwd", "/../etc/passwd", "\\etc\\passwd", "\\/etc/passwd",
    "/proc/self/environ", "/proc/self/root/etc/passwd", "/dev/null", "/dev/zero", "/dev/stdin", "/dev/fd/0",
    "file:///etc/passwd", "file://localhost/etc/passwd", "http://127.0.0.1/x", "~/.ssh/id_rsa", "~root/.bashrc",
    "$HOME/.bashrc", "${HOME}/.bashrc", "%HOME%/x", "%USERPROFILE%\\x", "`id`", "$(id)", "|id", ";id", "&&id", "-rf",
    "C:\\Windows\\win.ini", "C:/Windows/win.ini", "c:win.ini", "C:", "C:\\", "C:/", "z:/x", "a/C:/x", "a\\C:\\x",
    "\\\\server\\share\\x", "//server/share/x", "\\\\?\\C:\\x", "\\\\.\\C:\\x", "\\\\.\\pipe\\x", "\\\\?\\UNC\\s\\x",
    "\\??\\C:\\x", "\\Device\\HarddiskVolume1\\x", "\\\\localhost\\c$\\x",
    "CON", "con", "PRN", "AUX", "NUL", "nul.txt", "COM1", "com9.png", "LPT1", "lpt5.txt", "CONIN$", "CONOUT$", "CLOCK$",
    "COM\u00b9", "LPT\u00b2", "aux.tar.gz", "a/NUL", "a\\con\\b", "NUL .txt", "nul:", "CON:x",
    "x.txt::$DATA", "x.txt:stream", "secret.txt:$DATA", "dir::$INDEX_ALLOCATION/x", "a:b:c",
    "x.", "x..", "x. ", "x .", "x ", " ", "  ", ".", "..", "...", "./", ".//", "/", "\\", "//", "", "./.", "./..", "../.",
    "..\u0000.png", "../secret.txt\u0000.png", "x\u0000/../secret.txt", "\u0000", "x\n", "x\r\nSet-Cookie: a=b", "\u001b[2J",
    "x\u007f", "\u0085..", "a\u2028b", "\u202egnp.exe", "x\u0301", "\ud7ff", "\U000e0001", "\U0010ffff",
    "....//secret.txt", "....\\\\secret.txt", "..././secret.txt", "...\\.\\secret.txt", "..//..//secret.txt",
    ".../...//secret.txt", "/..../secret.txt", "./../secret.txt", "././.././secret.txt", "a/./../../secret.txt",
    "a/b/../../../secret.txt", "a//..//..//secret.txt", "a/..", "a/../", "a/../..", "a/../../", "sub/../../secret.txt",
    "../base_sibling/secret.txt", "../base/../secret.txt", "../output/../secret.txt", "..\\output\\x",
    "%00", "%0a", "x%00.png", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%252e%252e%252fetc%252fpasswd", "..%252f..%252fetc",
    "%25252e%25252e%25252f", "%2fetc%2fpasswd", "%5c%5cserver%5cshare", "%uff0e%uff0e%uff0fetc", "..%c1%9c..%c1%9cx",
    "*", "?", "*.png", "[a-z]", "{a,b}", "<x>", "\"x\"", "'x'", "x|y", "a" * 256, "a/" * 65 + "x", "a" * 5000,
    "\u65e5" * 90, "../" * 700 + "etc/passwd", "x [output]", "../secret.txt [output]", "secret.txt [temp]/../x",
    "blake3:" + "0" * 64, ".git/config", ".ssh/authorized_keys", "__proto__", "__system/x", "__pycache__/x.pyc",
]

unique = list(dict.fromkeys(names))
path = pathlib.Path(__file__).with_name("path_tricks.json")
path.write_text(json.dumps(unique, indent=0, ensure_ascii=True) + "\n", encoding="ascii")
print(len(unique), "names")
