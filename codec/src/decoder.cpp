#include "sluice/codec/decoder.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include "fault_text.hpp"

namespace sluice::codec {
namespace {

std::string name_of(const std::type_info& type) {
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &failed), std::free);
  return failed == 0 ? name.get() : type.name();
}

}  // namespace

Decoder::Decoder(const DecodeOptions& options) : options_(options) {
  if (options.max_depth <= kDeepestLevel) return;
  throw error(sluice::errc::bad_option, "DecodeOptions::max_depth: expected at most " +
                                            std::to_string(kDeepestLevel) + ", got " +
                                            std::to_string(options.max_depth));
}

const msgpack::object& Decoder::parse(std::span<const std::byte> message) {
  std::span<const std::byte> bytes = message;
  if (!options_.in_place && message.size() <= options_.max_bytes) {
    copy_.assign(message.begin(), message.end());
    bytes = copy_;
  }
  const std::error_code fault = tree_.parse(bytes, options_);
  if (fault) throw error(fault, detail::fault_text(fault, bytes.size(), tree_.at(), options_));
  return tree_.root();
}

void Decoder::refuse(const std::type_info& wanted, std::size_t bytes) const {
  throw error(errc::wrong_type, detail::message_of(bytes) + ": expected " + name_of(wanted) + ", got " +
                                    describe(tree_.root()));
}

void detail::refuse_tree(const std::type_info& wanted, const msgpack::object& tree) {
  throw error(errc::wrong_type, "expected " + name_of(wanted) + ", got " + describe(tree));
}

void Decoder::refuse_nested() {
  throw error(sluice::errc::misuse, "decoding inside a converter, with the decoder that called it");
}

Decoder& thread_decoder() {
  thread_local Decoder decoder;
  return decoder;
}

}  // namespace sluice::codec
