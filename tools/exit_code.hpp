// What the sluice command exits with. A signal ends it as that signal does: a shell then says 128 + its
// number.
#pragma once

namespace sluice::tools {

enum ExitCode : int {
  kDone = 0,        ///< all of it was done
  kFailed = 1,      ///< it failed; one line on standard error says why
  kWrongUsage = 2,  ///< the command line can't be used, and nothing was done
};

}  // namespace sluice::tools
