"""A MediaPipe 1.x model bundle from the two pose networks that MediaPipe publishes apart.

Both networks are TensorFlow Lite flatbuffers. They are patched in place, never repacked: repacking moves the weight
buffers off the alignment that the interpreter relies on. A patch only redirects offsets and appends at the end.
"""

import io
import struct
import zipfile

import flatbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as tflite

# Fields of flatbuffer tables are found by their place in the table's vtable (4 + 2 * index in the schema).
_SUBGRAPH_OUTPUTS, _SUBGRAPH_OPERATORS = 8, 10
_BUFFER_DATA, _METADATA_NAME = 4, 4
# The outputs of the landmark network: landmarks, presence, mask, heat map, world landmarks.
_PRESENCE_OUTPUT, _MASK_OUTPUT = 1, 2
_ALIGNMENT = 64


def build_bundle(detector: bytes, landmarks: bytes, masks: bool) -> bytes:
    """A `.task` bundle that MediaPipe 1.2 loads.

    Args:
        detector: the person detector, a TFLite file.
        landmarks: the landmark network, a TFLite file without normalisation metadata.
        masks: whether to keep the decoder of segmentation masks. Without it the landmarks are the same to the bit and
            the network takes about half the time; masks must then stay off.
    """
    network = landmarks if masks else without_mask_decoder(landmarks)
    network = with_normalisation(network)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in (("pose_detector.tflite", detector), ("pose_landmarks_detector.tflite", network)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same bytes on every platform
            # MediaPipe maps entries straight from the archive, so their content must be aligned: pad the extra field
            # (id, size, zeros) of the local header, which is 30 bytes and the name.
            padding = -(stream.tell() + 30 + len(name) + 4) % _ALIGNMENT
            entry.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)
            archive.writestr(entry, content)
    return stream.getvalue()


def without_mask_decoder(network: bytes) -> bytes:
    """The landmark network without the operators that only the segmentation mask needs.

    MediaPipe's graph expects five outputs, so the mask's place is given to the presence logit, a single number.
    """
    graph = tflite.Model.GetRootAsModel(network, 0).Subgraphs(0)
    patched = bytearray(network)
    operators = [graph.Operators(index) for index in range(graph.OperatorsLength())]
    producer = {int(tensor): index for index, op in enumerate(operators) for tensor in op.OutputsAsNumpy()}
    outputs = [int(tensor) for tensor in graph.OutputsAsNumpy()]
    needed: set[int] = set()
    pending = [tensor for index, tensor in enumerate(outputs) if index != _MASK_OUTPUT]
    while pending:
        index = producer.get(pending.pop())
        if index is not None and index not in needed:
            needed.add(index)
            pending += [int(tensor) for tensor in operators[index].InputsAsNumpy() if tensor >= 0]
    stand_in = int(operators[producer[outputs[_PRESENCE_OUTPUT]]].InputsAsNumpy()[0])
    struct.pack_into("<i", patched, _vector(graph, _SUBGRAPH_OUTPUTS) + 4 * _MASK_OUTPUT, stand_in)
    # The vector of operators holds offsets relative to each element; the kept ones move to its front.
    start = _vector(graph, _SUBGRAPH_OPERATORS)
    for place, index in enumerate(sorted(needed)):
        element = start + 4 * place
        struct.pack_into("<I", patched, element, operators[index]._tab.Pos - element)
    struct.pack_into("<I", patched, start - 4, len(needed))
    return bytes(patched)


def with_normalisation(network: bytes) -> bytes:
    """The network with the metadata that MediaPipe Tasks demands: its input is RGB / 255.

    The file has one metadata entry, `min_runtime_version`, which nothing reads: it is redirected to a new name and
    a new buffer at the end of the file.
    """
    patched = bytearray(network)
    model = tflite.Model.GetRootAsModel(network, 0)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    entry = next(entry for entry in entries if entry.Name() == b"min_runtime_version")
    _redirect(patched, model.Buffers(entry.Buffer()), _BUFFER_DATA, _append(patched, _normalisation(), 16))
    name = _append(patched, b"TFLITE_METADATA", 4)
    patched.append(0)  # strings end in NUL
    _redirect(patched, entry, _METADATA_NAME, name)
    patched.extend(bytes(-len(patched) % 16))
    return bytes(patched)


def _normalisation() -> bytes:
    options = metadata_schema.NormalizationOptionsT()
    options.mean, options.std = [0.0], [255.0]
    unit = metadata_schema.ProcessUnitT()
    unit.optionsType = metadata_schema.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    image = metadata_schema.ImagePropertiesT()
    image.colorSpace = metadata_schema.ColorSpaceType.RGB
    content = metadata_schema.ContentT()
    content.contentPropertiesType = metadata_schema.ContentProperties.ImageProperties
    content.contentProperties = image
    tensor = metadata_schema.TensorMetadataT()
    tensor.name, tensor.processUnits, tensor.content = "image", [unit], content
    subgraph = metadata_schema.SubGraphMetadataT()
    subgraph.inputTensorMetadata = [tensor]
    model = metadata_schema.ModelMetadataT()
    model.name, model.subgraphMetadata, model.minParserVersion = "pose_landmark_full", [subgraph], "1.0.0"
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _vector(table: "tflite.SubGraph", field: int) -> int:
    """The position of the first element of a table's vector."""
    return table._tab.Vector(table._tab.Offset(field))


def _append(file: bytearray, payload: bytes, alignment: int) -> int:
    """Append a length-prefixed vector whose payload is aligned; returns its position."""
    file.extend(bytes(-(len(file) + 4) % alignment))
    position = len(file)
    file.extend(struct.pack("<I", len(payload)))
    file.extend(payload)
    return position


def _redirect(file: bytearray, table: "tflite.Buffer | tflite.Metadata", field: int, target: int) -> None:
    """Let a table's field point to `target`, which must lie behind it: offsets are unsigned."""
    place = table._tab.Pos + table._tab.Offset(field)
    struct.pack_into("<I", file, place, target - place)
