#include "sluice/codec/delta_stream.hpp"

#include "packed_walk.hpp"
#include "sluice/base/error.hpp"
#include "sluice/codec/error.hpp"

namespace sluice::codec {

std::optional<EncodedValue> DeltaStreamManager::encode(SharedValue value, std::uint64_t sequence) {
  detail::SharedDelta delta;
  if (last_ != nullptr && kind_ == DeltaKind::own) {
    if (same_bytes(last_->bytes(), value->bytes())) return std::nullopt;
    delta = value->deltas().own_from(last_);
  } else if (last_ != nullptr) {
    delta = value->deltas().from(last_, value->bytes());
  }
  last_ = value;
  if (delta && delta->empty()) return std::nullopt;
  const std::uint64_t base = std::exchange(sequence_, sequence);
  if (!delta) return EncodedValue(std::move(value));
  return EncodedValue(kind_ == DeltaKind::own ? StreamForm::own_delta : StreamForm::delta, base,
                      std::move(delta));
}

Applied DeltaStreamApplier::apply(StreamForm form, std::uint64_t base, std::uint64_t sequence,
                                  std::span<const std::byte> bytes) {
  switch (form) {
    case StreamForm::full:
      tree_.assign(bytes);
      break;
    case StreamForm::delta:
      if (sequence_ != base) return Applied::full_wanted;
      tree_.apply(bytes);
      break;
    case StreamForm::own_delta:
    default:
      detail::refuse_form(form);
  }
  sequence_ = sequence;
  return Applied::taken;
}

void detail::refuse_form(StreamForm form) {
  throw error(errc::bad_delta,
              "item of a stream: expected another form, got " + std::to_string(static_cast<unsigned>(form)));
}

}  // namespace sluice::codec
