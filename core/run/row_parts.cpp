#include "cinch/core/run/row_parts.hpp"

namespace cinch::running {

namespace {
thread_local constinit const RowParts* living = nullptr;
}

RowParts::RowParts(std::int64_t batch, std::span<const std::int64_t> ends)
    : batch_(batch), ends_(ends), outer_(living) {
  living = this;
}
RowParts::~RowParts() { living = outer_; }

const RowParts* RowParts::current() { return living; }

}  // namespace cinch::running
