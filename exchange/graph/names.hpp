// Names in files: what the user called things, as the format can spell it, each once.
#pragma once

#include <set>
#include <string>

namespace cinch::exchange {

class Names {
 public:
  /// `wanted` with an underscore for whatever is no letter, digit or underscore, `otherwise` where
  /// nothing is left of it; a number behind it where it is taken. Words of C are taken, and
  /// what written files call things of their own.
  std::string fresh(const std::string& wanted, const std::string& otherwise);
  void take(const std::string& name) { taken_.insert(name); }

 private:
  std::set<std::string> taken_;
};

}  // namespace cinch::exchange
