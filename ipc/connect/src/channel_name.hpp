// From what the user calls a channel to the path of its socket.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::ipc {

/// The socket path of a channel.
///
/// A text that begins with "/", "./" or "../" is the path itself; its parent directory must exist, and must
/// not be writable by group or others unless it has the sticky bit, and belong to this user, root or `owner`,
/// who made the socket. Anything else is a name (1 to 64 bytes of
/// A-Z a-z 0-9 . _ -, not beginning with a dot) in the user's runtime directory: $XDG_RUNTIME_DIR/sluice, or
/// /tmp/sluice-UID if that variable isn't an absolute path. The runtime directory is made (mode 0700) if
/// it is missing, and must be a real directory of this user that nobody else may enter.
///
/// Throws errc::bad_name for a name or path that breaks a rule, errc::unsafe_place for a directory that
/// does. Thread-safe as long as nobody changes the environment meanwhile.
std::filesystem::path resolve_channel_name(std::string_view name_or_path, uid_t owner = ::geteuid());

/// /tmp/sluice-UID, whatever the environment says: made if it is missing. Throws errc::unsafe_place.
std::filesystem::path private_directory();

/// For an error: where `who` ("a listener"), started without our XDG_RUNTIME_DIR, or with one that we don't
/// have, would have the same name. Empty for a path, which is the same for everybody.
std::string other_place(std::string_view name_or_path, std::string_view who);

}  // namespace sluice::ipc
