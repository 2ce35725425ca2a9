// The libFuzzer entry of JSON text. Built with -DSLUICE_FUZZ=ON and clang.
#include <cstddef>
#include <cstdint>
#include <span>

#include "json_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::test::fuzz_json(std::as_bytes(std::span(data, size)));
  return 0;
}
