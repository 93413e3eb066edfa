// Every program with arguments that make it small.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace cinch::testing {

struct SmallProgram {
  const char* name;
  const char* arguments;  ///< Without --data and --output: what makes it small.
};
/// Every program of examples/.
inline const std::vector<SmallProgram> all_programs = {
    {"bug_museum", ""},
    {"cae_h", "--epochs 1 --batch 10 --hidden 5"},
    {"classifier_dictionary", "--epochs 1 --batch 10 --hidden 5 --latents 12 --k 3"},
    {"contractive_autoencoder", "--epochs 1 --batch 10 --hidden 5"},
    {"contractive_keras", "--epochs 1 --batch 10 --hidden 5"},
    {"deep_belief_network", "--epochs 1 --batch 10 --hidden 5,4 --pretraining-epochs 1"},
    {"deep_contractive_fashion", "--epochs 1 --batch 10 --layers 6,4"},
    {"denoising_autoencoder", "--epochs 1 --batch 10 --hidden 5"},
    {"features_for_classification", "--epochs 1 --batch 10 --units 5 --probe-epochs 1"},
    {"hinton_deep_autoencoder", "--epochs 1 --batch 10 --hidden 6,4 --pretraining-epochs 1"},
    {"hybrid_monte_carlo", "--chains 10 --moves 20"},
    {"k_sparse", "--epochs 1 --batch 10 --hidden 8 --k 3"},
    {"latent_geometry", "--epochs 1 --batch 10 --hidden 5 --grid 3 --kinds plain,topological"},
    {"linear_autoencoder_is_pca", "--epochs 20 --code 3"},
    {"lista", "--epochs 1 --batch 10 --inputs 6 --atoms 8 --active 2 --samples 40 --steps 1,2"},
    {"logistic_regression", "--epochs 1 --batch 10"},
    {"manifold", "--epochs 1 --batch 10 --hidden 8 --examples 5 --tangents 3"},
    {"mlp", "--epochs 1 --batch 10 --hidden 5"},
    {"pretraining_compared",
     "--epochs 1 --batch 10 --hidden 5 --pretraining-epochs 1 --kinds ae --runs 1"},
    {"recurrent_autoencoder", "--epochs 1 --batch 10 --hidden 5"},
    {"recurrent_classifier", "--epochs 1 --batch 10 --hidden 5"},
    {"restricted_boltzmann_machine",
     "--epochs 1 --batch 10 --hidden 5 --steps 2 --samples 2 --between 3"},
    {"score_matching_2d", "--epochs 1"},
    {"sparse", "--epochs 1 --batch 10 --hidden 5"},
    {"sparse_dictionaries",
     "--epochs 1 --inputs 6 --features 8 --latents 12 --hidden 8 --samples 400 --active 1 --k 2"},
    {"stacked_denoising_autoencoder",
     "--epochs 1 --batch 10 --hidden 5,4 --corruption 0.1,0.2 --pretraining-epochs 1"},
    {"vae", "--epochs 1 --batch 10 --hidden 5"},
    {"your_own_variant", "--epochs 1 --batch 10 --hidden 5"},
};

/// The names of the programs in examples/, from their sources.
inline std::vector<std::string> programs_there() {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(CINCH_SOURCE_DIR "/examples")) {
    if (entry.path().extension() == ".cpp") result.push_back(entry.path().stem().string());
  }
  std::ranges::sort(result);
  return result;
}

inline std::string small_arguments(const std::string& program) {
  return std::ranges::find(all_programs, program, &SmallProgram::name)->arguments;
}

/// Whether a program makes its own data.
inline bool makes_data(const std::string& program) {
  return program == "score_matching_2d" || program == "sparse_dictionaries" ||
         program == "hybrid_monte_carlo" || program == "lista";
}

/// Whether what a program does is train()'s, with logs and checkpoints.
inline bool trains(const std::string& program) {
  return program != "linear_autoencoder_is_pca" && program != "hybrid_monte_carlo";
}

/// What says where its data are, and where to write, of those that ask.
inline std::string own_options(const std::string& program, const std::string& data,
                               const std::string& out) {
  if (program == "bug_museum") return "";
  return (makes_data(program) ? "" : " --data " + data) + " --output " + out;
}

}  // namespace cinch::testing
