"""The Keras guide's transfer learning with its pictures fed as a good engineer would feed them.

    python benchmarks/peers/keras_guide_cached.py SPLIT WEIGHTS OUT --backbone mobilenet_0.25

The network, the augmentation, the epochs and the rates are those of keras_guide.py. Pictures are
decoded and resized once and kept as uint8; each epoch shuffles all of them, augments whole batches
in parallel outside of the model, and prefetches.
"""

import keras
import tensorflow as tf
from keras import layers
from peer import epoch_events, load_backbone, read_side, read_task, write_predictions


def main() -> None:
    """Train, and write what came of it."""
    task = read_task()
    keras.utils.set_random_seed(task.seed)
    augmentation = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def augment(pictures, labels):
        for layer in augmentation:
            pictures = layer(pictures, training=True)
        return pictures, labels

    train_files = read_side(task, "train", batch_size=None, shuffle=False)
    train_ds = (
        train_files.map(as_bytes, num_parallel_calls=tf.data.AUTOTUNE)
        .cache()
        .shuffle(len(train_files.file_paths), seed=task.seed)
        .batch(64)
        .map(as_floats, num_parallel_calls=tf.data.AUTOTUNE)
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    validation_ds = (
        read_side(task, "val", batch_size=None, shuffle=False)
        .map(as_bytes, num_parallel_calls=tf.data.AUTOTUNE)
        .cache()
        .batch(64)
        .map(as_floats, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )

    base_model = load_backbone(task)
    base_model.trainable = False

    inputs = keras.Input(shape=(task.size, task.size, 3))
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(inputs)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(len(train_files.class_names))(x)
    model = keras.Model(inputs, outputs)

    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    model.fit(
        train_ds,
        epochs=task.head_epochs,
        validation_data=validation_ds,
        callbacks=[epoch_events(task, "head")],
        verbose=2,
    )

    base_model.trainable = True
    model.compile(
        optimizer=keras.optimizers.Adam(1e-5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    model.fit(
        train_ds,
        epochs=task.tuning_epochs,
        validation_data=validation_ds,
        callbacks=[epoch_events(task, "all")],
        verbose=2,
    )

    write_predictions(task, model)


def as_bytes(picture, label):
    """Round pixels to a quarter of the memory."""
    return tf.cast(tf.round(picture), tf.uint8), label


def as_floats(pictures, labels):
    """Give the layers what they compute with."""
    return tf.cast(pictures, tf.float32), labels


if __name__ == "__main__":
    main()
