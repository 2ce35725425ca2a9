// Which processors the two processes run on.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace sluice::bench {

/// The two processors of a measurement: the first process runs on `first`, the second on `second`.
struct Cores {
  int first = 0;
  int second = 1;
};

/// "A,B" as two different processors this process may use. Throws std::invalid_argument.
Cores parse_cores(const std::string& text);

/// Two processors this process may use, of different physical cores where there are such; nothing where there
/// is only one processor.
std::optional<Cores> choose_cores();

/// In the place of a processor: whichever the scheduler chooses.
inline constexpr int kAnyCore = -1;

/// Binds the calling thread, and every thread it starts from now on, to one processor, unless that is
/// kAnyCore. Throws std::system_error.
void pin_to(int core);

}  // namespace sluice::bench
