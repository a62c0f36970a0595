"""Applications: what a user runs."""

import easymft as easymft  # first of all: it decides that tf.keras is tf_keras, before TensorFlow is imported
