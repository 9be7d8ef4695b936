#!/usr/bin/env python3
"""The order-h likelihood of 1,000 points beside the same in JAX, interleaved.

    pip install jax safetensors && python3 benches/peers/wkb.py --onsager target/release/onsager

Both follow the same equations (there for the end and the likelihood at h = 0, back for its gradient, Hessian and the correction) with Dormand
and Prince's pair at the same tolerance, in f64, on two threads, with one trained model of 3 x 128. JAX: jitted, all points at once by `vmap` of
`odeint`, derivatives by nested forward mode; its compilation is not counted, onsager's start is. See README.md.
"""

import argparse
import csv
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import measure

TRAIN = """\
name: model
stages:
  data: {kind: dataset, params: {name: swiss-roll, points: 3000, seed: 1}}
  train: {kind: score-train, resources: {threads: 2}, inputs: {data: data.train}, params: {steps: STEPS, seed: 1}}
"""
EVALUATE = """\
name: evaluate
stages:
  likelihood:
    kind: score-likelihood
    resources: {threads: 2}
    inputs: {model: {file: artifacts/model/train/model.safetensors}, points: {file: artifacts/model/data/test.safetensors}}
    params: {count: COUNT, tolerance: TOLERANCE}
  mean: {kind: table, inputs: {summary: likelihood.summary}}
"""


def jax_likelihood(model, tolerance):
    """The jitted function from points [n, 2] to (nll, correction), [n] each."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.experimental.ode import odeint
    from safetensors.numpy import load_file

    weights = {name: jnp.asarray(w, jnp.float64) for name, w in load_file(model).items()}
    t_min, t_max = 0.01, 1.0

    def score(x, t):
        h = jnp.append(x, t)
        for name in ("0", "1", "2"):
            h = jax.nn.swish(h @ weights[f"{name}.w"] + weights[f"{name}.b"])
        return h @ weights["out.w"] + weights["out.b"]

    def with_first(x, t):
        """The Jacobian, and s."""

        def primal(x):
            s = score(x, t)
            return s, s

        return jax.jacfwd(primal, has_aux=True)(x)

    def with_third(x, t):
        """∂∂∂s, ∂∂s, ∂s and s in one nest of forward modes."""

        def first(x):
            j, s = with_first(x, t)
            return j, (j, s)

        def second(x):
            hessian, (j, s) = jax.jacfwd(first, has_aux=True)(x)
            return hessian, (hessian, j, s)

        return jax.jacfwd(second, has_aux=True)(x)

    def forth(y, t):
        j, s = with_first(y[0], t)
        half = 10 * t
        return -10 * t * y[0] - half * s, -20 * t - half * jnp.trace(j)

    def back(y, tau):
        t = t_max - tau
        x, p, h, _ = y
        third, (second, j, s) = with_third(x, t)
        half = 10 * t
        flow = -10 * t * jnp.eye(2) - half * j
        dp = half * jnp.einsum("kki->i", second) - flow.T @ p
        dh = half * (jnp.einsum("kkij->ij", third) + jnp.einsum("k,kij->ij", p, second)) - flow.T @ h - h @ flow
        d1 = half * (jnp.trace(h - j) + p @ (p - s))
        return tuple(-d for d in (-10 * t * x - half * s, dp, dh, d1))

    def one(x):
        ends, divergence = odeint(forth, (x, 0.0), jnp.array([t_min, t_max]), rtol=tolerance, atol=tolerance)
        end = ends[1]
        order_0 = -0.5 * end @ end - jnp.log(2 * jnp.pi) + divergence[1]
        start = (end, -end, -jnp.eye(2), 0.0)
        _, _, _, order_1 = odeint(back, start, jnp.array([0.0, t_max - t_min]), rtol=tolerance, atol=tolerance)
        return -order_0, order_1[1]

    return jax.jit(jax.vmap(one))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onsager", default="target/release/onsager", type=Path)
    parser.add_argument("--points", default=1000, type=int)
    parser.add_argument("--tolerance", default=1e-5, type=float)
    parser.add_argument("--steps", default=20000, type=int, help="of the model's training")
    parser.add_argument("--repeats", default=5, type=int)
    args = parser.parse_args()
    onsager = str(args.onsager.resolve())
    folder = Path(tempfile.mkdtemp(prefix="onsager-wkb-"))
    try:
        (folder / "train.yaml").write_text(TRAIN.replace("STEPS", str(args.steps)))
        text = EVALUATE.replace("COUNT", str(args.points)).replace("TOLERANCE", f"{args.tolerance:.1e}")
        (folder / "evaluate.yaml").write_text(text)
        measure.run([onsager, "run", "train.yaml"], folder, os.environ, folder / "output")

        from safetensors.numpy import load_file

        points = load_file(folder / "artifacts/model/data/test.safetensors")["x"][: args.points].astype("float64")
        function = jax_likelihood(folder / "artifacts/model/train/model.safetensors", args.tolerance)
        found = [values.block_until_ready() for values in function(points)]  # compiles
        times = {"onsager run": [], "JAX": []}
        for _ in range(args.repeats):
            start = time.perf_counter()
            found = [values.block_until_ready() for values in function(points)]
            times["JAX"].append(time.perf_counter() - start)
            shutil.rmtree(folder / "fresh", ignore_errors=True)
            command = [onsager, "run", "evaluate.yaml", "--artifacts", "fresh"]
            _, wall, _ = measure.run(command, folder, os.environ, folder / "output")
            times["onsager run"].append(wall)
        ours = next(csv.DictReader(open(folder / "fresh/evaluate/mean/table.csv")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    print(f"{args.points} points, tolerance {args.tolerance:.0e}, a model of {args.steps} steps; seconds\n")
    print("| | median | all | NLL at h = 0 | coefficient of h |")
    print("| --- | --- | --- | --- | --- |")
    means = {"onsager run": (float(ours["nll"]), float(ours["correction"])), "JAX": [float(v.mean()) for v in found]}
    for name, values in times.items():
        every = ", ".join(f"{value:.2f}" for value in values)
        nll, correction = means[name]
        print(f"| {name} | {statistics.median(values):.2f} | {every} | {nll:.5f} | {correction:.4f} |")
    ratio = statistics.median(jax / ours for jax, ours in zip(times["JAX"], times["onsager run"]))
    print(f"\nJAX takes {ratio:.1f} times as long (median of the pairs); the target is 5.")


if __name__ == "__main__":
    main()
