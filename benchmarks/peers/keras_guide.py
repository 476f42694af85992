"""Transfer learning as the Keras guide does it.

    python benchmarks/peers/keras_guide.py SPLIT WEIGHTS OUT --backbone mobilenet_0.25

After "Transfer learning & fine-tuning" (F. Chollet, keras.io/guides/transfer_learning), its
end-to-end example of a frozen base that is trained for 20 epochs and unfrozen for 10, with the
augmentation layers in the model. Taken from there: RandomFlip and RandomRotation(0.1), Rescaling to
[-1, 1], the base called with training=False, average pooling, Dropout(0.2), one Dense layer,
Adam() and then, after compiling again, Adam(1e-5) for everything; batches of 64.

Adapted: several classes (one logit each, sparse cross-entropy) in place of two; MobileNets from a
file of weights in place of Xception; 224 pixels, which they were trained for, in place of 150;
`image_dataset_from_directory`, which the guide recommends for files of one's own, in place of
TensorFlow Datasets: it decodes in parallel and prefetches. Nothing is kept from one epoch to the
next; keras_guide_cached.py does that.
"""

import keras
from keras import layers
from peer import epoch_events, load_backbone, read_side, read_task, write_predictions


def main() -> None:
    """Train, and write what came of it."""
    task = read_task()
    keras.utils.set_random_seed(task.seed)
    train_ds = read_side(task, "train", batch_size=64)
    validation_ds = read_side(task, "val", batch_size=64, shuffle=False)

    base_model = load_backbone(task)
    base_model.trainable = False

    inputs = keras.Input(shape=(task.size, task.size, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomRotation(0.1)(x)
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(len(train_ds.class_names))(x)
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


if __name__ == "__main__":
    main()
