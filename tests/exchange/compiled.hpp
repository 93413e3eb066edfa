// Written C files, compiled to a library and called.
#pragma once

#include <string>
#include <vector>

#include "cinch/core/tensor.hpp"
#include "cinch/exchange/c.hpp"
#include "io/temporary_folder.hpp"

namespace cinch::testing {

class Compiled {
 public:
  /// Compiles `folder`/NAME.c of each function as its users do; `options` besides. Fails the test
  /// where gcc, or clang where it is installed, has anything to say.
  Compiled(const TemporaryFolder& folder, const std::vector<CInterface>& functions,
           const std::string& options);
  ~Compiled();
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  /// Calls one of them.
  int run(const CInterface& f, std::vector<Tensor>& inputs, std::vector<Tensor>& draws,
          std::vector<Tensor>& parameters, std::vector<Tensor>& constants,
          std::vector<Tensor>& outputs) const;

 private:
  void* loaded_;
};

}  // namespace cinch::testing
