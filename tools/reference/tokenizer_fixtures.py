"""Fixtures for vita-tokenizer: vocabularies, lines of text and the ids that sentencepiece gives.

    python tools/reference/tokenizer_fixtures.py write               # crates/vita-tokenizer/tests/data and src/data
    python tools/reference/tokenizer_fixtures.py check --seed 7      # 2000 fresh lines through the Rust crate
    python tools/reference/tokenizer_fixtures.py check --model FILE  # the same with a vocabulary of yours

Needs sentencepiece 0.2.3, transformers 5, ftfy 6.3 (and cargo for `check`). Everything is drawn from a seed.
"""

import argparse
import html
import html.entities
import io
import json
import random
import subprocess
import tempfile
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import ftfy
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as model_pb2

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "crates" / "vita-tokenizer"
DATA = CRATE / "tests" / "data"

ENGLISH = """red blue green yellow ball cube circle square triangle moves slowly quickly to the left right up down
a an and the with over under camera pans zooms cinematic light of morning sunset forest river mountain city street at
night rain snow falling woman man child dog cat running walking dancing smiling holding looking through window close-up
wide shot drone view highly detailed 4k 8K film grain bokeh depth field realistic anime style watercolor painting""".split()
CHINESE = """红球 蓝色 方块 圆形 三角形 向左 向右 向上 向下 移动 慢慢 快速 镜头 平移 推近 日落 清晨 森林 河流 山峰 城市 街道 夜晚 下雨 下雪
女人 男人 孩子 小狗 小猫 奔跑 行走 跳舞 微笑 拿着 看着 窗户 特写 全景 航拍 高清 写实 动漫 水彩 一个 在 的 和 了 里 上""".split()
EMOJI = ["🎈", "🔴", "🐱", "👩‍👩‍👧", "👍🏽", "🇨🇳", "❤️", "🏳️‍🌈", "1️⃣", "😀😀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☺", "⛄︎"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2009", "\u200b", "\u2028", "\u205f", "\u1680", " \t "]
CONTROLS = ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b[31m", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\u00ad", "\u200d",
            "\u200e", "\u202e", "\u2060", "\ufeff", "\ufffd", "\ufff9", "\ufffe", "\U000e0001", "\U0010ffff", "\ue000"]
FOLDED = ["ﬁne", "ﷺ", "①②", "㍿", "Ａ１！", "ｶﾞｷﾞ", "½", "²", "Å", "é", "e\u0301", "a\u0300\u0301\u0323", "한글", "\u1112\u1161\u11ab",
          "…", "™", "ﾊﾟ", "Ǆ", "ſt", "ﬆ", "µ", "Ω", "℃", "“curly” ‘quotes’", "ｔｅｓｔ　ｔｅｓｔ", "，。！？", "x\u0338", "\u0301"]
MARKUP = ["<s>", "</s>", "<pad>", "<unk>", "<extra_id_0>", "▁", "▁▁", "▁the", "<0x41>", "<0xE4>", "&amp;", "&amp;lt;", "&#39;", "&#x4e2d;",
          "&#0;", "&#150;", "&notit;", "&Eacute", "(red:1.2)", "\\(", "a_b", "http://x.y/?q=1&copy=2", "1,234.56", "-- no", "it's", "don’t"]
STRANGE = "ঔ"
USER_SYMBOLS = ["红球", "蓝色", "向左", "向左移动", "🎈", "<extra_id_0>", "ball ball", "ﬁ", "a"]
# A few rules of every shape: one to one, one to many, many to one, to nothing, longest match wins, to a space.
RULES = [("Ａ", "A"), ("ﬁ", "fi"), ("…", "..."), ("e\u0301", "é"), ("a\u0300", "à"), ("a\u0300\u0301", "ȃ"), ("\u200b", ""), ("\x01", ""),
         ("\u3000", " "), ("\t", " "), ("\u00a0", " "), ("①", " 1 "), ("👍🏽", "👍"), ("，", ","), ("\n", " ")]


def caption(random_: random.Random, words: list[str], joiner: str) -> str:
    return joiner.join(random_.choice(words) for _ in range(random_.randint(1, 9)))


def any_characters(random_: random.Random) -> str:
    blocks = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0x97F), (0x1100, 0x11FF), (0x2000, 0x2BFF),
              (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF)]
    return "".join(chr(random_.randint(*random_.choice(blocks))) for _ in range(random_.randint(1, 12)))


def repeated(random_: random.Random) -> str:
    """The same few words again and again: several ways to cut it are equally probable, and rounding chooses."""
    words = [random_.choice(ENGLISH + CHINESE + USER_SYMBOLS) for _ in range(random_.randint(1, 3))]
    return caption(random_, words * 2, random_.choice(["", " "]))


