#include "stream_ticket.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "sluice/base/detail/little_endian.hpp"

namespace sluice::codec {
namespace {

Id seal_of(std::uint64_t start, StateJournal& journal, const Id& stream, const Id& client) {
  std::array<std::byte, sizeof(Id) + sizeof(Id) + sizeof start> text{};
  std::ranges::copy(std::as_bytes(std::span(stream)), text.begin());
  std::ranges::copy(std::as_bytes(std::span(client)), text.begin() + sizeof(Id));
  base::store_le(text, 2 * sizeof(Id), start);
  return journal.seal(text);
}

}  // namespace

StreamTicket make_ticket(StateJournal& journal, const Id& stream, const Id& client) {
  const std::uint64_t start = journal.next() - 2;  // before the newest value
  return {start, seal_of(start, journal, stream, client)};
}

bool is_ticket_of(const StreamTicket& ticket, StateJournal& journal, const Id& stream, const Id& client) {
  const Id expected = seal_of(ticket.start, journal, stream, client);
  unsigned difference = 0;  // looks at every byte, so that the time it takes tells nothing
  for (std::size_t i = 0; i < expected.size(); ++i)
    difference |= static_cast<unsigned>(expected[i] ^ ticket.seal[i]);
  return difference == 0;
}

}  // namespace sluice::codec
