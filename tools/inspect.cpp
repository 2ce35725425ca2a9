// sluice inspect: what a sealed file or journal segment says of itself, without a key.
#include "sluice/crypto/inspect/inspect.hpp"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <ctime>
#include <memory>
#include <string>

#include "commands.hpp"
#include "sealing.hpp"

namespace sluice::tools {
namespace {

void print_format(const crypto::FileInfo& info) {
  switch (info.kind) {
    case crypto::FileKind::agcm:
      fmt::print("format      AGCM version {}{}\n", info.version,
                 info.version == 1 ? " (unprotected: migrate with rekey --legacy-v1)" : "");
      break;
    case crypto::FileKind::c2sp:
      fmt::print("format      C2SP Cobblestone-256, because you say so: its header is random bytes\n");
      break;
    case crypto::FileKind::journal_segment:
      fmt::print("format      journal segment version {}\n", info.version);
      break;
  }
}

void print_stream(const crypto::FileInfo& info) {
  fmt::print("chunk size  {} bytes\n", info.chunk_bytes);
  const char* source = info.version == 1 ? "its chunks' lengths" : "the file's size";
  if (info.plaintext_bytes) {
    fmt::print("plaintext   {} bytes in {} chunks, by {}: not verified\n", *info.plaintext_bytes,
               *info.chunks, source);
  } else {
    fmt::print("plaintext   unknown: no whole stream has {}\n",
               info.version == 1 ? "these lengths" : "this size");
  }
}

std::string utc(std::uint64_t ns) {
  const auto time = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm parts{};
  return ::gmtime_r(&time, &parts) == nullptr ? fmt::format("{} ns after 1970", ns)
                                              : fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", parts);
}

void print_segment(const crypto::SegmentInfo& segment) {
  const bool first =
      std::ranges::all_of(segment.previous, [](std::byte byte) { return byte == std::byte{0}; });
  std::string previous;
  for (const auto byte : segment.previous) previous += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  fmt::print("created     {}\n", utc(segment.created_ns));
  fmt::print("previous    {}\n", first ? "none: the journal's first segment" : previous);
  fmt::print("records     {} from number {}, in {} frames, by the frames' headers: not verified\n",
             segment.records, segment.first_sequence, segment.frames);
  if (segment.unexplained_bytes != 0) {
    fmt::print("rest        {} bytes that are no whole frame: a torn tail, a write under way, or damage\n",
               segment.unexplained_bytes);
  }
}

void print_info(const std::string& file, crypto::Format format) {
  const auto info = crypto::inspect_file(file, format);
  print_format(info);
  fmt::print("cipher      AES-256-GCM\n");
  if (info.key_id) fmt::print("key id      {}\n", info.key_id->to_hex());
  fmt::print("file        {} bytes\n", info.file_bytes);
  info.segment ? print_segment(*info.segment) : print_stream(info);
}

}  // namespace

void add_inspect(CLI::App& app) {
  struct Arguments {
    std::string file;
    crypto::Format format = crypto::Format::agcm;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = add_command(app, "inspect", "Show what a sealed file says of itself, without a key",
                              "sluice inspect photos.sealed");
  add_format_option(*command, arguments->format)->group("Content");
  command->add_option("FILE", arguments->file, "Sealed file, or a segment (*.agcj) of a journal")->required();
  command->callback([arguments] { print_info(arguments->file, arguments->format); });
}

}  // namespace sluice::tools
