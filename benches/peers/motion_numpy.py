"""Counts random paths in tubes with NumPy, vectorised over the particles, in processes of its own on every core.

    motion_numpy.py TUBES.txt WIDTH PARTICLES PROCESSES    prints the number that arrived and the sum over the tubes
"""

import sys
from multiprocessing import Pool

import numpy as np

CHUNK = 20_000  # particles at once: their paths stay in the cache


def count(work):
    seed, particles, centres, half = work
    generator = np.random.default_rng(seed)
    arrived = inside = 0
    while particles > 0:
        now = min(particles, CHUNK)
        particles -= now
        paths = generator.standard_normal((now, centres.shape[1])).cumsum(axis=1)
        arrived += np.count_nonzero(np.abs(paths[:, -1]) <= half)
        for centre in centres:
            left = paths
            # Step by step, with those alone that are still inside.
            for step, z in enumerate(centre):
                left = left[np.abs(left[:, step] - z) <= half]
                if not len(left):
                    break
            inside += len(left)
    return int(arrived), int(inside)


def main():
    name, width, particles, processes = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    with open(name) as file:
        tubes, steps = map(int, file.readline().split())
        centres = np.loadtxt(file).reshape(tubes, steps)
    share = [particles * (p + 1) // processes - particles * p // processes for p in range(processes)]
    with Pool(processes) as pool:
        found = pool.map(count, [(p, n, centres, 0.5 * width) for p, n in enumerate(share)])
    print(*(sum(of) for of in zip(*found)))


if __name__ == "__main__":
    main()
