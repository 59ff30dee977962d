"""The stamp network itself, in Keras: architecture, ensemble, export to ONNX. No data, no training loop.

In the line of ALeRCE's (Carrasco-Davis et al. 2021): a convolutional network looks at science, template and
difference under several orientations, the results are averaged, metadata join in a dense head. Here the
orientations are all eight of the square (four rotations, each also mirrored), so the answer is the same
however the cutout lies on the sky; the average is a layer of the network and so part of the exported file.

Keras and TensorFlow are imported inside the functions: reading this module costs nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# The two inputs and two outputs of the exported network.
INPUT_IMAGES, INPUT_FEATURES = "images", "features"

DEFAULT_ARCHITECTURE: dict[str, Any] = {
    "filters": [16, 32, 64],  # of each block
    "convolutions": [1, 1, 1],  # in each block
    "stem": [5, 2],  # kernel and stride of the first convolution
    "dense": 64,
    "dropout": 0.4,
    "profile_dense": 32,  # 0: without the radial profile
    "annuli": [0.0, 0.8, 1.6, 2.5, 3.5, 5.0, 7.0, 10.0, 18.0],  # their edges in pixels
    "metadata_dense": [64, 32],
    "knots": [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5],  # where the response to a metadata value may bend
    "orientations": 8,
}


def _orientation_layers() -> tuple[type, type]:
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable(package="alerce_dagster")
    class Orient(keras.layers.Layer):
        """(b, s, s, c) -> (b*k, s, s, c): the k orientations of every image (4: rotations; 8: mirrored
        too).
        """

        def __init__(self, count: int = 8, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.count = count

        def call(self, x: Any) -> Any:
            turned = []
            for image in (x, ops.transpose(x, (0, 2, 1, 3)))[: 1 if self.count == 4 else 2]:
                half = image[:, ::-1, ::-1, :]
                quarter = ops.transpose(image, (0, 2, 1, 3))
                turned += [image, half, quarter[:, ::-1, :, :], quarter[:, :, ::-1, :]]
            return ops.concatenate(turned, axis=0)

        def compute_output_shape(self, shape: tuple) -> tuple:
            return (None, *shape[1:])

        def get_config(self) -> dict:
            return {**super().get_config(), "count": self.count}

    @keras.saving.register_keras_serializable(package="alerce_dagster")
    class MeanOverOrientations(keras.layers.Layer):
        """(b*k, d) -> (b, d): the mean of the k orientations."""

        def __init__(self, count: int = 8, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.count = count

        def call(self, x: Any) -> Any:
            return ops.mean(ops.reshape(x, (self.count, -1, x.shape[-1])), axis=0)

        def compute_output_shape(self, shape: tuple) -> tuple:
            return (None, shape[-1])

        def get_config(self) -> dict:
            return {**super().get_config(), "count": self.count}

    return Orient, MeanOverOrientations


def build(size: int, n_features: int, n_classes: int, architecture: dict[str, Any] | None = None) -> Any:
    """One untrained member: Keras model from images (b, size, size, 3) and features (b, n_features) to
    logits (b, k).

    `n_features` 0 builds the image-only network (one input); `filters` [] the metadata-only one.
    With `orientations` 1 the images are seen as they come: how a member is trained, with random
    orientations as augmentation, before `with_orientations` makes the invariant network of the same
    weights.
    """
    import keras
    from keras import layers

    settings = {**DEFAULT_ARCHITECTURE, **(architecture or {})}
    inputs, branches = [], []
    if settings["filters"]:
        images = keras.Input((size, size, 3), name=INPUT_IMAGES)
        inputs.append(images)
        branches.append(_image_branch(images, settings))
        if settings["profile_dense"]:
            branches.append(_profile_branch(images, size, settings))
    if n_features:
        features = keras.Input((n_features,), name=INPUT_FEATURES)
        inputs.append(features)
        branches.append(_metadata_branch(features, settings))
    x = layers.Concatenate(name="joined")(branches) if len(branches) > 1 else branches[0]
    x = layers.Dropout(settings["dropout"], name="dropout_joined")(x)
    x = layers.Dense(settings["dense"], activation="relu", name="dense")(x)
    x = layers.Dropout(settings["dropout"], name="dropout")(x)
    return keras.Model(inputs, layers.Dense(n_classes, name="logits")(x))


def _metadata_branch(features: Any, settings: dict[str, Any]) -> Any:
    """Dense layers on the values and on how far they lie beyond each knot: a network that can bend like a tree."""
    import keras
    from keras import layers

    n, knots = features.shape[-1], settings["knots"]
    x = features
    if knots:
        beyond = layers.Dense(
            n * len(knots),
            activation="relu",
            trainable=False,
            kernel_initializer=keras.initializers.Constant(np.kron(np.eye(n), np.ones((1, len(knots))))),
            bias_initializer=keras.initializers.Constant(-np.tile(knots, n)),
            name="beyond_knots",
        )(features)
        x = layers.Concatenate(name="bent")([features, beyond])
    for i, width in enumerate(settings["metadata_dense"]):
        x = layers.Dense(width, activation="relu", name=f"metadata{i}")(x)
    return x


def annulus_weights(size: int, edges: Sequence[float]) -> np.ndarray:
    """(size*size, len(edges)-1): the column of an annulus averages the pixels whose centre lies in it."""
    offset = np.arange(size) - (size - 1) / 2
    radius = np.hypot(*np.meshgrid(offset, offset)).ravel()
    inside = (radius[:, None] >= np.asarray(edges[:-1])) & (radius[:, None] < np.asarray(edges[1:]))
    return (inside / np.maximum(inside.sum(axis=0), 1)).astype(np.float32)


def _profile_branch(images: Any, size: int, settings: dict[str, Any]) -> Any:
    """Mean brightness of every image in annuli about the alert: invariant by itself, learnt from few examples."""
    import keras
    from keras import layers

    weights = annulus_weights(size, settings["annuli"])
    x = layers.Permute((3, 1, 2), name="channels_first")(images)
    x = layers.Reshape((3, size * size), name="pixels")(x)
    x = layers.Dense(
        weights.shape[1],
        use_bias=False,
        trainable=False,
        kernel_initializer=keras.initializers.Constant(weights),
        name="annuli",
    )(x)
    x = layers.Flatten(name="profile")(x)
    return layers.Dense(settings["profile_dense"], activation="relu", name="profile_dense")(x)


def _image_branch(images: Any, settings: dict[str, Any]) -> Any:
    from keras import layers

    count = settings["orientations"]
    orient, mean_over_orientations = _orientation_layers()
    x = orient(count, name="orient")(images) if count > 1 else images
    for block, filters in enumerate(settings["filters"]):
        if block:
            x = layers.MaxPooling2D(2, name=f"pool{block}")(x)
        for i in range(settings["convolutions"][block]):
            kernel, stride = settings["stem"] if (block, i) == (0, 0) else (3, 1)
            x = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=f"conv{block}{i}")(x)
            x = layers.BatchNormalization(momentum=0.9, name=f"norm{block}{i}")(x)
            x = layers.Activation("relu", name=f"relu{block}{i}")(x)
    x = layers.Concatenate(name="pooled")(
        [layers.GlobalAveragePooling2D(name="mean")(x), layers.GlobalMaxPooling2D(name="peak")(x)]
    )
    return mean_over_orientations(count, name="mean_orientation")(x) if count > 1 else x


def with_orientations(member: Any, size: int, n_features: int, n_classes: int, architecture: dict[str, Any]) -> Any:
    """The invariant network with the weights of `member`: same layers, all orientations averaged inside."""
    invariant = build(size, n_features, n_classes, {**architecture, "orientations": 8})
    invariant.set_weights(member.get_weights())
    return invariant


def ensemble(members: Sequence[Any], temperature: float = 1.0, bias: np.ndarray | None = None) -> Any:
    """One Keras model: softmax(mean of the members' logits / temperature + bias), calibration inside."""
    import keras
    from keras import layers

    inputs = [keras.Input(tensor.shape[1:], name=tensor.name) for tensor in members[0].inputs]
    for i, member in enumerate(members):
        member.name = f"member{i}"
    logits = [member(inputs) for member in members]
    mean = layers.Average(name="ensemble")(logits) if len(logits) > 1 else logits[0]
    k = mean.shape[-1]
    calibrated = layers.Rescaling(
        1.0 / temperature,
        offset=np.zeros(k, np.float32) if bias is None else np.asarray(bias, np.float32),
        name="calibration",
    )(mean)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(calibrated))