def long_line(random_: random.Random) -> str:
    """So improbable a text that the sum of scores starts again: it begins with what is in no vocabulary."""
    return STRANGE * 8000 + caption(random_, ENGLISH + CHINESE, " ") + repeated(random_) * 40


def line(random_: random.Random) -> str:
    """One line: mostly a caption, a quarter of the time a jumble of everything that has ever been odd."""
    kind = random_.randrange(9)
    if kind <= 1:
        return caption(random_, ENGLISH, " ")
    if kind <= 3:
        return caption(random_, CHINESE, "")
    if kind == 4:
        return caption(random_, ENGLISH + CHINESE + EMOJI, random_.choice(["", " "]))
    if kind == 5:
        return any_characters(random_)
    if kind == 6:
        return repeated(random_)
    odd = [ENGLISH, CHINESE, EMOJI, SPACES, SPACES, CONTROLS, FOLDED, MARKUP, USER_SYMBOLS]
    return "".join(random_.choice(random_.choice(odd)) for _ in range(random_.randint(1, 10)))


def lines(seed: int, count: int) -> list[str]:
    random_ = random.Random(seed)
    return ["", " ", "   ", "\t", "a", "中"] + [line(random_) for _ in range(count - 6)]


def fresh_lines(seed: int, count: int) -> list[str]:
    """`lines` and, as the last one of `count`, a long one."""
    return lines(seed, count - 1) + [long_line(random.Random(seed))]


def corpus(seed: int) -> list[str]:
    random_ = random.Random(seed)
    text = [caption(random_, ENGLISH, " ") for _ in range(1500)] + [caption(random_, CHINESE, "") for _ in range(1500)]
    return text + [caption(random_, ENGLISH + CHINESE, " ") for _ in range(300)]


def train(rules: bool = False, **options) -> bytes:
    """Trains a small vocabulary; UMT5's order of special ids unless `options` say otherwise."""
    settings = dict(vocab_size=400, pad_id=0, eos_id=1, bos_id=2, unk_id=3, normalization_rule_name="identity", model_type="unigram",
                    hard_vocab_limit=False, num_threads=1, minloglevel=2, character_coverage=0.995)
    settings.update(options)
    with tempfile.TemporaryDirectory() as folder:
        if rules:
            table = Path(folder) / "rules.tsv"
            code = lambda text: " ".join(f"{ord(c):X}" for c in text)
            table.write_text("".join(f"{code(a)}\t{code(b)}\n" for a, b in RULES))
            settings.pop("normalization_rule_name")
            settings["normalization_rule_tsv"] = str(table)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus(11)), model_writer=model, **settings)
    proto = model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    # The temporary path of the rules is no part of a reproducible file.
    proto.normalizer_spec.ClearField("normalization_rule_tsv")
    proto.trainer_spec.ClearField("input")
    return proto.SerializeToString()


MODELS = {
    "nmt_nfkc": lambda: train(normalization_rule_name="nmt_nfkc", vocab_size=300),
    "user_defined": lambda: train(rules=True, user_defined_symbols=USER_SYMBOLS),
    "byte_fallback": lambda: train(rules=True, byte_fallback=True, vocab_size=600, character_coverage=0.98),
    "identity": lambda: train(pad_id=-1, unk_id=0, bos_id=1, eos_id=2, remove_extra_whitespaces=False, add_dummy_prefix=False,
                              split_by_whitespace=False),
    "suffix": lambda: train(treat_whitespace_as_suffix=True, allow_whitespace_only_pieces=True, eos_piece="<end>", vocab_size=250),
}

# Has the character rules that UMT5's vocabulary has; its ids are written for every line, the others' for fewer.
UMT5_LIKE, FEWER_LINES = "nmt_nfkc", 600


def special(processor: sentencepiece.SentencePieceProcessor) -> dict:
    ids = {"pad": processor.pad_id(), "eos": processor.eos_id(), "bos": processor.bos_id(), "unk": processor.unk_id()}
    return {role: (id_ if id_ >= 0 else None) for role, id_ in ids.items()}


def tokenizer_json(model: bytes) -> str:
    """The vocabulary as transformers converts it (`tokenizer.json`)."""
    from transformers.convert_slow_tokenizer import T5Converter

    proto = model_pb2.ModelProto()
    proto.ParseFromString(model)
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(model)
        file.flush()
        eos = next(i for i, p in enumerate(proto.pieces) if p.piece == "</s>")
        slow = SimpleNamespace(vocab_file=file.name, _extra_ids=0, convert_tokens_to_ids=lambda _: eos)
        converter = T5Converter(slow)
        converter.unk_id = lambda proto: proto.trainer_spec.unk_id
        return converter.converted().to_str()


