// Event files for TensorBoard, read by Python.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cinch::testing {

/// A line of JSON an event, as read_events.py prints it; nothing, with a message, where Python has
/// no protobuf. Fails where the file is damaged.
std::optional<std::vector<std::string>> read_events(const std::string& path);

}  // namespace cinch::testing
