// Event files, which TensorBoard shows as curves and pictures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cinch/io/file.hpp"

namespace CINCH_PUBLIC cinch {

/// Writes what `tensorboard --logdir` reads: records of length and checksums (CRC-32C), each an
/// Event of TensorFlow's protocol. Every event is in the file when a call returns.
///
///     EventWriter events("runs/first");
///     events.scalars(step, {{"loss", loss}, {"rate", rate}});
class EventWriter {
 public:
  /// Replaces `folder`/events.out.tfevents.0.cinch, and makes the folder where there is none; to
  /// TensorBoard a folder is a run, named after it. Throws FileError, also where another writer has
  /// the file.
  explicit EventWriter(const std::string& folder);

  /// Points of curves by their tags, as float32, which is what TensorBoard shows. `seconds` is when
  /// it was, since 1970; now without.
  void scalars(std::int64_t step, const std::vector<std::pair<std::string, double>>& values,
               std::optional<double> seconds = {});
  /// A picture: a PNG file's bytes. Throws FileError where they are none.
  void image(std::int64_t step, const std::string& tag, std::string_view png);

 private:
  void write(const std::string& event);

  std::string path_;
  GrowingFile file_;
};

}  // namespace cinch
