// A sealed file: sealed and opened as a whole, and one piece of it read without opening the rest.
//
//   build/release/bin/sealed_file FILE      expected output:   FILE.sealed: N bytes for N bytes
//                                                              FILE.opened: the same bytes again
//                                                              the middle: N bytes, read in place
//                                                              one bit changed: refused
// Beside FILE it leaves FILE.key, FILE.sealed and FILE.opened.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sluice/crypto.hpp>
#include <span>
#include <string>
#include <vector>

namespace {

namespace crypto = sluice::crypto;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

crypto::SecretKey key_in(const std::string& path) {
  if (!std::filesystem::exists(path)) crypto::save_key_file(path, crypto::SecretKey::generate());
  return crypto::load_key_file(path);  // refused if others can read it
}

void run(const std::string& path) {
  const crypto::SecretKey key = key_in(path + ".key");
  // The context says what the file is for: under another one it doesn't open.
  const std::string context = "sample file";
  const auto plain = crypto::seal_file(path, path + ".sealed", key, {.context = context});
  std::printf("%s.sealed: %ju bytes for %ju bytes\n", path.c_str(),
              static_cast<std::uintmax_t>(std::filesystem::file_size(path + ".sealed")),
              static_cast<std::uintmax_t>(plain));

  crypto::open_file(path + ".sealed", path + ".opened", key, {.context = context});
  if (content(path) != content(path + ".opened")) throw std::runtime_error("the opened file differs");
  std::printf("%s.opened: the same bytes again\n", path.c_str());

  std::string sealed = content(path + ".sealed");
  crypto::MemorySource source(std::as_bytes(std::span(sealed)));
  crypto::RandomAccessDecryptor reader(source, key, {.context = context});
  std::vector<std::byte> piece(std::min<std::uint64_t>(reader.size() / 2, 1000));
  reader.read(reader.size() / 4, piece);
  std::printf("the middle: %zu bytes, read in place\n", piece.size());

  sealed.back() ^= 1;
  std::ofstream(path + ".sealed", std::ios::binary) << sealed;
  try {
    crypto::open_file(path + ".sealed", path + ".opened", key, {.context = context});
    throw std::runtime_error("a changed file was opened");
  } catch (const sluice::error& refusal) {
    if (refusal.code() != crypto::errc::not_authentic) throw;
    std::printf("one bit changed: refused\n");  // and FILE.opened is still the old one, whole
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 2) return run(argv[1]), 0;
    std::fprintf(stderr, "usage: sealed_file FILE\n");
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "sealed_file: %s\n", failure.what());
    return 1;
  }
}
