#include "numbering.hpp"

#include <algorithm>

namespace sluice::codec {
namespace {

bool same_bytes(const SharedValue& one, const SharedValue& other) {
  return one == other || std::ranges::equal(one->bytes(), other->bytes());
}

}  // namespace

void Numbering::judge(Deadline now) {
  const FilterVerdict verdict = filter_.judge(*waiting_.value, now);
  due_ = verdict.kind == FilterVerdict::Kind::later ? verdict.at : Deadline{};
  if (std::exchange(passes_next_, false)) {
    due_ = {};
    last_.reset();
  } else if (verdict.kind == FilterVerdict::Kind::drop) {
    drop();
  }
}

void Numbering::offer(const StreamItem& item, Deadline now) {
  waiting_ = item;
  judge(now);
}

void Numbering::follow(const StreamItem& item, Deadline now) {
  offer(item, now);
  filter_.note_sent(item.value, now);
  if (only_changes_) last_ = item.value;
  drop();
}

std::optional<StreamItem> Numbering::take(Deadline now) {
  if (waiting() && due_ != Deadline{}) {
    if (due_ > now) return std::nullopt;
    judge(now);
    if (due_ != Deadline{}) return std::nullopt;
  }
  if (!waiting()) return std::nullopt;
  StreamItem item = std::exchange(waiting_, {});
  filter_.note_sent(item.value, now);
  if (!only_changes_) return item;
  if (last_ && same_bytes(last_, item.value)) return std::nullopt;  // no change
  last_ = item.value;
  return item;
}

}  // namespace sluice::codec
