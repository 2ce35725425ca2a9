// What a figure was measured on.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cores.hpp"

namespace sluice::bench {

/// One fact of the machine or the build, in the order to print them.
struct Fact {
  std::string name;
  std::string value;
};

/// Processor, cores, caches, memory, kernel, governor, compiler and flags. A fact that can't be read is
/// "unknown".
std::vector<Fact> describe_machine(const Cores& cores);

nlohmann::ordered_json to_json(const std::vector<Fact>& facts);

}  // namespace sluice::bench
