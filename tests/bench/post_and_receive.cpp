// Posts 64-byte messages and receives them again, all on one thread: a program whose instructions can be counted.
//
//   post_and_receive MESSAGES
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <string>
#include <vector>

#include "sluice/ipc/connect/endpoint.hpp"
#include "temp_directory.hpp"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto messages = std::strtoull(argv[1], nullptr, 10);
  const std::vector<std::byte> message(64, std::byte{1});
  constexpr std::uint64_t kGroup = 100;  // what is under way at a time; all of it fits the ring

  const sluice::test::TempDirectory directory;
  const std::string name = (directory.path() / "port").string();
  auto listener = sluice::listen(name);
  auto accepted = std::async(std::launch::async, [&] { return listener.accept(); });
  auto sender = sluice::connect(name);
  auto receiver = accepted.get();

  std::uint64_t received_bytes = 0;
  for (std::uint64_t done = 0; done < messages; done += kGroup) {
    for (std::uint64_t i = 0; i < kGroup; ++i) {
      if (sender.post_message(message) != sluice::Status::ok) return 1;
    }
    for (std::uint64_t i = 0; i < kGroup; ++i) {
      const auto got = receiver.receive();
      if (!got) return 1;
      received_bytes += got.bytes().size();
    }
  }
  return received_bytes == messages * message.size() ? 0 : 1;
}
