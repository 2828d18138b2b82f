"""Checkpoints that programs write with TensorFlow itself: `python saving_others.py FOLDER GENERATION`.

`values.npz` has the kernels and biases of the small model by the names of its layers.
"""

from __future__ import annotations

import sys

import numpy as np

from transpiler.verify import live


def main(folder: str, generation: str) -> None:
    keras = live.import_framework(generation)
    import tensorflow as tf

    def small(units: int = 4):
        i = keras.Input((3,))
        inner = keras.Sequential([keras.Input((units,)), keras.layers.Dense(units, name="inside")])
        return keras.Model(i, keras.layers.Dense(2, name="head")(inner(keras.layers.Dense(units)(i))))

    model, other = small(), small(5)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    legacy = generation == "tf_keras"
    model.compile(keras.optimizers.legacy.Adam() if legacy else "adam", "mse")
    model.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    names = ("dense/kernel", "dense/bias", "inside/kernel", "inside/bias", "head/kernel", "head/bias")
    arrays = dict(zip(names, model.get_weights(), strict=True))
    np.savez(f"{folder}/values.npz", **arrays)
    step = tf.Variable(1, dtype=tf.int64)
    tf.train.Checkpoint(net=model, optimizer=model.optimizer, step=step).save(f"{folder}/managed/ckpt")
    tf.train.Checkpoint(generator=model, discriminator=other).write(f"{folder}/two/ckpt")

    class Trainer(keras.Model):
        """A model with optimizers and metrics of its own."""

        def __init__(self):
            super().__init__()
            self.net, self.rate = model, keras.metrics.Mean(name="rate")
            self.own_optimizer = keras.optimizers.Adam()
            self.own_optimizer.build(model.trainable_variables)

        def call(self, x):
            return self.net(x)

    trainer = Trainer()
    trainer(np.ones((1, 3)))
    tf.train.Checkpoint(trainer).write(f"{folder}/trainer/ckpt")
    if not legacy:
        return
    model.save_weights(f"{folder}/slots/ckpt")
    tf.train.Checkpoint(model=model, average=model.__class__.from_config(model.get_config())).write(f"{folder}/alike/ckpt")  # fmt: skip
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(a, name=n) for n, a in arrays.items()]
        variables += [tf.compat.v1.Variable(a, name=f"{n}/Adam") for n, a in arrays.items()]
        variables += [tf.compat.v1.Variable(0.9, name="beta1_power"), tf.compat.v1.Variable(3, name="global_step")]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, f"{folder}/names/model.ckpt", global_step=7)


if __name__ == "__main__":
    main(*sys.argv[1:])