def export(model: Any, path: Path) -> None:
    """Write `model` as ONNX in canonical form: the same network and weights always give the same bytes."""
    import logging

    import keras
    import onnx

    shapes = [keras.InputSpec(shape=(None, *t.shape[1:]), dtype="float32", name=t.name) for t in model.inputs]
    for name in ("tf2onnx", "absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    model.export(str(path), format="onnx", input_signature=[shapes], verbose=False)
    exported = onnx.load(str(path))
    canonical = canonical_graph(exported)
    onnx.checker.check_model(canonical)
    path.write_bytes(canonical.SerializeToString(deterministic=True))


def canonical_graph(model: Any) -> Any:
    """The same ONNX computation, written in the one way that depends on nothing but structure and weights.

    Exporters order nodes as their hash tables happen to lie and put counters into names. Here every tensor gets a
    digest of how it is computed; equal ones are merged, nodes are ordered by depth and digest, names are numbers.
    """
    import hashlib

    from onnx import helper, numpy_helper

    graph = model.graph
    digest: dict[str, str] = {"": ""}
    depth: dict[str, int] = {"": 0}
    for tensor in graph.input:
        digest[tensor.name], depth[tensor.name] = f"input {tensor.name.split(':')[0]}", 0
    weights: dict[str, np.ndarray] = {}
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        content = hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
        digest[tensor.name], depth[tensor.name] = content, 0
        weights[content] = array
    nodes: dict[str, tuple[int, Any, list[str], list[str]]] = {}
    for node in graph.node:  # ONNX requires topological order
        attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
        key = hashlib.sha256(repr((node.op_type, attributes, [digest[x] for x in node.input])).encode()).hexdigest()
        level = 1 + max((depth[x] for x in node.input), default=0)
        outputs = [f"{key} {j}" for j in range(len(node.output))]
        nodes[key] = (level, node, [digest[x] for x in node.input], outputs)
        for name, content in zip(node.output, outputs, strict=True):
            digest[name], depth[name] = content, level

    used = {content for _, _, inputs, _ in nodes.values() for content in inputs}
    name_of = {"": ""} | {f"input {t.name.split(':')[0]}": t.name.split(":")[0] for t in graph.input}
    name_of |= {content: f"w{i}" for i, content in enumerate(sorted(used & weights.keys()))}
    ordered = sorted(nodes.items(), key=lambda item: (item[1][0], item[0]))
    for i, (_, (_, _, _, outputs)) in enumerate(ordered):
        name_of |= {content: f"t{i}_{j}" for j, content in enumerate(outputs)}
    (result,) = graph.output
    name_of[digest[result.name]] = "probabilities"

    rewritten = []
    for i, (_, (_, node, inputs, outputs)) in enumerate(ordered):
        new = helper.make_node(
            node.op_type, [name_of[x] for x in inputs], [name_of[x] for x in outputs], f"n{i}", domain=node.domain
        )
        new.attribute.extend(sorted(node.attribute, key=lambda a: a.name))
        rewritten.append(new)
    initializers = [
        numpy_helper.from_array(weights[c], name_of[c]) for c in sorted(used & weights.keys())
    ]  # fmt: skip

    def described(tensors: Any) -> list[Any]:
        # The exporter counts the unknown batch size too; here it is "n".
        return [
            helper.make_tensor_value_info(
                name_of[digest[t.name]],
                t.type.tensor_type.elem_type,
                ["n", *(d.dim_value for d in t.type.tensor_type.shape.dim[1:])],
            )
            for t in sorted(tensors, key=lambda t: t.name)
        ]

    written = helper.make_graph(
        rewritten, "stamp_classifier", described(graph.input), described(graph.output), initializers
    )
    opsets = sorted((o for o in model.opset_import if not o.domain), key=lambda o: o.domain)
    return helper.make_model(written, opset_imports=opsets, ir_version=model.ir_version, producer_name="alerce_dagster")
