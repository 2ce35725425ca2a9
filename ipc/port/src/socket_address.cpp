#include "socket_address.hpp"

#include <string>

#include "sluice/base/detail/quoted_text.hpp"
#include "sluice/base/error.hpp"

namespace sluice::ipc {

SocketAddress::SocketAddress(const std::filesystem::path& path) {
  const std::string& text = path.native();
  // An empty path would be autobound, and one that begins with a zero byte is an abstract name without
  // permissions.
  if (text.empty() || text.find('\0') != std::string::npos)
    throw error(errc::bad_name,
                "socket path " + base::quoted_text(text) + " is empty or contains a zero byte");
  if (text.size() > kMaxSocketPathBytes) {
    throw error(errc::bad_name, "socket path " + base::quoted_text(text) + " has " +
                                    std::to_string(text.size()) + " bytes; the system allows " +
                                    std::to_string(kMaxSocketPathBytes));
  }
  address_.sun_family = AF_UNIX;
  text.copy(address_.sun_path, kMaxSocketPathBytes);
}

const sockaddr* SocketAddress::get() const noexcept {
  // The socket calls take every address family through this one type.
  return reinterpret_cast<const sockaddr*>(&address_);
}

}  // namespace sluice::ipc
