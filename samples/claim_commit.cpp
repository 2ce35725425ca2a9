// Messages written and read in place: claim() gives memory of the ring itself, commit() posts it. Nothing is
// copied.
//
//   build/release/bin/claim_commit read &      expected output:   1000 frames of 640 x 480, brightest point 255
//   build/release/bin/claim_commit write
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <sluice/ipc.hpp>
#include <span>
#include <string_view>

namespace {

constexpr std::size_t kWidth = 640;
constexpr std::size_t kHeight = 480;
constexpr int kFrames = 1000;

// Any drawing: a gradient that moves.
void render(std::span<std::byte> picture, int frame) {
  for (std::size_t y = 0; y < kHeight; ++y) {
    const auto shade = static_cast<std::byte>(y + static_cast<std::size_t>(frame));
    std::ranges::fill(picture.subspan(y * kWidth, kWidth), shade);
  }
}

bool write() {
  sluice::Port port = sluice::connect("claim-commit");
  for (int frame = 0; frame < kFrames; ++frame) {
    sluice::Claim claim = port.claim(kWidth * kHeight);  // waits for room
    if (!claim) return false;
    render(claim.bytes(), frame);
    if (claim.commit() != sluice::Status::ok)
      return false;  // visible from here on; without it the room goes back
  }
  return true;  // the port closes; what was posted is still delivered
}

bool read() {
  sluice::Listener listener = sluice::listen("claim-commit");
  sluice::Port port = listener.accept();
  int frames = 0;
  unsigned brightest = 0;
  sluice::Status ended;
  for (;;) {
    const sluice::Message message = port.receive();  // in place; released at the end of the loop's body
    ended = message.status();
    if (!message) break;
    ++frames;
    brightest = std::max(brightest, std::to_integer<unsigned>(std::ranges::max(message.bytes())));
  }
  std::printf("%d frames of %zu x %zu, brightest point %u\n", frames, kWidth, kHeight, brightest);
  return ended == sluice::Status::closed;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc == 2 ? argv[1] : "";
  try {
    if (role == "write") return write() ? 0 : 1;
    if (role == "read") return read() ? 0 : 1;
    std::fprintf(stderr, "usage: claim_commit read | write\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "claim_commit: %s\n", failure.what());
    return 1;
  }
}
