"""Reads a TensorBoard event file with Google's protobuf and prints one line of JSON an event.

Only what a reader needs of TensorFlow's event.proto and summary.proto is declared; both checksums of each record are
computed here anew. Usage: read_events.py FILE. Exit code 77: python3-protobuf is not installed.
"""
import base64
import json
import struct
import sys

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError:
    sys.exit(77)

F = descriptor_pb2.FieldDescriptorProto


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283, "the check value of CRC-32C"


def declare(proto, parent, name, fields, oneof=None):
    """fields: (name, number, type, type_name or None, repeated, in the oneof)."""
    message = (parent.nested_type if parent else proto.message_type).add()
    message.name = name
    if oneof:
        message.oneof_decl.add().name = oneof
    for field, number, kind, of, repeated, inside in fields:
        f = message.field.add()
        f.name, f.number, f.type = field, number, kind
        f.label = F.LABEL_REPEATED if repeated else F.LABEL_OPTIONAL
        if of:
            f.type_name = of
        if inside:
            f.oneof_index = 0
    return message


proto = descriptor_pb2.FileDescriptorProto()
proto.name, proto.package, proto.syntax = "event.proto", "tensorflow", "proto3"
summary = declare(proto, None, "Summary", [("value", 1, F.TYPE_MESSAGE, ".tensorflow.Summary.Value", True, False)])
declare(proto, summary, "Image", [("height", 1, F.TYPE_INT32, None, False, False),
                                  ("width", 2, F.TYPE_INT32, None, False, False),
                                  ("colorspace", 3, F.TYPE_INT32, None, False, False),
                                  ("encoded_image_string", 4, F.TYPE_BYTES, None, False, False)])
declare(proto, summary, "Value", [("tag", 1, F.TYPE_STRING, None, False, False),
                                  ("simple_value", 2, F.TYPE_FLOAT, None, False, True),
                                  ("image", 4, F.TYPE_MESSAGE, ".tensorflow.Summary.Image", False, True)], "value")
declare(proto, None, "Event", [("wall_time", 1, F.TYPE_DOUBLE, None, False, False),
                               ("step", 2, F.TYPE_INT64, None, False, False),
                               ("file_version", 3, F.TYPE_STRING, None, False, True),
                               ("summary", 5, F.TYPE_MESSAGE, ".tensorflow.Summary", False, True)], "what")
pool = descriptor_pool.DescriptorPool()
pool.Add(proto)
descriptor = pool.FindMessageTypeByName("tensorflow.Event")
if hasattr(message_factory, "GetMessageClass"):
    Event = message_factory.GetMessageClass(descriptor)
else:
    Event = message_factory.MessageFactory(pool).GetPrototype(descriptor)

with open(sys.argv[1], "rb") as file:
    rest = file.read()
while rest:
    length, of_length = struct.unpack("<QI", rest[:12])
    assert of_length == masked(rest[:8]), "checksum of a length"
    data = rest[12:12 + length]
    assert len(data) == length, "a record is cut short"
    assert struct.unpack("<I", rest[12 + length:16 + length])[0] == masked(data), "checksum of an event"
    rest = rest[16 + length:]
    event = Event()
    event.ParseFromString(data)
    line = {"step": event.step, "time": event.wall_time}
    if event.WhichOneof("what") == "file_version":
        line["version"] = event.file_version
    for value in event.summary.value:
        if value.WhichOneof("value") == "simple_value":
            line[value.tag] = repr(value.simple_value)
        else:
            image = value.image
            line[value.tag] = [image.height, image.width, image.colorspace,
                               base64.b64encode(image.encoded_image_string).decode()]
    print(json.dumps(line, sort_keys=True))
