// What is expected of a frame of the other side's.
#pragma once

#include <string>
#include <string_view>

#include "names.hpp"
#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/codec/frame_io.hpp"

namespace sluice::codec {

/// A frame that breaks the rules: what was expected, what came.
struct BadFrame {
  std::string text;
};

[[noreturn, gnu::cold]] inline void refuse_frame(const char* what) {
  throw BadFrame{what};
}

inline void expect(bool fine, const char* what) {
  if (!fine) [[unlikely]]
    refuse_frame(what);
}

/// The names of an actor and of what it has, which belong together in a frame.
struct Target {
  std::string_view actor;
  std::string_view member;
};

inline Target read_target(FrameReader& frame, const char* what) {
  const std::string_view actor = frame.text(kMaxNameBytes);
  const std::string_view member = frame.text(kMaxNameBytes);
  expect(frame.ok() && is_name(actor) && is_name(member), what);
  return {actor, member};
}

inline std::string target_text(const Target& target) {
  return base::quoted_text(target.actor) + " " + base::quoted_text(target.member);
}

}  // namespace sluice::codec
