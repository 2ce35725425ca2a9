#include "places.hpp"

namespace sluice::test {

std::string source_dir() {
  return SLUICE_SOURCE_DIR;
}
std::string bin_dir() {
  return SLUICE_BIN_DIR;
}
std::string vectors_dir() {
  return SLUICE_VECTORS_DIR;
}

}  // namespace sluice::test
