"""What large matrix products reach on this machine: the limit of every other rate.

python scripts/measure_peak.py
"""

import statistics
import time

import tensorflow as tf

SIZE, ROUNDS = 4096, 5


def main() -> None:
    """Prints GFLOP/s in float32 and bfloat16."""
    for dtype in (tf.float32, tf.bfloat16):
        left, right = (tf.cast(tf.random.normal([SIZE, SIZE]), dtype) for _ in range(2))
        product = tf.function(tf.matmul)
        product(left, right)
        seconds = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            product(left, right)
            seconds.append(time.perf_counter() - started)
        print(f"{dtype.name}: {2 * SIZE**3 / statistics.median(seconds) / 1e9:.0f} GFLOP/s", flush=True)


if __name__ == "__main__":
    main()
