#!/usr/bin/env python3
"""What rate-distortion-aware rounding and trellis-coded quantization would save at equal Hessian-weighted error: a study.

Gaussian weights are rounded column by column with GPTQ's compensation, whose error is the sum of squared (w - q·step)/U[j,j]. Three
ways to choose the integers, each over a range of steps: nearest; the cheaper of nearest and its neighbour towards zero under
error + price·bits; and a trellis (8 states or 4, Ungerboeck's set partition, Viterbi search with one compensated row per survivor).
Bits are the ideal adaptive ones: of the final histogram, for a trellis one per union of subsets. Prints, at the error that nearest
has for a clip of 8 standard deviations and 15 levels, bits a weight of each way and the saving. Needs numpy.

    python3 tests/bench/trellis.py
"""
import argparse

import numpy as np


def factor(hessian):
    """Upper triangular U with inverse(hessian) = U' U."""
    return np.linalg.cholesky(np.linalg.inv(hessian)).T


def hessians(n, rng):
    """No correlation; neighbours correlated by 0.9; a few strong directions, as inputs of a layer have."""
    i = np.arange(n)
    mixed = rng.standard_normal((n, n)) * (1 / (1 + i)) ** 0.7
    strong = mixed @ mixed.T + 0.01 * np.trace(mixed @ mixed.T) / n * np.eye(n)
    return {"identity": np.eye(n), "0.9^|i-j|": 0.9 ** np.abs(i[:, None] - i), "strong directions": strong}


class Prices:
    """Bits of an integer by its histogram, smoothed; one histogram per class."""

    REACH = 64

    def __init__(self, classes):
        self.bits = np.full((classes, 2 * self.REACH + 1), 3.0)

    def of(self, kind, q):
        return self.bits[kind, np.clip(q, -self.REACH, self.REACH).astype(int) + self.REACH]

    def learn(self, kinds, q):
        """Mean bits of `q` under its own histograms, which are the next prices."""
        total = 0.0
        for kind in range(len(self.bits)):
            own = np.clip(q[kinds == kind], -self.REACH, self.REACH).astype(int) + self.REACH
            counts = np.bincount(own, minlength=2 * self.REACH + 1)
            share = counts / max(counts.sum(), 1)
            total -= np.sum(counts[counts > 0] * np.log2(share[counts > 0]))
            self.bits[kind] = -np.log2((counts + 0.1) / (counts.sum() + 0.1 * len(counts)))
        return total / q.size


def scalar(w, upper, step, price, prices):
    w, n = w.copy(), w.shape[1]
    chosen, error = np.empty(w.shape), 0.0
    for j in range(n):
        nearest = np.round(w[:, j] / step)
        options = [nearest, nearest - np.sign(nearest)]
        costs = [((w[:, j] - q * step) / upper[j, j]) ** 2 + price * prices.of(0, q) for q in options]
        q = np.where(costs[1] < costs[0], options[1], options[0]) if price > 0 else nearest
        e = (w[:, j] - q * step) / upper[j, j]
        w[:, j + 1:] -= np.outer(e, upper[j, j + 1:])
        chosen[:, j], error = q, error + np.sum(e ** 2)
    return error / w.size, prices.learn(np.zeros(w.shape, int), chosen)


def parity(x):
    return bin(x).count("1") & 1


def trellis(w, upper, step, price, prices, states, generators):
    """Points step·(2k + c): c, 0 or 1, follows from the state, the next state from the parity of k."""
    rows, n = w.shape
    low, high = generators
    kind = np.array([parity((s << 1) & low) for s in range(states)])
    turn = np.array([parity((s << 1) & high) for s in range(states)])
    rest = np.repeat(w[:, None, :], states, axis=1)
    cost = np.full((rows, states), np.inf)
    cost[:, 0] = 0.0
    path = np.zeros((rows, states, n), np.int16)
    kinds = np.zeros((rows, states, n), np.int8)
    error, index = np.zeros((rows, states)), np.arange(rows)
    for j in range(n):
        best = np.full((rows, states), np.inf)
        arrive = [np.zeros((rows, states), kind_of) for kind_of in (int, float, float)]
        for s in range(states):
            for odd in (0, 1):
                offset = 2 * odd + kind[s]
                point = 4 * np.round((rest[:, s, j] / step - offset) / 4) + offset
                k = (point - kind[s]) / 2
                e = (rest[:, s, j] - point * step) / upper[j, j]
                total = cost[:, s] + e ** 2 + price * prices.of(kind[s], k)
                after = ((s << 1) | (odd ^ turn[s])) & (states - 1)
                better = total < best[:, after]
                best[better, after] = total[better]
                for kept, value in zip(arrive, (s, k, e)):
                    kept[better, after] = value if np.isscalar(value) else value[better]
        origin, k, e = arrive
        rest, path, kinds = (x[index[:, None], origin] for x in (rest, path, kinds))
        error = error[index[:, None], origin] + e ** 2
        rest[:, :, j + 1:] -= e[:, :, None] * upper[j, j + 1:]
        path[:, :, j], kinds[:, :, j], cost = k, kind[origin], best
    end = np.argmin(cost, axis=1)
    return error[index, end].sum() / w.size, prices.learn(kinds[index, end], path[index, end].astype(float))


def rate_at(target, steps, run):
    """Bits at an error, between the two steps around it; bits are linear in the error's logarithm there."""
    points = []
    for step in steps:
        for _ in range(3):
            point = run(step)
        points.append(point)
    errors, bits = np.log([p[0] for p in points]), [p[1] for p in points]
    assert errors[0] <= np.log(target) <= errors[-1], "the steps enclose the error"
    return float(np.interp(np.log(target), errors, bits))


# Of generators of four bits, those whose trellis had the least error on uniform inputs; the set partition of Ungerboeck 1982.
GENERATORS = {4: (0b010, 0b101), 8: (0b0110, 0b1011)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--cols", type=int, default=192)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    w, step = rng.standard_normal((args.rows, args.cols)), 8 / 15
    print("| hessian | nearest | rounding by price | trellis, 4 states | trellis, 8 states | 8 states by price |")
    print("|---|---|---|---|---|---|")
    for name, hessian in hessians(args.cols, rng).items():
        upper = factor(hessian)
        error, bits = scalar(w, upper, step, 0.0, Prices(1))
        # At high rate an error D costs bits at a slope of 2·ln 2·D a bit.
        price = 2 * np.log(2) * error * 0.5
        cells = [f"{bits:.3f}"]
        prices = Prices(1)
        rate = rate_at(error, step * np.array([0.85, 0.9, 0.95, 1.0]), lambda s: scalar(w, upper, s, price, prices))
        cells.append(f"{rate:.3f} ({rate / bits - 1:+.1%})")
        for states, cost in [(4, 0.0), (8, 0.0), (8, price)]:
            prices, generators = Prices(2), GENERATORS[states]
            run = lambda s: trellis(w, upper, s, cost, prices, states, generators)
            rate = rate_at(error, step * np.array([0.5, 0.55, 0.6, 0.66]), run)
            cells.append(f"{rate:.3f} ({rate / bits - 1:+.1%})")
        print("| " + " | ".join([name, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
