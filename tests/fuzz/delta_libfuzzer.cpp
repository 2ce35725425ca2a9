// The libFuzzer entry of deltas. Built with -DSLUICE_FUZZ=ON and clang.
#include <cstddef>
#include <cstdint>
#include <span>

#include "delta_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::fuzz_delta(std::as_bytes(std::span(data, size)));
  return 0;
}