def is_convertible(model: bytes) -> bool:
    """Whether `tokenizer.json` can say it: the conversion knows `</s>` and the usual flags only."""
    proto = model_pb2.ModelProto()
    proto.ParseFromString(model)
    normalizer = proto.normalizer_spec
    is_usual = normalizer.add_dummy_prefix and normalizer.remove_extra_whitespaces and not proto.trainer_spec.treat_whitespace_as_suffix
    return is_usual and any(piece.piece == "</s>" for piece in proto.pieces)


def official_clean(text: str, **options) -> str:
    """The cleaning of the official Wan tokenizer: ftfy, unescape twice, strip, collapse white space, strip."""
    import re

    text = html.unescape(html.unescape(ftfy.fix_text(text, **options))).strip()
    return re.sub(r"\s+", " ", text).strip()


def clean_cases(seed: int, count: int) -> list[dict]:
    """`covered` is false where ftfy's repair of mojibake or its NFC step changes the result."""
    cases = []
    for text in lines(seed, count):
        clean = official_clean(text)
        cases.append({"text": text, "clean": clean, "covered": official_clean(text, fix_encoding=False, normalization=None) == clean})
    return cases


def write_tables() -> None:
    """Data compiled into the crate: HTML's named characters, and the standard forms of half and full width characters."""
    folder = CRATE / "src" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    entities = sorted(html.entities.html5.items(), key=lambda entry: entry[0].encode())
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    (folder / "html_entities.tsv").write_text("".join(f"{name}\t{code(text)}\n" for name, text in entities))
    widths = [(0x3000, " ")] + [(i, unicodedata.normalize("NFKC", chr(i))) for i in range(0xFF01, 0xFFF0)]
    (folder / "character_width.tsv").write_text("".join(f"{i:X}\t{code(text)}\n" for i, text in widths if chr(i) != text))


def write(count: int, seed: int) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    write_tables()
    text = lines(seed, count)
    dump(DATA / "lines.json", text)
    dump(DATA / "clean.json", clean_cases(seed + 1, FEWER_LINES))
    long = long_line(random.Random(seed))
    for name, make in MODELS.items():
        model = make()
        (DATA / f"{name}.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        dump(DATA / f"{name}.ids.json", {"special": special(processor), "vocab_size": processor.vocab_size(),
                                              "ids": processor.encode(text if name == UMT5_LIKE else text[:FEWER_LINES])})
        if name == UMT5_LIKE:
            dump(DATA / "long.json", {"strange": STRANGE, "times": long.count(STRANGE), "rest": long.lstrip(STRANGE), "ids": processor.encode(long)})
        if name in ("user_defined", "byte_fallback"):
            (DATA / f"{name}.tokenizer.json").write_text(tokenizer_json(model))


def dump(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("],[", "],\n[") + "\n")


def check(count: int, seed: int, models: list[Path]) -> int:
    """Fresh lines through the Rust crate and through sentencepiece; returns the number of lines that differ."""
    from tokenizers import Tokenizer

    failures = 0
    text = fresh_lines(seed, count)
    for path in models:
        model = path.read_bytes()
        want = sentencepiece.SentencePieceProcessor(model_proto=model).encode(text)
        with tempfile.TemporaryDirectory() as folder:
            files = [path]
            if is_convertible(model):
                files.append(Path(folder) / "tokenizer.json")
                files[1].write_text(tokenizer_json(model))
                other = Tokenizer.from_file(str(files[1]))
                differ = sum(other.encode(t, add_special_tokens=False).ids != w for t, w in zip(text, want))
                print(f"{path.name}: {differ} of {count} lines differ between Hugging Face tokenizers and sentencepiece")
            for file in files:
                command = ["cargo", "run", "--quiet", "--release", "-p", "vita-tokenizer", "--example", "encode_lines", "--", str(file)]
                run = subprocess.run(command, input=json.dumps(text), capture_output=True, text=True, cwd=ROOT, check=True)
                got = json.loads(run.stdout)
                wrong = [(t, w, g) for t, w, g in zip(text, want, got) if w != g]
                print(f"{path.name} as {file.name}: {len(wrong)} of {count} lines differ from sentencepiece; {run.stderr.strip()}")
                for t, w, g in wrong[:5]:
                    print(f"  {t!r}\n    sentencepiece {w}\n    vita-tokenizer {g}")
                failures += len(wrong)
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, count, seed in [("write", 2000, 1), ("check", 2000, 2)]:
        command = commands.add_parser(name)
        command.add_argument("--lines", type=int, default=count)
        command.add_argument("--seed", type=int, default=seed)
    commands.choices["check"].add_argument("--model", type=Path, action="append")
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.lines, arguments.seed)
    elif check(arguments.lines, arguments.seed, arguments.model or sorted(DATA.glob("*.model"))) > 0:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
