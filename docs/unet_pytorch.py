"""onsager's U-Net in PyTorch: `unet = load("model.safetensors")` predicts the noise in images x [n, c, h, w] at times t [n] from 0 to 1000."""

import json
import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, pad, silu


class Block(nn.Module):
    def __init__(self, inputs, outputs, groups, embedding):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, inputs), nn.GroupNorm(groups, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(embedding, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, time):
        h = self.conv1(silu(self.norm1(x))) + self.time(time)[:, :, None, None]
        return self.conv2(silu(self.norm2(h))) + self.skip(x)


class Unet(nn.Module):
    def __init__(self, shape, channels=32, multipliers=(1, 1), blocks=1, groups=8, embedding=64):
        super().__init__()
        self.embedding, self.multiple = embedding, 2 ** (len(multipliers) - 1)
        widths, sizes, current = [m * channels for m in multipliers], [], channels
        self.time = nn.ModuleDict({i: nn.Linear(embedding, embedding) for i in "12"})
        self.enter = nn.Conv2d(shape[0], channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for width in widths:
            self.down.append(nn.ModuleList())
            for _ in range(blocks):
                self.down[-1].append(Block(current, width, groups, embedding))
                current = width
                sizes.append(width)
        self.middle = Block(current, current, groups, embedding)
        for width in reversed(widths):
            self.up.append(nn.ModuleList())
            for _ in range(blocks):
                self.up[-1].append(Block(current + sizes.pop(), width, groups, embedding))
                current = width
        self.norm, self.out = nn.GroupNorm(groups, current), nn.Conv2d(current, shape[0], 3, padding=1)

    def forward(self, x, t):
        half, (height, width) = self.embedding // 2, x.shape[2:]
        phase = t[:, None] * torch.exp(-math.log(10_000) / half * torch.arange(half, device=t.device))
        time = silu(self.time["1"](torch.cat([phase.cos(), phase.sin()], 1)))
        time = silu(self.time["2"](time))
        h = self.enter(pad(x, (0, -width % self.multiple, 0, -height % self.multiple)))
        skips = []
        for level, level_blocks in enumerate(self.down):
            h = avg_pool2d(h, 2) if level else h
            for block in level_blocks:
                h = block(h, time)
                skips.append(h)
        h = self.middle(h, time)
        for level, level_blocks in enumerate(self.up):
            h = interpolate(h, scale_factor=2) if level else h
            for block in level_blocks:
                h = block(torch.cat([h, skips.pop()], 1), time)
        return self.out(silu(self.norm(h)))[:, :, :height, :width]


def load(path):
    """The U-Net in a file that a `train` stage wrote."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        model = json.loads(file.metadata()["onsager"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    unet = Unet(model["shape"], **model["network"]["unet"])
    unet.load_state_dict({rename(name, len(unet.up)): permute(w, name) for name, w in weights.items()})
    return unet


def rename(name, levels):
    """onsager's `d0.1.conv1.w` is `down.0.1.conv1.weight` here, `u0.1` counts its levels from the top."""
    head, _, rest = name.partition(".")
    if head[0] in "du" and head[1:].isdigit():
        level = int(head[1:])
        head = f"down.{level}" if head[0] == "d" else f"up.{levels - 1 - level}"
    elif name.startswith("out.norm"):
        head, rest = "norm", rest.removeprefix("norm.")
    head = {"in": "enter", "m": "middle"}.get(head, head)
    name = f"{head}.{rest}"
    for ours, theirs in ((".gamma", ".weight"), (".beta", ".bias"), (".w", ".weight"), (".b", ".bias")):
        if name.endswith(ours):
            return name.removesuffix(ours) + theirs
    return name


def permute(w, name):
    """Filters [3, 3, in, out] and matrices [in, out] in PyTorch's order; a skip is a 1×1 convolution there."""
    if w.dim() == 4:
        return w.permute(3, 2, 0, 1).contiguous()
    if w.dim() == 2:
        return w.t().contiguous()[:, :, None, None] if name.endswith("skip.w") else w.t().contiguous()
    return w
