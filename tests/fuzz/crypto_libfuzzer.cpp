// The libFuzzer entry: the first byte picks the body. Built with -DSLUICE_FUZZ=ON and clang.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 3) {
    case 0:
      sluice::crypto::fuzz::run_headers(bytes);
      break;
    case 1:
      sluice::crypto::fuzz::run_stream(bytes);
      break;
    default:
      sluice::crypto::fuzz::run_journal(bytes);
  }
  return 0;
}
