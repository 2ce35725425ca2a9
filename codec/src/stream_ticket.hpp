// What shows that a stream, which this process may never have heard of, is its client's.
#pragma once

#include "sluice/codec/detail/observation.hpp"
#include "sluice/codec/frame.hpp"
#include "sluice/codec/state_journal.hpp"

namespace sluice::codec {

/// For a stream that begins with the newest value of the journal.
StreamTicket make_ticket(StateJournal& journal, const Id& stream, const Id& client);
/// Whether this journal's state gave that ticket to this client for this stream.
bool is_ticket_of(const StreamTicket& ticket, StateJournal& journal, const Id& stream, const Id& client);

}  // namespace sluice::codec
