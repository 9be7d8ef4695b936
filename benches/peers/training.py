#!/usr/bin/env python3
"""A training step and a forward pass beside PyTorch's and candle's own operations, in one interleaved run.

    cargo build --release --workspace --bench training
    python3 benches/peers/training.py --bench "$(ls -t target/release/deps/training-* | grep -v '\\.d$' | head -1)"

First PyTorch loads two networks of ours, one of them with every kind of layer, and predicts what they predict. Then
the U-Net of 1.3 million parameters on a batch of 64 images 1×32×32, and two MLPs on a batch of 512 points, f32, AdamW.
PyTorch has fused AdamW and is eager (channels-last and not), compiled by `torch.compile`, and in bfloat16 autocast. Each
side is a process of its own that does the same number of steps in turn; tables give medians and the ratio to PyTorch's
fastest f32. With two benches, a new one and an old one, both take turns with the rest. See README.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import measure

HERE = Path(__file__).resolve().parent
# Multiply-adds of a forward pass, times 2 (multiply and add), 3 (forward and both gradients) and the batch.
STEP_GFLOP = {"unet": 69.7, "mlp-128": 0.145, "mlp-256": 0.72}
BATCH = {"unet": 64, "unet-all": 22, "mlp-128": 512, "mlp-256": 512}


def python():
    """A Python with PyTorch on the CPU: this one, or a throw-away environment outside the clone."""
    try:
        import torch  # noqa: F401

        return sys.executable
    except ImportError:
        pass
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onsager-peers-torch"
    if not (place / "ready").exists():
        venv.create(place, with_pip=True)
        subprocess.run([place / "bin" / "pip", "install", "-q", "torch", "numpy", "safetensors"], check=True)
        (place / "ready").touch()
    return str(place / "bin" / "python")


class Side:
    """A process that answers lines, with its times."""

    def __init__(self, name, command):
        self.name, self.figures = name, {}
        # candle's elementwise operations would spin in a second pool of threads; workers of onsager turn it off too.
        env = dict(os.environ, PYTHONPATH=str(HERE.parents[1] / "docs"), CANDLE_NUM_THREADS="1")
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def ask(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise measure.Failed(f"{self.name}: ended at `{line}`")
        return answer.strip()

    def cpu(self):
        """The CPU seconds of all threads so far."""
        total = 0
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def time(self, what, count):
        import time

        cpu, wall = self.cpu(), time.perf_counter()
        self.ask(f"{what} {count}")
        wall, cpu = time.perf_counter() - wall, self.cpu() - cpu
        self.figures.setdefault(what, []).append((cpu / count, wall / count))

    def median(self, what, which):
        return measure.median([figure[which] for figure in self.figures[what]])

    def peak_memory(self):
        return measure._high_water(self.child.pid)

    def end(self):
        self.child.stdin.close()
        self.child.wait()


def compare(network, threads, args, torch):
    """Runs all sides in turn and prints a table. Returns the ratios to PyTorch."""
    batch = BATCH[network]
    worker = [torch, __file__, "--worker", network, str(threads)]
    sides = [Side("onsager", [args.bench[0], network, "ours", str(threads), str(batch)])]
    for old in args.bench[1:]:
        sides.append(Side("onsager, old", [old, network, "ours", str(threads), str(batch)]))
    sides.append(Side("PyTorch", [*worker, "contiguous"]))
    if network == "unet":
        sides.append(Side("PyTorch, channels-last", [*worker, "channels-last"]))
    for layout in args.also.split(",") if args.also else []:
        sides.append(Side(f"PyTorch, {layout}", [*worker, layout]))
    if args.candle:
        sides.append(Side("candle's operations", [args.bench[0], network, "candle", str(threads), str(batch)]))
    counts = {"step": 1, "forward": 3} if network == "unet" else {"step": 50, "forward": 100}
    for side in list(sides):
        try:
            side.ask("step 2")
            side.ask("forward 1")
        except measure.Failed as failure:
            if side.name in ("onsager", "PyTorch"):
                raise
            print(f"Left out, because it failed: {failure}")
            sides.remove(side)
    for round in range(args.rounds):
        for what, count in counts.items():
            for side in sides:
                slow = side.name == "candle's operations"
                if not slow or round < 2:
                    side.time(what, count if not slow else 1)
    # A bfloat16 result has an eighth of the digits, so it is shown and not compared.
    peers = [side for side in sides if side.name.startswith("PyTorch") and "bfloat16" not in side.name]
    parameters, fma = sides[0].ask("count"), float(sides[0].ask("peak"))
    print(f"\n### {network}, {parameters} parameters, batch {batch}, {threads} thread{'s' * (threads > 1)}\n")
    print("| | step: CPU, ms | wall, ms | GFLOP/s | forward: CPU, ms | wall, ms | peak memory, MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for side in sides:
        numbers = [1e3 * side.median(what, which) for what in ("step", "forward") for which in (0, 1)]
        rate = STEP_GFLOP[network] / side.median("step", 0)
        memory = side.peak_memory()
        print(f"| {side.name} | {numbers[0]:.1f} | {numbers[1]:.1f} | {rate:.0f} | {numbers[2]:.1f} | {numbers[3]:.1f} | {memory:.0f} |")
    ratios = {}
    for what in ("step", "forward"):
        for which, name in ((0, "CPU"), (1, "wall")):
            ratios[f"{what}, {name}"] = sides[0].median(what, which) / min(peer.median(what, which) for peer in peers)
    ratios["memory"] = sides[0].peak_memory() / min(peer.peak_memory() for peer in peers)
    print("\nTo PyTorch: " + "; ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()) + ".")
    for old in (side for side in sides if side.name == "onsager, old"):
        parts = (f"{what}, {name} {sides[0].median(what, which) / old.median(what, which):.2f}" for what in counts for which, name in ((0, "CPU"), (1, "wall")))
        print("To the old bench: " + "; ".join(parts) + ".")
    print(f"Fused multiply-adds at the best, one core: {fma:.0f} GFLOP/s. GFLOP/s count a convolution by its definition, per")
    print("CPU second.")
    for side in sides:
        side.end()
    return ratios


def same_result(network, args, torch):
    """PyTorch loads a file of ours by `docs/unet_pytorch.py` and predicts the same."""
    with tempfile.TemporaryDirectory() as folder:
        model, inputs, ours = (str(Path(folder) / name) for name in ("model.safetensors", "in", "out"))
        side = Side("onsager", [args.bench[0], network, "ours", "2", str(BATCH[network])])
        side.ask("step 5")
        side.ask(f"save {model}")
        peer = Side("PyTorch", [torch, __file__, "--worker", network, "2", "contiguous"])
        peer.ask(f"inputs {inputs}")
        side.ask(f"predict {model} {inputs} {ours}")
        worst, size = map(float, peer.ask(f"compare {model} {inputs} {ours}").split())
        for s in (side, peer):
            s.end()
    print(f"{network}, the same weights and inputs: results of size {size:.2f} differ by at most {worst:.1e}.")
    if not worst < 1e-4 or not size > 1e-3:
        raise measure.Failed("PyTorch predicts something else from our weights")


def work(network, threads, layout):
    """PyTorch's side."""
    import math

    import torch
    from torch import nn
    from torch.nn.functional import silu

    torch.set_num_threads(threads)
    torch.manual_seed(0)

    class Mlp(nn.Module):
        def __init__(self, width, layers):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(width if i else 2, width, bias=False) for i in range(layers))
            self.times = nn.ModuleList(nn.Linear(32, width) for _ in range(layers))
            self.out = nn.Linear(width, 2)
            self.frequencies = torch.exp(-math.log(10_000) / 16 * torch.arange(16))

        def forward(self, x, t):
            phase = t[:, None] * self.frequencies
            embedded = torch.cat([phase.cos(), phase.sin()], 1)
            for layer, time in zip(self.layers, self.times):
                x = silu(layer(x) + time(embedded))
            return self.out(x)

    batch = BATCH[network]
    t = torch.arange(batch) * 1000.0 / batch
    classes = torch.arange(batch) % 11
    if network.startswith("unet"):
        from unet_pytorch import Unet, load

        net, x = Unet([1, 32, 32], multipliers=[1, 2, 4]), torch.randn(batch, 1, 32, 32)
        if layout != "contiguous":
            net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    else:
        net, x = Mlp(*{"mlp-128": (128, 3), "mlp-256": (256, 4)}[network]), torch.randn(batch, 2)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
    if layout == "compiled":
        net = torch.compile(net)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=layout == "bfloat16")
    for line in sys.stdin:
        match line.split():
            case ["step", n]:
                for _ in range(int(n)):
                    optimiser.zero_grad()
                    with autocast:
                        loss = ((net(x, t) - x) ** 2).mean()
                    loss.backward()
                    optimiser.step()
                print(loss.item(), flush=True)
            case ["forward", n]:
                with torch.inference_mode(), autocast:
                    for _ in range(int(n)):
                        y = net(x, t)
                print(y.flatten()[0].item(), flush=True)
            case ["inputs", path]:
                torch.cat([x.flatten(), t]).numpy().tofile(path)
                print("written", flush=True)
            case ["compare", model, inputs, ours]:
                import numpy

                numbers = torch.from_numpy(numpy.fromfile(inputs, "<f4"))
                with torch.inference_mode():
                    y = load(model)(numbers[: x.numel()].view_as(x), numbers[x.numel() :], classes).flatten()
                difference = (y - torch.from_numpy(numpy.fromfile(ours, "<f4"))).abs().max()
                print(difference.item(), y.abs().max().item(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", nargs="+", help="the built `training` bench, and an old one to compare with")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--networks", default="unet,mlp-128,mlp-256")
    parser.add_argument("--candle", action="store_true", help="also our networks on candle's own operations, ten times as slow")
    parser.add_argument("--also", default="compiled,bfloat16", help="more ways to run PyTorch, with commas")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        network, threads, layout = args.worker
        return work(network, int(threads), layout)
    if not args.bench:
        parser.error("--bench is needed: `cargo build --release --workspace --bench training` makes it")
    torch = python()
    print(measure.host("."))
    for network in ("unet", "unet-all"):
        same_result(network, args, torch)
    wanted = {"unet": {"step": 0.75, "forward": 1.0}, "mlp-128": {"step": 0.95}, "mlp-256": {"step": 0.95}}
    for threads in map(int, args.threads.split(",")):
        for network in args.networks.split(","):
            ratios = compare(network, threads, args, torch)
            for what, limit in wanted[network].items():
                for name in ("CPU", "wall"):
                    met = "met" if ratios[f"{what}, {name}"] <= limit else "missed"
                    print(f"- {what}, {name} at most {limit} × PyTorch: {met}")
            print(f"- peak memory at most PyTorch's: {'met' if ratios['memory'] <= 1 else 'missed'}")


if __name__ == "__main__":
    main()
