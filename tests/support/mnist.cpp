#include "support/mnist.hpp"

#include <cstdlib>
#include <filesystem>

namespace cinch::testing {

std::optional<std::string> mnist_folder() {
  const char* named = std::getenv("CINCH_MNIST");
  const std::string folder = named ? named : CINCH_SOURCE_DIR "/../shared/data/mnist";
  if (!std::filesystem::exists(folder + "/train-images-idx3-ubyte.gz") &&
      !std::filesystem::exists(folder + "/train-images-idx3-ubyte")) {
    return std::nullopt;
  }
  return folder;
}

const PublishedEpoch published_log[20] = {
    {589.571872577, 20.9938791886}, {115.13390224, 10.673699659},   {101.291018001, 10.134422748},
    {94.220284334, 9.84685383242},  {89.5890225412, 9.64736166807}, {86.1490384385, 9.49857669084},
    {83.4664242016, 9.38143172793}, {81.3512907826, 9.28327421556}, {79.6482831506, 9.19748922967},
    {78.2066659332, 9.12143982155}, {76.9456192804, 9.05343287129}, {75.8435863545, 8.99151663486},
    {74.8999458491, 8.9338049163},  {74.1060022563, 8.87925367541}, {73.4415396294, 8.8291852146},
    {72.879630175, 8.78442892358},  {72.3729563995, 8.74324402838}, {71.8622392555, 8.70262903409},
    {71.3049790204, 8.66103980493}, {70.6462751293, 8.61777944201},
};

}  // namespace cinch::testing
