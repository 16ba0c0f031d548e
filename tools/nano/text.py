"""The UMT5 text encoder in Comfy's naming, and its small sentencepiece vocabulary."""

import io
import math

import numpy as np
import sentencepiece
import torch
import torch.nn as nn
import torch.nn.functional as F
from sentencepiece import sentencepiece_model_pb2

import world

VOCABULARY = 640
WHOLE_WORD_SCORE = -6.0  # above the sum of any two parts, so that a known word is one piece
WIDTH, HEADS, HEAD_WIDTH, FEED_FORWARD, LAYERS = 128, 2, 64, 256, 2
BUCKETS, MAX_DISTANCE = 32, 128

# Words of the larger world and of common prompts, so that they stay whole when the vocabulary is kept.
LATER_WORDS = """grows bigger larger shrinks smaller growing shrinking circle circles around moves in a circle two and
orange purple pink cyan gray grey brown dark light big small large tiny triangle star fast slow slowly quickly then while
left right top bottom corner center middle from to toward across screen bounces spins rotates flies rolls jumps
scene shows with over under near beside above below animation picture image sky floor wall""".split()
LATER_CHINESE = ("变大缩小放大收缩旋转绕着圈转圆周运动两个和橙紫粉灰棕大小快慢地速三角形星跳弹滚飞到中间角落上方下方左方右方"
                 "一张视频画面里有动画天空地板墙深浅色从往朝着向底顶部同时")


def chinese_characters():
    text = "".join(str(value) for table in (world.CHINESE_COLOURS, world.CHINESE_SHAPES, world.CHINESE_MOTIONS,
                                            world.CHINESE_BACKGROUNDS) for value in table.values())
    return sorted({char for char in text + LATER_CHINESE + "一个的" if ord(char) > 0x2E7F and char not in "，。"})


def train_vocabulary(path):
    """Writes a sentencepiece unigram model: every Chinese character is a piece, frequent words stay whole. The
    normaliser only lowers A-Z and narrows full-width signs, so its table is small."""
    rng = np.random.default_rng(7)
    lines = [world.draw_caption(rng, world.draw_scene(rng), "en") for _ in range(6000)]
    lines += [" ".join(rng.permutation(LATER_WORDS)[:12]) for _ in range(1500)]
    lines += ["a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 . , ! ? : ; ' \" - ( )"] * 20
    rules = [(upper, upper + 32) for upper in range(0x41, 0x5B)] + [(0x3000, 0x20), (0x3002, 0x2E)]
    rules += [(wide, wide - 0xFEE0) for wide in range(0xFF01, 0xFF5F) if not 0xFF21 <= wide <= 0xFF3A]
    rules += [(wide, wide - 0xFEE0 + 32) for wide in range(0xFF21, 0xFF3B)]
    table = str(path) + ".rules.tsv"
    with open(table, "w") as file:
        file.writelines(f"{source:X}\t{target:X}\n" for source, target in rules)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=VOCABULARY,
        hard_vocab_limit=False, user_defined_symbols=chinese_characters(), pad_id=0, eos_id=1, bos_id=2, unk_id=3,
        pad_piece="<pad>", eos_piece="</s>", bos_piece="<s>", unk_piece="<unk>", normalization_rule_tsv=table,
        character_coverage=1.0, num_threads=1, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    present = {piece.piece for piece in proto.pieces}
    for word in sorted({word.strip(".,:") for line in lines[:7500] for word in line.lower().split()}):
        if "\u2581" + word not in present:
            proto.pieces.add(piece="\u2581" + word, score=WHOLE_WORD_SCORE)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    proto.trainer_spec.input.clear()
    with open(path, "wb") as file:
        file.write(proto.SerializeToString())


class Tokenizer:
    def __init__(self, model):
        self.model = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __call__(self, texts, least=1):
        """Ids [batch, longest or `least`] padded with 0, and the number of real ids (with the end token) of each text."""
        ids = [self.model.encode(text) + [1] for text in texts]
        lengths = torch.tensor([len(row) for row in ids])
        out = torch.zeros(len(ids), max(least, int(lengths.max())), dtype=torch.long)
        for row, line in zip(out, ids):
            row[: len(line)] = torch.tensor(line)
        return out, lengths


class T5Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6) * self.weight


class SelfAttention(nn.Module):
    def __init__(self):
        super().__init__()
        inner = HEADS * HEAD_WIDTH
        self.q, self.k, self.v = (nn.Linear(WIDTH, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, WIDTH, bias=False)
        self.relative_attention_bias = nn.Embedding(BUCKETS, HEADS)
        nn.init.normal_(self.q.weight, std=(WIDTH * HEAD_WIDTH) ** -0.5)
        for layer in (self.k, self.v):
            nn.init.normal_(layer.weight, std=WIDTH**-0.5)
        nn.init.normal_(self.o.weight, std=inner**-0.5)
        nn.init.normal_(self.relative_attention_bias.weight, std=0.3)

    def forward(self, x, lengths):
        b, n, _ = x.shape
        split = lambda y: y.view(b, n, HEADS, HEAD_WIDTH).transpose(1, 2)
        position = torch.arange(n)
        bias = self.relative_attention_bias(bucket(position[None, :] - position[:, None])).permute(2, 0, 1)[None]
        masked = position[None, :] >= lengths[:, None]
        bias = bias.expand(b, -1, -1, -1).masked_fill(masked[:, None, None], -1e9)
        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype), scale=1.0)
        return self.o(out.transpose(1, 2).reshape(b, n, -1))


def bucket(relative):
    half, exact = BUCKETS // 2, BUCKETS // 4
    distance = relative.abs()
    far = exact + (torch.log(distance.clamp_min(1).float() / exact) / math.log(MAX_DISTANCE / exact)
                   * (half - exact)).long()
    return (relative > 0).long() * half + torch.where(distance < exact, distance, far.clamp_max(half - 1))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(WIDTH, FEED_FORWARD, bias=False) for _ in range(2))
        self.wo = nn.Linear(FEED_FORWARD, WIDTH, bias=False)
        for layer in (self.wi_0, self.wi_1):
            nn.init.normal_(layer.weight, std=WIDTH**-0.5)
        nn.init.normal_(self.wo.weight, std=FEED_FORWARD**-0.5)

    def forward(self, x):
        return self.wo(F.gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))


class AttentionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.SelfAttention = SelfAttention()
        self.layer_norm = T5Norm(WIDTH)


class FeedForwardLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.DenseReluDense = FeedForward()
        self.layer_norm = T5Norm(WIDTH)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.ModuleList([AttentionLayer(), FeedForwardLayer()])

    def forward(self, x, lengths):
        attention, feed_forward = self.layer
        x = x + attention.SelfAttention(attention.layer_norm(x), lengths)
        return x + feed_forward.DenseReluDense(feed_forward.layer_norm(x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.final_layer_norm = T5Norm(WIDTH)


class TextEncoder(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.shared = nn.Embedding(vocabulary, WIDTH)
        self.encoder = Encoder()

    def forward(self, ids, lengths):
        """[batch, tokens, WIDTH]; rows at and beyond a text's length are zero."""
        x = self.shared(ids)
        for block in self.encoder.block:
            x = block(x, lengths)
        x = self.encoder.final_layer_norm(x).float()
        return x * (torch.arange(x.shape[1])[None, :] < lengths[:, None])[..., None]
