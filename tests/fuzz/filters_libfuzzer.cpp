// The libFuzzer entry of filters. Built with -DSLUICE_FUZZ=ON and clang.
#include <cstddef>
#include <cstdint>
#include <span>

#include "filters_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::fuzz_filters(std::as_bytes(std::span(data, size)));
  return 0;
}
