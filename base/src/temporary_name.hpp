// The name of a file that isn't complete: ".NAME.sluice-new", beside NAME.
#pragma once

#include <string>
#include <string_view>

namespace sluice::base {

/// The temporary name of a file called `name`; cut to what a file system allows.
std::string temporary_name(const std::string& name);

/// Removes what a killed writer left under the temporary name in `directory`. `path`: what errors are about.
/// `wait`: for a writer that is alive, as long as lock_file_in_time() does; then, or else at once,
/// errc::busy. errc::unsafe_place if that is no regular file of this user.
void remove_leftover(int directory, const std::string& temporary, const std::string& path, bool wait);

}  // namespace sluice::base
