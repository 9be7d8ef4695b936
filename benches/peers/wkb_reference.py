"""The numbers that the tests of `swish_mlp.rs` and `wkb.rs` in crates/science compare with.

An independent calculation with 30 digits (mpmath): derivatives of a small network by finite differences, and along the
probability flow ℓ0(x, t) by definition, its gradient and Laplacian by finite differences of it, and ℓ1 by Gauss-Legendre.

    pip install mpmath && python3 benches/peers/wkb_reference.py
"""

from mpmath import cos, exp, ln, mp, mpf, nstr, pi, sin
import mpmath

mp.dps = 30
SHAPES = [(4, 3), (4, 4), (2, 4)]  # (outputs, inputs)


def rounded(x):
    """To a multiple of 1/64, which f32 holds exactly."""
    return mpmath.nint(64 * x) / 64


WEIGHTS = [
    (
        [[rounded(sin(mpf(7 * l + 3 * i + 5 * o + 1))) for i in range(inputs)] for o in range(outputs)],
        [rounded(cos(mpf(2 * l + o))) / 4 for o in range(outputs)],
    )
    for l, (outputs, inputs) in enumerate(SHAPES)
]


def score(x, t):
    h = [x[0], x[1], t]
    for l, (w, b) in enumerate(WEIGHTS):
        h = [sum(w[o][i] * h[i] for i in range(len(h))) + b[o] for o in range(len(w))]
        if l + 1 < len(WEIGHTS):
            h = [u / (1 + exp(-u)) for u in h]
    return h


def drift(t):
    return -10 * t


def g2(t):
    return 20 * t


D = mpf(10) ** -9


def divergence(x, t):
    along_x = score([x[0] + D, x[1]], t)[0] - score([x[0] - D, x[1]], t)[0]
    along_y = score([x[0], x[1] + D], t)[1] - score([x[0], x[1] - D], t)[1]
    return (along_x + along_y) / (2 * D)


def slope(t, y):
    s = score(y[:2], t)
    flow = [drift(t) * y[i] - g2(t) * s[i] / 2 for i in (0, 1)]
    return flow + [2 * drift(t) - g2(t) * divergence(y[:2], t) / 2]


def runge_kutta(t, end, y, steps):
    h = (end - t) / steps
    for _ in range(steps):
        a = slope(t, y)
        b = slope(t + h / 2, [y[i] + h / 2 * a[i] for i in range(3)])
        c = slope(t + h / 2, [y[i] + h / 2 * b[i] for i in range(3)])
        d = slope(t + h, [y[i] + h * c[i] for i in range(3)])
        y = [y[i] + h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i in range(3)]
        t += h
    return y


def flow(t, end, x):
    """Richardson's extrapolation of the classical method: order 5."""
    n = max(8, int(60 * (end - t)))
    coarse, fine = runge_kutta(t, end, [*x, mpf(0)], n), runge_kutta(t, end, [*x, mpf(0)], 2 * n)
    return [f + (f - c) / 15 for c, f in zip(coarse, fine)]


def order_0(x, t, end=mpf(1)):
    y = flow(t, end, x)
    return -(y[0] ** 2 + y[1] ** 2) / 2 - ln(2 * pi) + y[2]


def derivatives(x, t):
    d = mpf(10) ** -6
    at = lambda dx, dy: order_0([x[0] + dx * d, x[1] + dy * d], t)
    middle, right, left, up, down = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    gradient = [(right - left) / (2 * d), (up - down) / (2 * d)]
    return middle, gradient, (right + left + up + down - 4 * middle) / d**2


def order_1(x, t0):
    nodes, weights = legendre(14)
    total = mpf(0)
    for node, weight in zip(nodes, weights):
        t = t0 + (1 - t0) * (node + 1) / 2
        now = flow(t0, t, x)[:2]
        _, p, laplacian = derivatives(now, t)
        s = score(now, t)
        inner = laplacian - divergence(now, t) + sum(p[i] * (p[i] - s[i]) for i in (0, 1))
        total += weight * g2(t) / 2 * inner
    return total * (1 - t0) / 2


def legendre(n):
    roots = mpmath.polyroots(mpmath.taylor(lambda x: mpmath.legendre(n, x), 0, n)[::-1], maxsteps=200, extraprec=200)
    return roots, [2 / ((1 - r**2) * mpmath.diff(lambda x: mpmath.legendre(n, x), r) ** 2) for r in roots]


def partial(k, orders, x, t):
    step = mpf(10) ** -6
    f = lambda a, b: score([x[0] + a * step, x[1] + b * step], t)[k]
    stencil = {0: {0: 1}, 1: {1: 0.5, -1: -0.5}, 2: {1: 1, 0: -2, -1: 1}, 3: {2: 0.5, 1: -1, -1: 1, -2: -0.5}}
    total = sum(u * v * f(a, b) for a, u in stencil[orders[0]].items() for b, v in stencil[orders[1]].items())
    return total / step ** sum(orders)


def main():
    x, t = [mpf("0.3"), mpf("-0.7")], mpf("0.4")
    for k in (0, 1):
        orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]
        print(f"s_{k} and derivatives:", ", ".join(nstr(partial(k, o, x, t), 12) for o in orders), flush=True)
    t0 = mpf("0.01")
    for x in ([mpf("0.3"), mpf("-0.7")], [mpf("-0.5"), mpf("0.2")]):
        value, gradient, laplacian = derivatives(x, t0)
        print("x", nstr(x[0], 3), nstr(x[1], 3))
        print("order_0, gradient, laplacian:", *(nstr(v, 12) for v in (value, *gradient, laplacian)), flush=True)
        print("order_1:", nstr(order_1(x, t0), 12), flush=True)


if __name__ == "__main__":
    main()
