// The libFuzzer entry of port streams: the first byte picks the body. Built with -DSLUICE_FUZZ=ON and clang.
#include <cstddef>
#include <cstdint>
#include <span>

#include "stream_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 16) {
    case 0:
    case 5:
    case 6:
    case 7:
    case 8:
      sluice::test::fuzz_stream(bytes);
      break;
    case 1:
    case 2:
    case 3:
      sluice::test::fuzz_frames(bytes);
      break;
    default:
      sluice::test::fuzz_states(bytes);
  }
  return 0;
}
