#include "cinch/train/fingerprint.hpp"

#include <array>
#include <cstddef>
#include <cstring>

namespace cinch {

std::int64_t fingerprint(std::span<const Tensor* const> data) {
  std::array<std::uint64_t, 4> sums = {1, 2, 3, 4};
  const auto mix = [](std::uint64_t& sum, std::uint64_t word) {
    sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
    sum ^= sum >> 29;
  };
  for (const Tensor* tensor : data) {
    mix(sums[0], static_cast<std::uint64_t>(tensor->dtype()));
    for (const std::int64_t size : tensor->shape()) mix(sums[0], static_cast<std::uint64_t>(size));
    const auto* bytes = static_cast<const std::byte*>(tensor->raw());
    const std::size_t size = tensor->bytes();
    constexpr std::size_t block = sizeof sums;  // A word for each sum, so that they do not wait.
    std::array<std::uint64_t, 4> words{};
    std::size_t at = 0;
    for (; at + block <= size; at += block) {
      std::memcpy(words.data(), bytes + at, block);
      for (std::size_t k = 0; k < sums.size(); ++k) mix(sums[k], words[k]);
    }
    words = {};
    std::memcpy(words.data(), bytes + at, size - at);
    for (std::size_t k = 0; k < sums.size(); ++k) mix(sums[k], words[k]);
  }
  for (std::size_t k = 1; k < sums.size(); ++k) mix(sums[0], sums[k]);
  return static_cast<std::int64_t>(sums[0] >> 1);
}

}  // namespace cinch
