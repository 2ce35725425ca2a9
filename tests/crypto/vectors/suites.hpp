// Suites of vectors: the public ones, where they are, and those that Python makes while the tests run.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "places.hpp"
#include "python.hpp"
#include "support.hpp"

namespace sluice::crypto::test {

/// Who made a suite. Neither uses our code.
enum class Origin {
  published,    ///< files outside the project, which may be missing
  independent,  ///< tests/vectors/make_vectors.py, run now
};

inline void PrintTo(Origin origin, std::ostream* out) {
  *out << (origin == Origin::published ? "published" : "made by Python");
}

inline std::string name_of(const testing::TestParamInfo<Origin>& origin) {
  return origin.param == Origin::published ? "Published" : "Independent";
}

inline const auto kBothOrigins = testing::Values(Origin::published, Origin::independent);

/// The file's content, or null if it isn't there.
inline nlohmann::json load(const std::filesystem::path& path) {
  std::ifstream stream(path);
  return stream ? nlohmann::json::parse(stream) : nlohmann::json();
}

/// Why no independent suite can be made here, or nothing.
inline std::string no_python() {
  return sluice::test::python_has("cryptography") ? "" : "no python3-cryptography in /usr/bin/python3";
}

/// A script of tests/vectors with its arguments.
inline sluice::test::ScriptResult run_script(const std::string& name, const std::string& argument) {
  return sluice::test::run_python({sluice::test::source_dir() + "/tests/vectors/" + name, argument});
}

/// A suite as JSON, or null and the reason that it isn't there.
struct Suite {
  nlohmann::json content{};
  std::string missing{};
};

/// A suite that make_vectors.py makes now.
inline Suite made_suite(const std::string& kind) {
  if (const auto reason = no_python(); !reason.empty()) return {{}, reason};
  const auto made = run_script("make_vectors.py", kind);
  if (!made.status.ok()) throw std::runtime_error("make_vectors.py " + kind + ": " + made.output);
  return {nlohmann::json::parse(made.output)};
}

/// `published` is the public file of the same shape.
inline Suite suite(Origin origin, const std::string& kind, const std::string& published) {
  if (origin == Origin::independent) return made_suite(kind);
  const auto path = std::filesystem::path(sluice::test::vectors_dir()) / published;
  Suite found{load(path)};
  if (found.content.is_null()) found.missing = path.string() + " isn't there";
  return found;
}

inline Bytes hex_field(const nlohmann::json& object, const char* name) {
  return from_hex(object.at(name).get_ref<const std::string&>());
}

inline std::string text_field(const nlohmann::json& object, const char* name) {
  const auto bytes = hex_field(object, name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What a streaming reader hands out, and its error if it doesn't come to the end.
inline std::pair<Bytes, std::error_code> read_until_refused(std::span<const std::byte> sealed,
                                                            const SecretKey& key,
                                                            const OpenOptions& options) {
  Bytes plain;
  try {
    MemorySource source(sealed);
    StreamingDecryptor decryptor(source, key, options);
    Bytes part(16384);
    while (const auto count = decryptor.read(part)) {
      plain.insert(plain.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    }
    return {std::move(plain), {}};
  } catch (const error& refusal) {
    return {std::move(plain), refusal.code()};
  }
}

}  // namespace sluice::crypto::test
