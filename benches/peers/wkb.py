#!/usr/bin/env python3
"""The order-h likelihood of 1,000 points beside the same in JAX, interleaved.

    pip install jax safetensors && python3 benches/peers/wkb.py --onsager target/release/onsager

Both follow the same equations (there for the end and the likelihood at h = 0, back for its gradient, Hessian and the correction) at the same
tolerance, in f64, on the same number of threads, with one trained model of 3 x 128. There, both use Dormand and Prince's pair; back, onsager
evaluates the score's derivatives once at nodes along the path. JAX: jitted, `odeint` vectorised over points; its compilation is not
counted, onsager's start is. All points at once, or in batches of 100. Derivatives by nested forward mode, or by the rules for ten partial
derivatives written out as onsager has them (`written out`). See README.md.
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
    resources: {threads: THREADS}
    inputs: {model: {file: artifacts/model/train/model.safetensors}, points: {file: POINTS}}
    params: {count: COUNT, tolerance: TOLERANCE}
  mean: {kind: table, inputs: {summary: likelihood.summary}}
  each: {kind: table, inputs: {points: likelihood.points}}
"""


def jax_likelihood(model, tolerance, batch, written_out):
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

    def columns(x, t, order):
        """s with its partial derivatives by x, y, xx, xy, yy, xxx, xxy, xyy, yyy (up to the order) as rows [columns, 2]."""
        rows = 3 if order == 1 else 10
        u = jnp.zeros((rows, 3)).at[0].set(jnp.append(x, t)).at[1, 0].set(1.0).at[2, 1].set(1.0)
        for name in ("0", "1", "2"):
            u = (u @ weights[f"{name}.w"]).at[0].add(weights[f"{name}.b"])
            z = u[0]
            s = jax.nn.sigmoid(z)
            s1 = s * (1 - s)
            f1 = s + z * s1
            out = [z * s, f1 * u[1], f1 * u[2]]
            if order == 3:
                s2 = s1 * (1 - 2 * s)
                f2, f3 = 2 * s1 + z * s2, 3 * s2 + z * s1 * (1 - 6 * s1)
                (a, b), (aa, ab, bb) = u[1:3], u[3:6]
                out += [f2 * a * a + f1 * aa, f2 * a * b + f1 * ab, f2 * b * b + f1 * bb]
                out += [f3 * a * a * a + 3 * f2 * a * aa + f1 * u[6]]
                out += [f3 * a * a * b + f2 * (2 * a * ab + b * aa) + f1 * u[7]]
                out += [f3 * a * b * b + f2 * (2 * b * ab + a * bb) + f1 * u[8]]
                out += [f3 * b * b * b + 3 * f2 * b * bb + f1 * u[9]]
            u = jnp.stack(out)
        return (u @ weights["out.w"]).at[0].add(weights["out.b"])

    def with_first(x, t):
        """The Jacobian, and s."""
        if written_out:
            u = columns(x, t, 1)
            return u[1:3].T, u[0]

        def primal(x):
            s = score(x, t)
            return s, s

        return jax.jacfwd(primal, has_aux=True)(x)

    def with_third(x, t):
        """∂∂∂s, ∂∂s, ∂s and s, in one nest of forward modes or written out."""
        if written_out:
            u = columns(x, t, 3)
            place = lambda *i: u[(1, 3, 6)[len(i) - 1] + sum(i)]
            both = (0, 1)
            third = jnp.array([[[place(i, j, k) for k in both] for j in both] for i in both])
            second = jnp.array([[place(i, j) for j in both] for i in both])
            return jnp.moveaxis(third, -1, 0), (jnp.moveaxis(second, -1, 0), u[1:3].T, u[0])

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

    # All points of a batch go on until its last one arrives, so several batches waste less than one.
    return jax.jit(lambda points: jax.lax.map(one, points, batch_size=batch))


