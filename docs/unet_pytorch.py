"""onsager's U-Net in PyTorch: `unet = load("model.safetensors")` predicts the noise in images x [n, c, h, w] at times t [n] from 0 to 1000.

A model with classes takes them too, `unet(x, t, classes)`, its number of classes standing for 'no class'; one with a learned variance gives
[n, 2 c, h, w], the noise and then v.
"""

import json
import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, pad, scaled_dot_product_attention, silu


class Attention(nn.Module):
    def __init__(self, channels, groups, heads):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(groups, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        parts = self.qkv(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1))
        mixed = scaled_dot_product_attention(*parts.transpose(3, 4).unbind(1))
        return x + self.out(mixed.transpose(2, 3).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, inputs, outputs, c, attends):
        super().__init__()
        self.scale_shift = c["scale_shift"]
        self.norm1, self.norm2 = nn.GroupNorm(c["groups"], inputs), nn.GroupNorm(c["groups"], outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=self.scale_shift)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(c["embedding"], outputs * (2 if self.scale_shift else 1))
        self.dropout = nn.Dropout(c["dropout"])
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attention = Attention(outputs, c["groups"], c["heads"]) if attends else nn.Identity()

    def forward(self, x, time):
        h, time = self.conv1(silu(self.norm1(x))), self.time(time)[:, :, None, None]
        if self.scale_shift:
            scale, shift = time.chunk(2, 1)
            h = self.norm2(h) * (1 + scale) + shift
        else:
            h = self.norm2(h + time)
        return self.attention(self.conv2(self.dropout(silu(h))) + self.skip(x))


class Unet(nn.Module):
    """`config` is the model's `network.unet`; what it does not say is as by default."""

    def __init__(self, shape, variance=False, classes=0, **config):
        super().__init__()
        c = {"channels": 32, "multipliers": [1, 1], "blocks": 1, "groups": 8, "embedding": 64, "attention": [], "heads": 1}
        c |= {"scale_shift": False, "dropout": 0.0} | config
        self.embedding, self.multiple = c["embedding"], 2 ** (len(c["multipliers"]) - 1)
        widths, sizes, current = [m * c["channels"] for m in c["multipliers"]], [], c["channels"]
        self.time = nn.ModuleDict({i: nn.Linear(self.embedding, self.embedding) for i in "12"})
        self.classes = nn.Embedding(classes + 1, self.embedding) if classes else None
        self.enter = nn.Conv2d(shape[0], current, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            self.down.append(nn.ModuleList())
            for _ in range(c["blocks"]):
                self.down[-1].append(Block(current, width, c, level in c["attention"]))
                current = width
                sizes.append(width)
        middle = [True, False] if c["attention"] else [False]
        self.middle = nn.ModuleList(Block(current, current, c, attends) for attends in middle)
        for level, width in reversed(list(enumerate(widths))):
            self.up.append(nn.ModuleList())
            for _ in range(c["blocks"]):
                self.up[-1].append(Block(current + sizes.pop(), width, c, level in c["attention"]))
                current = width
        outputs = shape[0] * (2 if variance else 1)
        self.norm, self.out = nn.GroupNorm(c["groups"], current), nn.Conv2d(current, outputs, 3, padding=1)

    def forward(self, x, t, classes=None):
        half, (height, width) = self.embedding // 2, x.shape[2:]
        phase = t[:, None] * torch.exp(-math.log(10_000) / half * torch.arange(half, device=t.device))
        time = self.time["2"](silu(self.time["1"](torch.cat([phase.cos(), phase.sin()], 1))))
        if self.classes is not None:
            none = torch.full(t.shape, self.classes.num_embeddings - 1, device=t.device)
            time = time + self.classes(none if classes is None else classes)
        time = silu(time)
        h = self.enter(pad(x, (0, -width % self.multiple, 0, -height % self.multiple)))
        skips = []
        for level, level_blocks in enumerate(self.down):
            h = avg_pool2d(h, 2) if level else h
            for block in level_blocks:
                h = block(h, time)
                skips.append(h)
        for block in self.middle:
            h = block(h, time)
        for level, level_blocks in enumerate(self.up):
            h = interpolate(h, scale_factor=2) if level else h
            for block in level_blocks:
                h = block(torch.cat([h, skips.pop()], 1), time)
        return self.out(silu(self.norm(h)))[:, :, :height, :width]


def load(path):
    """The U-Net in a file that a `train` stage wrote, for evaluation."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        model = json.loads(file.metadata()["onsager"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    unet = Unet(model["shape"], **model.get("head", {}), **model["network"]["unet"])
    unet.load_state_dict({rename(name, len(unet.up)): permute(w, name) for name, w in weights.items()})
    return unet.eval()


def rename(name, levels):
    """onsager's `d0.1.conv1.w` is `down.0.1.conv1.weight` here, `u0.1` counts its levels from the top."""
    head, _, rest = name.partition(".")
    if head[0] in "du" and head[1:].isdigit():
        level = int(head[1:])
        head = f"down.{level}" if head[0] == "d" else f"up.{levels - 1 - level}"
    elif name.startswith("out.norm"):
        head, rest = "norm", rest.removeprefix("norm.")
    head = {"in": "enter", "m": "middle.0", "m2": "middle.1", "class": "classes"}.get(head, head)
    name = f"{head}.{rest}"
    for ours, theirs in ((".gamma", ".weight"), (".beta", ".bias"), (".w", ".weight"), (".b", ".bias")):
        if name.endswith(ours):
            return name.removesuffix(ours) + theirs
    return name


def permute(w, name):
    """Filters [3, 3, in, out] and matrices [in, out] in PyTorch's order; those at each pixel are 1×1 convolutions there."""
    if w.dim() == 4:
        return w.permute(3, 2, 0, 1).contiguous()
    if w.dim() == 2 and name != "class.w":
        pixelwise = ".skip." in name or ".attention." in name
        return w.t().contiguous()[:, :, None, None] if pixelwise else w.t().contiguous()
    return w
