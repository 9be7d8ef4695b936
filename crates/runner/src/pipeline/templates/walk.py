"""A random walk: python3 walk.py STEPS SEED OUTPUT."""

import random
import sys

steps, seed, output = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
generator = random.Random(seed)
position = 0
with open(output, "w") as file:
    print("step,position", file=file)
    for step in range(steps):
        position += generator.choice((-1, 1))
        print(f"{step},{position}", file=file)