def chosen(folder, drawn, count):
    """The first points that the flow does not carry away, which would hold up a whole batch of JAX: also as a file."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(folder / drawn, "numpy") as file:
        x, metadata = file.get_tensor("x"), file.metadata()
    rows = csv.DictReader(open(folder / "artifacts/evaluate/each/table.csv"))
    x = x[[i for i, row in enumerate(rows) if row["nll"]][:count]]
    save_file({"x": x}, folder / "points.safetensors", metadata)
    return x.astype("float64")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onsager", default="target/release/onsager", type=Path)
    parser.add_argument("--points", default=1000, type=int)
    parser.add_argument("--tolerance", default=1e-5, type=float)
    parser.add_argument("--steps", default=20000, type=int, help="of the model's training")
    parser.add_argument("--threads", default=2, type=int, help="of both; JAX takes as many as there are CPUs to run on")
    parser.add_argument("--repeats", default=5, type=int)
    parser.add_argument("--keep", type=Path, help="a folder for the trained model, which is used again")
    args = parser.parse_args()
    onsager = str(args.onsager.resolve())
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    folder = (args.keep or Path(tempfile.mkdtemp(prefix="onsager-wkb-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "train.yaml").write_text(TRAIN.replace("STEPS", str(args.steps)))
        text = EVALUATE.replace("TOLERANCE", f"{args.tolerance:.1e}").replace("THREADS", str(args.threads))
        drawn = "artifacts/model/data/test.safetensors"
        (folder / "choose.yaml").write_text(text.replace("COUNT", str(args.points + 100)).replace("POINTS", drawn))
        (folder / "evaluate.yaml").write_text(text.replace("COUNT", str(args.points)).replace("POINTS", "points.safetensors"))
        for name in ("train.yaml", "choose.yaml"):
            measure.run([onsager, "run", name], folder, os.environ, folder / "output")
        points = chosen(folder, drawn, args.points)
        model = folder / "artifacts/model/train/model.safetensors"
        functions = {
            "JAX, nested forward mode, all at once": jax_likelihood(model, args.tolerance, args.points, False),
            "JAX, nested forward mode, batches of 100": jax_likelihood(model, args.tolerance, 100, False),
            "JAX, written out, batches of 100": jax_likelihood(model, args.tolerance, 100, True),
        }
        functions = {name: function.lower(points).compile() for name, function in functions.items()}
        evaluate = lambda function: [values.block_until_ready() for values in function(points)]
        found = {}
        times = {name: [] for name in ("onsager run", *functions)}
        cpu = {name: [] for name in times}
        for _ in range(args.repeats):
            for name, function in functions.items():
                start, spent = time.perf_counter(), time.process_time()
                found[name] = evaluate(function)
                times[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - spent)
            shutil.rmtree(folder / "fresh", ignore_errors=True)
            command = [onsager, "run", "evaluate.yaml", "--artifacts", "fresh"]
            spent, wall, _ = measure.run(command, folder, os.environ, folder / "output")
            times["onsager run"].append(wall)
            cpu["onsager run"].append(spent)
        ours = next(csv.DictReader(open(folder / "fresh/evaluate/mean/table.csv")))
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)

    print(
        f"{args.points} points, tolerance {args.tolerance:.0e}, {args.threads} threads, a model of {args.steps} steps; seconds\n"
    )
    print("| | wall, median | all | CPU, median | onsager's ratio, wall | CPU | NLL at h = 0 | coefficient of h |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    means = {name: [float(v.mean()) for v in values] for name, values in found.items()}
    means["onsager run"] = (float(ours["nll"]), float(ours["correction"]))
    ratio = lambda all, name: statistics.median(theirs / ours for theirs, ours in zip(all[name], all["onsager run"]))
    for name, values in times.items():
        every = ", ".join(f"{value:.2f}" for value in values)
        nll, correction = means[name]
        print(
            f"| {name} | {statistics.median(values):.2f} | {every} | {statistics.median(cpu[name]):.2f} | {ratio(times, name):.1f} | "
            f"{ratio(cpu, name):.1f} | {nll:.5f} | {correction:.4f} |"
        )
    print("\nRatios are medians of the pairs; the target is 5.")


if __name__ == "__main__":
    main()
